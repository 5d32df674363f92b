// Fused elementwise steps of the training net, for one thread. bf16 is the upper half of an f32.
// Built by net.py: cc -O3 -march=native -ffast-math -shared -fPIC kernels.c -lm
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t bf16;

static inline float up(bf16 x) {
  uint32_t u = (uint32_t)x << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline bf16 down(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return (bf16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

// h = x * rsqrt(mean(x^2) + eps) * w; x is f32 or bf16 [n, d].
#define NORM(NAME, T, GET, PUT)                                                                          \
  void NAME##_forward(const T* x, const float* w, bf16* h, float* r, long n, long d, float eps) {        \
    for (long i = 0; i < n; i++) {                                                                       \
      const T* a = x + i * d;                                                                            \
      float s = 0;                                                                                       \
      for (long j = 0; j < d; j++) s += GET(a[j]) * GET(a[j]);                                           \
      float k = r[i] = 1 / sqrtf(s / d + eps);                                                           \
      for (long j = 0; j < d; j++) h[i * d + j] = down(GET(a[j]) * k * w[j]);                            \
    }                                                                                                    \
  }                                                                                                      \
  void NAME##_backward(const T* x, const float* w, const float* r, const bf16* dh, T* dx, float* dw,     \
                       long n, long d) {                                                                 \
    for (long i = 0; i < n; i++) {                                                                       \
      const T* a = x + i * d;                                                                            \
      const bf16* g = dh + i * d;                                                                        \
      float k = r[i], s = 0;                                                                             \
      for (long j = 0; j < d; j++) s += up(g[j]) * w[j] * GET(a[j]);                                     \
      s *= k * k * k / d;                                                                                \
      for (long j = 0; j < d; j++) {                                                                     \
        dw[j] += up(g[j]) * GET(a[j]) * k;                                                               \
        dx[i * d + j] = PUT(up(g[j]) * w[j] * k - GET(a[j]) * s);                                        \
      }                                                                                                  \
    }                                                                                                    \
  }
#define SAME(x) (x)
NORM(norm32, float, SAME, SAME)
NORM(norm16, bf16, up, down)

// x += y, then h = rmsnorm(x) * w: the residual step. y is bf16.
void add_norm_forward(const float* x, const bf16* y, const float* w, float* z, bf16* h, float* r, long n, long d, float eps) {
  for (long i = 0; i < n; i++) {
    float s = 0;
    for (long j = i * d; j < i * d + d; j++) {
      float t = z[j] = x[j] + up(y[j]);
      s += t * t;
    }
    float k = r[i] = 1 / sqrtf(s / d + eps);
    for (long j = 0; j < d; j++) h[i * d + j] = down(z[i * d + j] * k * w[j]);
  }
}

// dz is the gradient that came down the residual stream and becomes that of x, in place; dy is its bf16 copy.
void add_norm_backward(const float* z, const float* w, const float* r, const bf16* dh, float* dz, bf16* dy, float* dw, long n, long d) {
  for (long i = 0; i < n; i++) {
    const float* a = z + i * d;
    const bf16* g = dh + i * d;
    float k = r[i], s = 0;
    for (long j = 0; j < d; j++) s += up(g[j]) * w[j] * a[j];
    s *= k * k * k / d;
    for (long j = 0; j < d; j++) {
      dw[j] += up(g[j]) * a[j] * k;
      float t = dz[i * d + j] + up(g[j]) * w[j] * k - a[j] * s;
      dz[i * d + j] = t;
      dy[i * d + j] = down(t);
    }
  }
}

// [count * length, from_heads, w] to columns at `col` of rows `past...` of [count * heads, keys, width]; one source head
// serves all heads when from_heads is 1.
void heads_in(const bf16* x, bf16* y, long count, long heads, long length, long from_heads, long w, long keys, long past, long width, long col) {
  for (long c = 0; c < count; c++)
    for (long h = 0; h < heads; h++)
      for (long t = 0; t < length; t++)
        memcpy(y + ((c * heads + h) * keys + past + t) * width + col, x + ((c * length + t) * from_heads + (from_heads == 1 ? 0 : h)) * w, sizeof(bf16) * w);
}

// The other way; heads that share a source are summed.
void heads_out(const bf16* y, bf16* x, long count, long heads, long length, long from_heads, long w, long keys, long past, long width, long col) {
  for (long c = 0; c < count; c++)
    for (long t = 0; t < length; t++) {
      if (from_heads == 1) {
        float s[256];
        memset(s, 0, sizeof(float) * w);
        for (long h = 0; h < heads; h++) {
          const bf16* a = y + ((c * heads + h) * keys + past + t) * width + col;
          for (long j = 0; j < w; j++) s[j] += up(a[j]);
        }
        for (long j = 0; j < w; j++) x[(c * length + t) * w + j] = down(s[j]);
      } else {
        for (long h = 0; h < heads; h++)
          memcpy(x + ((c * length + t) * heads + h) * w, y + ((c * heads + h) * keys + past + t) * width + col, sizeof(bf16) * w);
      }
    }
}

// Copies the prefix [heads, past, width] in front of each conversation's rows of [count * heads, keys, width].
void prefix_in(const bf16* p, bf16* y, long count, long heads, long past, long keys, long width) {
  for (long c = 0; c < count; c++)
    for (long h = 0; h < heads; h++)
      memcpy(y + (c * heads + h) * keys * width, p + h * past * width, sizeof(bf16) * past * width);
}

// sum [heads, past, width] f32 += those rows.
void prefix_out(const bf16* y, float* sum, long count, long heads, long past, long keys, long width) {
  for (long c = 0; c < count; c++)
    for (long h = 0; h < heads; h++) {
      const bf16* a = y + (c * heads + h) * keys * width;
      float* s = sum + h * past * width;
      for (long j = 0; j < past * width; j++) s[j] += up(a[j]);
    }
}

// y += x, bf16 from f32 sums.
void add_into(bf16* y, const float* x, long n) {
  for (long j = 0; j < n; j++) y[j] = down(up(y[j]) + x[j]);
}

// Rotates pairs (j, j + half) of the `half * 2` values at `at` in each row of x [n, heads, width]; sign -1 undoes it.
void rope(bf16* x, const float* cosine, const float* sine, long n, long heads, long width, long at, long half, float sign) {
  for (long i = 0; i < n; i++)
    for (long h = 0; h < heads; h++) {
      bf16* a = x + (i * heads + h) * width + at;
      for (long j = 0; j < half; j++) {
        float c = cosine[i * half + j], s = sine[i * half + j] * sign, p = up(a[j]), q = up(a[j + half]);
        a[j] = down(p * c - q * s);
        a[j + half] = down(p * s + q * c);
      }
    }
}

// Row r of each [rows, keys] block sees its first `past + r + 1` keys, of those only the marked ones when keep is given
// ([blocks / heads, rows, keys]). In place: scores to probabilities.
void softmax_forward(bf16* s, const uint8_t* keep, long blocks, long heads, long rows, long keys, long past, float scale) {
  float* e = malloc(sizeof(float) * keys);
  for (long b = 0; b < blocks; b++)
    for (long r = 0; r < rows; r++) {
      bf16* a = s + (b * rows + r) * keys;
      long n = past + r + 1;
      float m = -1e30f, t = 0;
      if (keep) {
        const uint8_t* k = keep + (b / heads * rows + r) * keys;
        for (long j = 0; j < n; j++) e[j] = k[j] ? up(a[j]) * scale : -1e30f;
      } else {
        for (long j = 0; j < n; j++) e[j] = up(a[j]) * scale;
      }
      for (long j = 0; j < n; j++) m = e[j] > m ? e[j] : m;
      for (long j = 0; j < n; j++) t += e[j] = expf(e[j] - m);
      t = 1 / t;
      for (long j = 0; j < n; j++) a[j] = down(e[j] * t);
      memset(a + n, 0, sizeof(bf16) * (keys - n));
    }
  free(e);
}

// In place: dp becomes the gradient of the scores.
void softmax_backward(const bf16* p, bf16* dp, long blocks, long rows, long keys, long past, float scale) {
  for (long b = 0; b < blocks; b++)
    for (long r = 0; r < rows; r++) {
      const bf16* a = p + (b * rows + r) * keys;
      bf16* g = dp + (b * rows + r) * keys;
      long n = past + r + 1;
      float t = 0;
      for (long j = 0; j < n; j++) t += up(a[j]) * up(g[j]);
      for (long j = 0; j < n; j++) g[j] = down(up(a[j]) * (up(g[j]) - t) * scale);
      memset(g + n, 0, sizeof(bf16) * (keys - n));
    }
}

// a = silu(gate) * up of gu [n, 2f].
void swiglu_forward(const bf16* gu, bf16* a, long n, long f) {
  for (long i = 0; i < n; i++)
    for (long j = 0; j < f; j++) {
      float g = up(gu[i * 2 * f + j]), u = up(gu[i * 2 * f + f + j]);
      a[i * f + j] = down(g / (1 + expf(-g)) * u);
    }
}

void swiglu_backward(const bf16* gu, const bf16* da, bf16* dgu, long n, long f) {
  for (long i = 0; i < n; i++)
    for (long j = 0; j < f; j++) {
      float g = up(gu[i * 2 * f + j]), u = up(gu[i * 2 * f + f + j]), d = up(da[i * f + j]);
      float s = 1 / (1 + expf(-g));
      dgu[i * 2 * f + j] = down(d * u * s * (1 + g * (1 - s)));
      dgu[i * 2 * f + f + j] = down(d * g * s);
    }
}

// y[i] = sum_k w[i, k] * x[at[i, k]]; x is [n * k, d].
void gather_sum(const bf16* x, const int64_t* at, const float* w, bf16* y, long n, long k, long d) {
  for (long i = 0; i < n; i++) {
    float t[4096];
    memset(t, 0, sizeof(float) * d);
    for (long c = 0; c < k; c++) {
      const bf16* a = x + at[i * k + c] * d;
      float f = w ? w[i * k + c] : 1;
      for (long j = 0; j < d; j++) t[j] += f * up(a[j]);
    }
    for (long j = 0; j < d; j++) y[i * d + j] = down(t[j]);
  }
}

// The other way: dx[at[i, k]] = w[i, k] * dy[i], dw[i, k] = dy[i] . x[at[i, k]].
void gather_sum_backward(const bf16* x, const int64_t* at, const float* w, const bf16* dy, bf16* dx, float* dw, long n, long k, long d) {
  for (long i = 0; i < n; i++)
    for (long c = 0; c < k; c++) {
      long row = at[i * k + c];
      float s = 0, f = w[i * k + c];
      for (long j = 0; j < d; j++) s += up(dy[i * d + j]) * up(x[row * d + j]);
      for (long j = 0; j < d; j++) dx[row * d + j] = down(f * up(dy[i * d + j]));
      dw[i * k + c] = s;
    }
}

// Cross entropy in place: logits become their gradient times `scale`. Returns the summed loss; *right counts argmax hits.
double cross_entropy(bf16* z, const int64_t* target, long n, long v, float scale, long* right) {
  double loss = 0;
  float* e = malloc(sizeof(float) * v);
  for (long i = 0; i < n; i++) {
    bf16* a = z + i * v;
    if (target[i] < 0) {
      memset(a, 0, sizeof(bf16) * v);
      continue;
    }
    float m = -1e30f, t = 0, own = up(a[target[i]]);
    for (long j = 0; j < v; j++) m = up(a[j]) > m ? up(a[j]) : m;
    for (long j = 0; j < v; j++) t += e[j] = expf(up(a[j]) - m);
    loss += logf(t) + m - own;
    *right += own >= m;
    float k = scale / t;
    for (long j = 0; j < v; j++) a[j] = down(e[j] * k);
    a[target[i]] = down(e[target[i]] * k - scale);
  }
  free(e);
  return loss;
}


static float quickselect(float* a, long n, long k) {  // the k-th largest, k from 0
  long lo = 0, hi = n - 1;
  while (lo < hi) {
    float p = a[(lo + hi) / 2];
    long i = lo, j = hi;
    while (i <= j) {
      while (a[i] > p) i++;
      while (a[j] < p) j--;
      if (i <= j) { float t = a[i]; a[i] = a[j]; a[j] = t; i++; j--; }
    }
    if (k <= j) hi = j;
    else if (k >= i) lo = i;
    else break;
  }
  return a[k];
}

// By 256 bins first, then among the few values of the bin that holds it. Overwrites t.
static float kth_largest(const float* x, float* t, long n, long k) {
  enum { BINS = 256 };
  int count[BINS] = {0};
  float low = x[0], high = x[0];
  for (long j = 0; j < n; j++) low = x[j] < low ? x[j] : low;
  for (long j = 0; j < n; j++) high = x[j] > high ? x[j] : high;
  if (high <= low) return low;
  float f = (BINS - 1) / (high - low);
  uint8_t bin[n];
  for (long j = 0; j < n; j++) bin[j] = (uint8_t)(int)((x[j] - low) * f);
  for (long j = 0; j < n; j++) count[bin[j]]++;
  int b = BINS - 1;
  for (; k >= count[b]; b--) k -= count[b];
  long m = 0;
  for (long j = 0; j < n; j++) { t[m] = x[j]; m += bin[j] == b; }
  return quickselect(t, m, k);
}

// Index scores I[r, s] = sum_h w[r, h] * relu(z[h, r, s]) for one block, z bf16 [heads, rows, keys]; marks the top k of the
// causal keys (lower index first on ties). score is f32 [rows, keys].
void index_top_k(const bf16* z, const float* w, float* score, uint8_t* keep, long heads, long rows, long keys, long past, long k) {
  float* t = malloc(sizeof(float) * (keys + 1));
  for (long r = 0; r < rows; r++) {
    long n = past + r + 1;
    float* I = score + r * keys;
    uint8_t* m = keep + r * keys;
    memset(I, 0, sizeof(float) * keys);
    memset(m, 0, keys);
    for (long h = 0; h < heads; h++) {
      const bf16* a = z + (h * rows + r) * keys;
      float f = w[r * heads + h];
      for (long j = 0; j < n; j++) { float q = up(a[j]); I[j] += q > 0 ? f * q : 0; }
    }
    if (n <= k) { memset(m, 1, n); continue; }
    float cut = kth_largest(I, t, n, k - 1);
    long left = k;
    for (long j = 0; j < n; j++) { m[j] = I[j] > cut; left -= m[j]; }
    for (long j = 0; j < n && left > 0; j++) if (I[j] == cut) { m[j] = 1; left--; }
  }
  free(t);
}

// KL(p || softmax(I)) over the kept keys (all causal ones when keep is null), p the mean over heads of the attention
// probabilities [heads, rows, keys]. Turns z into the gradient for the indexer's products and fills dw [rows, heads].
double index_loss(const bf16* p, bf16* z, const float* w, const float* score, const uint8_t* keep, float* dw, long p_heads, long heads, long rows, long keys, long past, float scale) {
  float* t = malloc(sizeof(float) * keys * 2);
  float* q = t + keys;
  double loss = 0;
  for (long r = 0; r < rows; r++) {
    long n = past + r + 1;
    const float* I = score + r * keys;
    float m = -1e30f, sum = 0, total = 0;
    memset(t, 0, sizeof(float) * n);
    for (long h = 0; h < p_heads; h++) {
      const bf16* a = p + (h * rows + r) * keys;
      for (long j = 0; j < n; j++) t[j] += up(a[j]);
    }
    for (long j = 0; j < n; j++) total += t[j];
    if (keep) {
      const uint8_t* k = keep + r * keys;
      for (long j = 0; j < n; j++) q[j] = k[j] ? I[j] : -1e30f;
    } else {
      for (long j = 0; j < n; j++) q[j] = I[j];
    }
    for (long j = 0; j < n; j++) m = q[j] > m ? q[j] : m;
    for (long j = 0; j < n; j++) sum += q[j] = expf(q[j] - m);
    float a1 = 1 / sum, a2 = 1 / total;
    for (long j = 0; j < n; j++) {
      float P = t[j] * a2, Q = q[j] * a1;
      loss += P > 1e-8f && Q > 0 ? P * logf(P / (Q + 1e-20f)) : 0;
      t[j] = (Q - P) * scale;
    }
    for (long h = 0; h < heads; h++) {
      bf16* a = z + (h * rows + r) * keys;
      float f = w[r * heads + h], s = 0;
      for (long j = 0; j < n; j++) {
        float x = up(a[j]);
        s += x > 0 ? t[j] * x : 0;
        a[j] = down(x > 0 ? t[j] * f : 0);
      }
      memset(a + n, 0, sizeof(bf16) * (keys - n));
      dw[r * heads + h] = s;
    }
  }
  free(t);
  return loss;
}
