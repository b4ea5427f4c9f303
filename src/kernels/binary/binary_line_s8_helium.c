/* int8 addition and subtraction of equal shapes with Helium, four at a time,
 * where one rounded line of both operands gives the bytes of the C99 row
 * (linear_sum.h).
 *
 * aux: ft_linear_sum. */
#include <arm_mve.h>

#include "kernels/binary/linear_sum.h"

void ft_binary_line_s8_helium(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const ft_linear_sum* s = (const ft_linear_sum*)args->aux[0];
  const int8_t* a = (const int8_t*)args->in[0];
  const int8_t* b = (const int8_t*)args->in[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  const int32_t a_high = s->a_high * 256, b_high = s->b_high * 256;
  const int32_t a_low = s->a_low, b_low = s->b_low, offset = s->offset;
  const int32_t left = -s->right, zero_point = p->y_zero_point;
  int32_t rest;
  for (rest = p->pair.dims[0]; rest > 0; rest -= 4, a += 4, b += 4, y += 4) {
    const mve_pred16_t live = vctp32q((uint32_t)rest);
    const int32x4_t u = vldrbq_z_s32(a, live), v = vldrbq_z_s32(b, live);
    int32x4_t sum = vmulq_n_s32(u, a_low);
    sum = vshrq_n_s32(vmlaq_n_s32(sum, v, b_low), 7);
    sum = vmlaq_n_s32(vmlaq_n_s32(sum, u, a_high), v, b_high);
    sum = vshlq_r_s32(vaddq_n_s32(sum, offset), left);
    sum = vaddq_n_s32(sum, zero_point);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(sum, low), high), live);
  }
}
