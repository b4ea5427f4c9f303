#include "kernels/resize/resize.h"

/* Positions and weights in 10-bit fixed point, as the reference. */
typedef struct {
  int32_t low, high;
  int64_t weight; /* of `high`, of 1024 */
} neighbours;

static neighbours neighbours_of(int32_t i, int32_t in, int32_t scale_10,
                                int32_t half_pixel) {
  neighbours at;
  /* 64 bits: large images would overflow where the reference does not look. */
  int64_t position = (int64_t)i * scale_10, last;
  if (half_pixel) position += scale_10 / 2 - 512;
  at.low = position > 0 ? (int32_t)(position / 1024) : 0;
  if (at.low > in - 1) at.low = in - 1;
  last = (position + 1023) / 1024;
  at.high = last < in - 1 ? (int32_t)last : in - 1;
  at.weight = position - (int64_t)1024 * at.low;
  return at;
}

void ft_resize_s8_c99(const void* params, const ft_args* args) {
  const ft_resize_params* p = (const ft_resize_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t b, oy, ox, c;
  for (b = 0; b < p->n; ++b, x += p->h * p->w * p->c) {
    for (oy = 0; oy < p->oh; ++oy) {
      const neighbours v =
          neighbours_of(oy, p->h, p->scale_h_10, p->half_pixel);
      for (ox = 0; ox < p->ow; ++ox) {
        const neighbours u =
            neighbours_of(ox, p->w, p->scale_w_10, p->half_pixel);
        const int8_t* row0 = x + v.low * p->w * p->c;
        const int8_t* row1 = x + v.high * p->w * p->c;
        for (c = 0; c < p->c; ++c) {
          const int32_t left = u.low * p->c + c, right = u.high * p->c + c;
          const int64_t sum =
              row0[left] * (1024 - v.weight) * (1024 - u.weight) +
              row1[left] * v.weight * (1024 - u.weight) +
              row0[right] * (1024 - v.weight) * u.weight +
              row1[right] * v.weight * u.weight;
          const int64_t half = sum > 0 ? 1 << 19 : -(1 << 19);
          *y++ = (int8_t)((sum + half) / (1 << 20));
        }
      }
    }
  }
}
