// Sums and maxima over the 64 threads of a workgroup, in a fixed order.
const uint kThreads = 64;
shared float group_values[kThreads];

float group_sum(float value) {
  const uint i = gl_LocalInvocationID.x;
  barrier();
  group_values[i] = value;
  for (uint step = kThreads / 2; step > 0; step /= 2) {
    barrier();
    if (i < step) group_values[i] += group_values[i + step];
  }
  barrier();
  return group_values[0];
}

float group_max(float value) {
  const uint i = gl_LocalInvocationID.x;
  barrier();
  group_values[i] = value;
  for (uint step = kThreads / 2; step > 0; step /= 2) {
    barrier();
    if (i < step) group_values[i] = max(group_values[i], group_values[i + step]);
  }
  barrier();
  return group_values[0];
}
