#include "kernels/quant/s8_pairs.h"

/* SXTB16 takes bytes 0 and 2 of an activation word, rotated 1 and 3. */
static const int32_t kOrder[4] = {0, 2, 1, 3};

static int32_t padded(int32_t k) { return (k + 3) / 4 * 4; }

size_t ft_pack_pairs_bytes(int32_t n, int32_t k) {
  return (size_t)(n + n % 2) * (size_t)padded(k);
}

int ft_can_pack_pairs(const int8_t* w, int32_t n, int32_t k) {
  int32_t c, i;
  for (c = 0; c + 1 < n; c += 2)
    for (i = 0; i < k; ++i)
      if (w[c * k + i] < 0 && w[(c + 1) * k + i] == -128) return 0;
  return 1;
}

void ft_pack_pairs(const int8_t* w, int32_t n, int32_t k, int8_t* packed) {
  int32_t c, group, i;
  for (c = 0; c < n; c += 2) {
    for (group = 0; group < padded(k); group += 4) {
      for (i = 0; i < 4; ++i) {
        const int32_t at = group + kOrder[i];
        const int32_t w0 = at < k ? w[c * k + at] : 0;
        const int32_t w1 = at < k && c + 1 < n ? w[(c + 1) * k + at] : 0;
        *packed++ = (int8_t)w0;
        *packed++ = (int8_t)(w1 - (w0 < 0 ? 1 : 0));
      }
    }
  }
}

void ft_pack_depthwise_s16(const int8_t* w, int32_t taps, int32_t channels,
                           int16_t* packed) {
  int32_t c, tap, i;
  for (c = 0; c < channels; c += 4)
    for (tap = 0; tap < taps; ++tap)
      for (i = 0; i < 4; ++i) *packed++ = w[tap * channels + c + kOrder[i]];
}
