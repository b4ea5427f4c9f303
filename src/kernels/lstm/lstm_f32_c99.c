#include "kernels/lstm/lstm.h"
#include "kernels/lstm/lstm_cell.h"
#include "kernels/real.h"

/* a[j] = a_x[j] + sum over k of r[j, k] h[k]; no h at the first step. */
static void add_recurrent(const ft_real* a_x, const ft_real* r,
                          const ft_real* h, int32_t n, int32_t k, ft_real* a) {
  int32_t j, l;
  for (j = 0; j < n; ++j, r += k) {
    ft_real sum = a_x[j];
    for (l = 0; h && l < k; ++l) sum += r[l] * h[l];
    a[j] = sum;
  }
}

void FT_NAME(lstm)(const void* params, const ft_args* args) {
  const ft_lstm_params* p = (const ft_lstm_params*)params;
  const int32_t n = p->hidden, width = ft_lstm_width(p);
  const ft_real* gates_x = (const ft_real*)args->in[0];
  const ft_real* r = (const ft_real*)args->in[1];
  ft_real* gates = (ft_real*)args->out[0];
  ft_real* h = (ft_real*)args->out[1];
  ft_real* c = (ft_real*)args->out[2];
  int32_t b, t;
  for (b = 0; b < p->batch; ++b) {
    int32_t last = -1;
    for (t = 0; t < p->time; ++t) {
      const int32_t row = ft_lstm_row(p, b, t);
      ft_real* a = gates + row * width;
      add_recurrent(gates_x + row * width, r, t ? h + last * n : 0, width, n,
                    a);
      lstm_cell(p, a, t ? c + last * n : 0, h + row * n, c + row * n);
      last = row;
    }
  }
}

/* dh[k] = sum over j of r[j, k] da[j] */
static void recurrent_grad(const ft_real* da, const ft_real* r, int32_t n,
                           int32_t k, ft_real* dh) {
  int32_t j, l;
  for (l = 0; l < k; ++l) dh[l] = 0;
  for (j = 0; j < n; ++j, r += k)
    for (l = 0; l < k; ++l) dh[l] += r[l] * da[j];
}

void FT_NAME(lstm_grad)(const void* params, const ft_args* args) {
  const ft_lstm_params* p = (const ft_lstm_params*)params;
  const int32_t n = p->hidden, width = ft_lstm_width(p);
  const lstm_saved all = {
      (const ft_real*)args->in[0], (const ft_real*)args->in[1],
      (const ft_real*)args->in[3], (const ft_real*)args->in[4],
      (const ft_real*)args->in[5]};
  const ft_real* r = (const ft_real*)args->in[2];
  ft_real* da = (ft_real*)args->out[0];
  ft_real* dh = (ft_real*)args->scratch;
  ft_real* dc = dh + n;
  int32_t b, t, k;
  for (b = 0; b < p->batch; ++b) {
    for (k = 0; k < 2 * n; ++k) dh[k] = 0;
    for (t = p->time - 1; t >= 0; --t) {
      const int32_t row = ft_lstm_row(p, b, t);
      const int32_t before = t ? ft_lstm_row(p, b, t - 1) : -1;
      lstm_cell_grad(p, &all, row, before, dh, dc, da + row * width);
      if (t) recurrent_grad(da + row * width, r, width, n, dh);
    }
  }
}
