/* int8 addition and subtraction of equal shapes with Helium, four at a time. */
#include <arm_mve.h>

#include "kernels/binary/device_add.h"

static inline int32x4_t rescale(int32x4_t x, const ft_device_rescale* r) {
  const int32x4_t v = vqrdmulhq_n_s32(x, r->multiplier);
  const int32x4_t fix = vandq_s32(vshrq_n_s32(v, 31), vdupq_n_s32(r->fix));
  return vshlq_r_s32(vaddq_n_s32(vaddq_s32(v, fix), r->offset), -r->right);
}

void ft_binary_s8_helium(const void* params, const ft_args* args) {
  const ft_binary_params* p = (const ft_binary_params*)params;
  const ft_device_add d = ft_device_add_of(p);
  const int8_t* a = (const int8_t*)args->in[0];
  const int8_t* b = (const int8_t*)args->in[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32x4_t low = vdupq_n_s32(p->q_low), high = vdupq_n_s32(p->q_high);
  int32_t left;
  for (left = d.elements; left > 0; left -= 4, a += 4, b += 4, y += 4) {
    const mve_pred16_t live = vctp32q((uint32_t)left);
    int32x4_t u = vshlq_n_s32(vldrbq_z_s32(a, live), FT_BINARY_LEFT_SHIFT);
    int32x4_t v = vshlq_n_s32(vldrbq_z_s32(b, live), FT_BINARY_LEFT_SHIFT);
    u = rescale(vaddq_n_s32(u, d.a_start), &d.a);
    v = rescale(vaddq_n_s32(v, d.b_start), &d.b);
    v = rescale(d.is_sub ? vsubq_s32(u, v) : vaddq_s32(u, v), &d.y);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(v, low), high), live);
  }
}
