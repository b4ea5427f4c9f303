/* Scaled dot-product attention over heads, and its gradients.
 *
 * y_i = sum_j p_ij v_j with p_ij = e^(scale q_i k_j - log_sum_i); query head h
 * reads key head h / (heads / kv_heads). With `causal`, query i sees keys up to
 * i + kv_len - q_len. A key whose id equals `pad` is seen by nobody; a query
 * that sees no key has y = 0 and log_sum = 0.
 *
 * in:  q [batch, q_len, heads, head_dim], k and v [batch, kv_len, kv_heads,
 *      head_dim] float, key_ids [batch, kv_len] int32 (NULL: all are seen)
 * out: y as q, log_sum [batch, heads, q_len]
 * The gradient computes each p_ij again from log_sum, so that nothing of the
 * size of q_len * kv_len is ever stored:
 * in:  dy, q, k, v, y, log_sum, key_ids (NULL as above), dlog_sum (NULL: 0)
 * out: dq, dk, dv
 * scratch: kv_len elements (C99 rows; none for the gradient). */
#ifndef FT_KERNELS_ATTENTION_H_
#define FT_KERNELS_ATTENTION_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t batch, q_len, kv_len;
  int32_t heads, kv_heads, head_dim;
  int32_t causal, pad;
  float scale;
} ft_attention_params;

/* Keys that query i may see, pads among them. */
static inline int32_t ft_attention_span(const ft_attention_params* p,
                                        int32_t i) {
  return p->causal ? i + 1 + p->kv_len - p->q_len : p->kv_len;
}

void ft_attention_f32_c99(const void* params, const ft_args* args);
void ft_attention_f64_c99(const void* params, const ft_args* args);
void ft_attention_grad_f32_c99(const void* params, const ft_args* args);
void ft_attention_grad_f64_c99(const void* params, const ft_args* args);

/* Rows of Highway: tiles of queries on the shared product of gemm.h. */
size_t ft_attention_hwy_scratch_bytes(const ft_attention_params* params);
size_t ft_attention_grad_hwy_scratch_bytes(const ft_attention_params* params);
void ft_attention_f32_hwy(const void* params, const ft_args* args);
void ft_attention_grad_f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ATTENTION_H_ */
