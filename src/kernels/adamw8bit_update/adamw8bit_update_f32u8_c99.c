#include "kernels/adamw8bit_update/adamw8bit_update.h"
#include "kernels/math/ft_math.h"

/* The code whose value is nearest to x; the lower one of two at equal
 * distance. */
static uint8_t encode(const float* map, float x) {
  int32_t low = 0, high = 255;
  while (low < high) {
    const int32_t middle = (low + high) / 2;
    const float between = (map[middle] + map[middle + 1]) * 0.5f;
    if (x > between)
      low = middle + 1;
    else
      high = middle;
  }
  return (uint8_t)low;
}

/* A second moment above 0 must not become 0: the next gradient of 0 would then
 * move the parameter by m / eps. */
static uint8_t encode_v(float v) {
  const uint8_t code = encode(ft_dynamic_map_unsigned, v);
  return (uint8_t)(code == 0 && v > 0 ? 1 : code);
}

/* The moments of one element after this step. */
static float next_m(const ft_adamw_update_params* p, float m, float g) {
  return m + p->one_minus_beta1 * (g - m);
}

static float next_v(const ft_adamw_update_params* p, float v, float g) {
  return p->beta2 * v + p->one_minus_beta2 * (g * g);
}

static float largest(float so_far, float x) {
  const float magnitude = ft_fabsf(x);
  return magnitude > so_far ? magnitude : so_far;
}

/* 1 / absmax without infinity where the block is all zero. */
static float inverse(float absmax) {
  return 1.0f / (absmax > 1e-38f ? absmax : 1e-38f);
}

typedef struct {
  float* param;
  const float* grad;
  uint8_t *m, *v;
  float *m_absmax, *v_absmax;
  int32_t count;
} block_of_state;

/* The new moments are computed twice, first for their absmax: that spares a
 * float copy of the block. */
static void update_block(const ft_adamw_update_params* p, const float* hyper,
                         const block_of_state* b) {
  const float keep = 1 - hyper[0] * p->weight_decay;
  const float step = hyper[0] * hyper[1];
  const float m_was = *b->m_absmax, v_was = *b->v_absmax;
  float m_now = 0, v_now = 0;
  int32_t i;
  for (i = 0; i < b->count; ++i) {
    const float m = m_was * ft_dynamic_map_signed[b->m[i]];
    const float v = v_was * ft_dynamic_map_unsigned[b->v[i]];
    m_now = largest(m_now, next_m(p, m, b->grad[i]));
    v_now = largest(v_now, next_v(p, v, b->grad[i]));
  }
  for (i = 0; i < b->count; ++i) {
    const float g = b->grad[i];
    const float m = next_m(p, m_was * ft_dynamic_map_signed[b->m[i]], g);
    const float v = next_v(p, v_was * ft_dynamic_map_unsigned[b->v[i]], g);
    b->param[i] =
        b->param[i] * keep - step * (m / (ft_sqrtf(v * hyper[2]) + p->eps));
    b->m[i] = encode(ft_dynamic_map_signed, m * inverse(m_now));
    b->v[i] = encode_v(v * inverse(v_now));
  }
  *b->m_absmax = m_now;
  *b->v_absmax = v_now;
}

void ft_adamw8bit_update_f32u8_c99(const void* params, const ft_args* args) {
  const ft_adamw_update_params* p = (const ft_adamw_update_params*)params;
  const float* hyper = (const float*)args->in[6];
  const int32_t blocks = ft_8bit_blocks(p->count);
  int32_t i;
  if (hyper[3] != 0) return;
  for (i = 0; i < blocks; ++i) {
    const int32_t at = i * FT_8BIT_BLOCK, left = p->count - at;
    block_of_state block;
    block.param = (float*)args->in[0] + at;
    block.grad = (const float*)args->in[1] + at;
    block.m = (uint8_t*)args->in[2] + at;
    block.v = (uint8_t*)args->in[3] + at;
    block.m_absmax = (float*)args->in[4] + i;
    block.v_absmax = (float*)args->in[5] + i;
    block.count = left < FT_8BIT_BLOCK ? left : FT_8BIT_BLOCK;
    update_block(p, hyper, &block);
  }
}
