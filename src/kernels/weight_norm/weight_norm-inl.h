/* The includer defines FT_FN (symbol), FT_W (element type of w) and FT_SCALE(o)
 * (the scale of output o's weights). */
#include "kernels/real.h"
#include "kernels/weight_norm/weight_norm.h"

void FT_FN(const void* params, const ft_args* args) {
  const ft_weight_norm_params* p = (const ft_weight_norm_params*)params;
  const FT_W* w = (const FT_W*)args->in[0];
  const ft_real* a = (const ft_real*)args->in[1];
  const ft_real* b = (const ft_real*)args->in[2];
  ft_real* norm = (ft_real*)args->out[0];
  const ft_real smallest = FT_R(1.17549435e-38);
  int32_t o, j, l;
  for (o = 0; o < p->rows; ++o) {
    const ft_real scale = FT_SCALE(o);
    ft_real squares = 0, length;
    for (j = 0; j < p->columns; ++j) {
      ft_real v = (ft_real)w[o * p->out_step + j * p->step] * scale;
      ft_real product = 0;
      for (l = 0; l < p->rank; ++l)
        product += b[o * p->rank + l] * a[l * p->columns + j];
      v += (ft_real)p->scaling * product;
      squares += v * v;
    }
    length = FT_SQRT(squares);
    norm[o] = length > smallest ? length : smallest;
  }
}
