// Unsigned order of the result = order of the floats; NaN is the smallest, -0 equals 0.
uint ordered(float value) {
  if (isnan(value)) return 0;
  const uint bits = floatBitsToUint(value + 0.0);
  return bits == 0x80000000 ? 0x80000000
         : (bits & 0x80000000) != 0 ? ~bits
                                    : bits | 0x80000000;
}
