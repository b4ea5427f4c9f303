#include "kernels/real.h"
#include "kernels/resize/resize.h"

/* Two neighbours and the weight of the second. */
typedef struct {
  int32_t low, high;
  ft_real weight;
} neighbours;

static neighbours neighbours_of(int32_t i, int32_t in, int32_t out,
                                int32_t align, int32_t half_pixel) {
  const ft_real scale = align ? (ft_real)(in - 1) / (ft_real)(out - 1)
                              : (ft_real)in / (ft_real)out;
  neighbours at;
  ft_real position = half_pixel ? ((ft_real)i + FT_R(0.5)) * scale - FT_R(0.5)
                                : (ft_real)i * scale;
  if (position < 0) position = 0; /* both neighbours would be pixel 0 */
  at.low = (int32_t)position;
  if (at.low > in - 1) at.low = in - 1;
  at.high = at.low + 1 < in ? at.low + 1 : in - 1;
  at.weight = position - (ft_real)at.low;
  return at;
}

void FT_NAME(resize)(const void* params, const ft_args* args) {
  const ft_resize_params* p = (const ft_resize_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t b, oy, ox, c;
  for (b = 0; b < p->n; ++b, x += p->h * p->w * p->c) {
    for (oy = 0; oy < p->oh; ++oy) {
      const neighbours v =
          neighbours_of(oy, p->h, p->oh, p->align_h, p->half_pixel);
      for (ox = 0; ox < p->ow; ++ox) {
        const neighbours u =
            neighbours_of(ox, p->w, p->ow, p->align_w, p->half_pixel);
        const ft_real* row0 = x + v.low * p->w * p->c;
        const ft_real* row1 = x + v.high * p->w * p->c;
        for (c = 0; c < p->c; ++c) {
          const int32_t left = u.low * p->c + c, right = u.high * p->c + c;
          *y++ = row0[left] * (1 - v.weight) * (1 - u.weight) +
                 row1[left] * v.weight * (1 - u.weight) +
                 row0[right] * (1 - v.weight) * u.weight +
                 row1[right] * v.weight * u.weight;
        }
      }
    }
  }
}

static void add_nearest(const ft_resize_params* p, const int32_t* rows,
                        const ft_real* dy, ft_real* dx) {
  const int32_t* cols = rows + p->oh;
  int32_t oy, ox, c;
  for (oy = 0; oy < p->oh; ++oy)
    for (ox = 0; ox < p->ow; ++ox)
      for (c = 0; c < p->c; ++c)
        dx[(rows[oy] * p->w + cols[ox]) * p->c + c] += *dy++;
}

static void add_bilinear(const ft_resize_params* p, const ft_real* dy,
                         ft_real* dx) {
  int32_t oy, ox, c;
  for (oy = 0; oy < p->oh; ++oy) {
    const neighbours v =
        neighbours_of(oy, p->h, p->oh, p->align_h, p->half_pixel);
    for (ox = 0; ox < p->ow; ++ox) {
      const neighbours u =
          neighbours_of(ox, p->w, p->ow, p->align_w, p->half_pixel);
      ft_real* row0 = dx + v.low * p->w * p->c;
      ft_real* row1 = dx + v.high * p->w * p->c;
      for (c = 0; c < p->c; ++c) {
        const int32_t left = u.low * p->c + c, right = u.high * p->c + c;
        const ft_real d = *dy++;
        row0[left] += d * (1 - v.weight) * (1 - u.weight);
        row1[left] += d * v.weight * (1 - u.weight);
        row0[right] += d * (1 - v.weight) * u.weight;
        row1[right] += d * v.weight * u.weight;
      }
    }
  }
}

void FT_NAME(resize_grad)(const void* params, const ft_args* args) {
  const ft_resize_params* p = (const ft_resize_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t image = p->h * p->w * p->c;
  int32_t b, i;
  for (b = 0; b < p->n; ++b) {
    for (i = 0; i < image; ++i) dx[i] = 0;
    if (p->nearest)
      add_nearest(p, (const int32_t*)args->aux[0], dy, dx);
    else
      add_bilinear(p, dy, dx);
    dy += p->oh * p->ow * p->c;
    dx += image;
  }
}
