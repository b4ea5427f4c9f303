/* One step of one sample, element by element, forward and back. */
#ifndef FT_KERNELS_LSTM_CELL_H_
#define FT_KERNELS_LSTM_CELL_H_

#include "kernels/lstm/lstm.h"
#include "kernels/real.h"
#include "kernels/unary/unary_math.h"

/* a: sums on entry, gates on return. c_before: NULL at the first step. */
static inline void lstm_cell(const ft_lstm_params* p, ft_real* a,
                             const ft_real* c_before, ft_real* h, ft_real* c) {
  const int32_t n = p->hidden;
  const ft_real clip = (ft_real)p->cell_clip;
  ft_real *f = p->coupled ? a : a + n, *g = f + n, *o = g + n;
  int32_t k;
  for (k = 0; k < n; ++k) {
    ft_real sum, i;
    f[k] = ft_logistic(f[k]);
    g[k] = FT_TANH(g[k]);
    o[k] = ft_logistic(o[k]);
    if (!p->coupled) a[k] = ft_logistic(a[k]);
    i = p->coupled ? 1 - f[k] : a[k];
    sum = i * g[k];
    if (c_before) sum = f[k] * c_before[k] + sum;
    if (clip > 0) sum = sum < -clip ? -clip : (sum > clip ? clip : sum);
    c[k] = sum;
    h[k] = o[k] * FT_TANH(sum);
  }
}

/* What the forward pass left, and the gradients of its outputs (or NULL). */
typedef struct {
  const ft_real *gates, *c, *dh, *dgates, *dc;
} lstm_saved;

/* dh, dc: by h and c of this step, from later steps; dc becomes that of the
 * step before (`before`: its row, -1: none). da may be the row's gates. */
static inline void lstm_cell_grad(const ft_lstm_params* p, const lstm_saved* s,
                                  int32_t row, int32_t before,
                                  const ft_real* dh, ft_real* dc, ft_real* da) {
  const int32_t n = p->hidden, first = p->coupled ? 0 : n;
  const ft_real clip = (ft_real)p->cell_clip;
  const ft_real* gates = s->gates + row * (first + 3 * n);
  const ft_real* extra = s->dgates ? s->dgates + row * (first + 3 * n) : 0;
  const ft_real* c = s->c + row * n;
  int32_t k;
  for (k = 0; k < n; ++k) {
    const int32_t jf = first + k, jg = jf + n, jo = jg + n;
    const ft_real f = gates[jf], g = gates[jg], o = gates[jo];
    const ft_real i = p->coupled ? 1 - f : gates[k];
    const ft_real squashed = FT_TANH(c[k]);
    const ft_real dhk = s->dh ? dh[k] + s->dh[row * n + k] : dh[k];
    ft_real dck = dc[k] + dhk * o * (1 - squashed * squashed);
    ft_real di, df, dg, d_o = dhk * squashed;
    if (s->dc) dck += s->dc[row * n + k];
    if (clip > 0 && FT_FABS(c[k]) >= clip) dck = 0;
    di = dck * g;
    dg = dck * i;
    df = before >= 0 ? dck * s->c[before * n + k] : 0;
    if (p->coupled) df -= di;
    if (extra) {
      if (!p->coupled) di += extra[k];
      df += extra[jf];
      dg += extra[jg];
      d_o += extra[jo];
    }
    if (!p->coupled) da[k] = di * i * (1 - i);
    da[jf] = df * f * (1 - f);
    da[jg] = dg * (1 - g * g);
    da[jo] = d_o * o * (1 - o);
    dc[k] = dck * f;
  }
}

#endif /* FT_KERNELS_LSTM_CELL_H_ */
