/* Loops of outer_sgd_update. The includer defines FT_FN (symbol); with
 * FT_SGD_PLAIN_ROWS, plain_rows() is its own. */
#include "kernels/sgd_update/sgd_element.h"

#ifndef FT_SGD_PLAIN_ROWS
static inline void plain_quad(ft_real g, ft_real lr, const ft_real* x,
                              ft_real* param) {
  const ft_real v0 = param[0], v1 = param[1], v2 = param[2], v3 = param[3];
  param[0] = v0 - lr * (g * x[0]);
  param[1] = v1 - lr * (g * x[1]);
  param[2] = v2 - lr * (g * x[2]);
  param[3] = v3 - lr * (g * x[3]);
}

/* Without momentum and decay: four rows, which read x once. */
static void plain_4(const ft_real* dy, const ft_real* x, int32_t cols,
                    ft_real lr, ft_real* param) {
  const ft_real g0 = dy[0], g1 = dy[1], g2 = dy[2], g3 = dy[3];
  ft_real *p0 = param, *p1 = p0 + cols, *p2 = p1 + cols, *p3 = p2 + cols;
  int32_t left;
  for (left = cols / 4; left > 0; --left) {
    const ft_real v[4] = {x[0], x[1], x[2], x[3]};
    plain_quad(g0, lr, v, p0);
    plain_quad(g1, lr, v, p1);
    plain_quad(g2, lr, v, p2);
    plain_quad(g3, lr, v, p3);
    x += 4;
    p0 += 4;
    p1 += 4;
    p2 += 4;
    p3 += 4;
  }
  for (left = cols % 4; left > 0; --left, ++x) {
    *p0 = *p0 - lr * (g0 * *x);
    *p1 = *p1 - lr * (g1 * *x);
    *p2 = *p2 - lr * (g2 * *x);
    *p3 = *p3 - lr * (g3 * *x);
    ++p0;
    ++p1;
    ++p2;
    ++p3;
  }
}

/* As many rows of those without momentum and decay as are done here. */
static int32_t plain_rows(const ft_real* dy, int32_t rows, const ft_real* x,
                          int32_t cols, ft_real lr, ft_real* param) {
  int32_t j;
  for (j = 0; j + 4 <= rows; j += 4)
    plain_4(dy + j, x, cols, lr, param + j * cols);
  return j;
}
#endif

void FT_FN(const void* params, const ft_args* args) {
  const ft_sgd_update_params* p = (const ft_sgd_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  const ft_real* x = (const ft_real*)args->in[2];
  const float* hyper = (const float*)args->in[3];
  ft_real* state = (ft_real*)args->in[4];
  const ft_real lr = hyper[0];
  const int32_t rows = p->kept, cols = p->count / rows;
  int32_t j = 0, i;
  if (hyper[3] != 0) return;
  if (!state && p->weight_decay == 0)
    j = plain_rows(dy, rows, x, cols, lr, param);
  for (; j < rows; ++j)
    for (i = 0; i < cols; ++i)
      ft_sgd_element(p, lr, dy[j] * x[i], param + j * cols + i,
                     state ? state + j * cols + i : NULL);
}
