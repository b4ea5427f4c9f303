/* y = act(gain * (x w^T + lora_scaling * h lora_b^T) + bias), the bias inside
 * of the parenthesis with gain_bias.
 *
 * in:  x [rows, k], w [n, k], bias? [n] (float; int32 for int8 x and w),
 *      h? [rows, r] float, lora_b? [n, r] float, gain? [n] float
 * aux: int8 outputs only: multiplier [n] and shift [n] int32,
 *      inv_acc_scale [n] float = 1 / (x_scale * w_scale)
 * out: y [rows, n]
 * Sums run along k, from 0; bias and the low-rank side come last. x real =
 * x_scale * (q - x_zero_point); a float x has scale 1 and zero point 0. */
#ifndef FT_KERNELS_FULLY_CONNECTED_FULLY_CONNECTED_H_
#define FT_KERNELS_FULLY_CONNECTED_FULLY_CONNECTED_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, n, k;
  int32_t rank;      /* r of the low-rank side, 0 without */
  int32_t act;       /* FT_ACT_*, float outputs */
  int32_t gain_bias; /* a gain, if given, applies to the bias too */
  int32_t x_zero_point, y_zero_point;
  int32_t q_low, q_high; /* int8 outputs are clamped to this range */
  float x_scale;
  float lora_scaling;
} ft_fully_connected_params;

void ft_fully_connected_f32_c99(const void* params, const ft_args* args);
void ft_fully_connected_f64_c99(const void* params, const ft_args* args);
/* For an x with many zeros; no side, no gain. */
void ft_fully_connected_skip_f32_c99(const void* params, const ft_args* args);
void ft_fully_connected_skip_f64_c99(const void* params, const ft_args* args);
void ft_fully_connected_s8_c99(const void* params, const ft_args* args);
void ft_fully_connected_s8f32_c99(const void* params, const ft_args* args);
/* Host rows, with the scratch that they need. The packed row takes constant
 * float weights, packed, in aux[0]. */
size_t ft_fully_connected_hwy_scratch_bytes(const ft_fully_connected_params* p,
                                            int packed);
size_t ft_fully_connected_hwy_packed_bytes(const ft_fully_connected_params* p);
void ft_fully_connected_hwy_pack(const ft_fully_connected_params* p,
                                 const float* w, float* packed);
/* int8 x, float w. */
size_t ft_fully_connected_s8f32_hwy_scratch_bytes(
    const ft_fully_connected_params* p);
void ft_fully_connected_s8f32_hwy(const void* params, const ft_args* args);
/* For an x with many zeros; no side, no gain. */
size_t ft_fully_connected_skip_hwy_scratch_bytes(
    const ft_fully_connected_params* p);
void ft_fully_connected_skip_f32_hwy(const void* params, const ft_args* args);
int ft_fully_connected_hwy_packing_pays(const ft_fully_connected_params* p);
void ft_fully_connected_f32_hwy_packed(const void* params, const ft_args* args);
void ft_fully_connected_f32_hwy(const void* params, const ft_args* args);

/* int8 with constant weights and bias: aux[3] packed weights, aux[4] constants
 * of the channels, both made by pack(). */
int ft_fully_connected_s8_avx512vnni_available(void);
size_t ft_fully_connected_s8_avx512vnni_packed_bytes(
    const ft_fully_connected_params* p);
size_t ft_fully_connected_s8_avx512vnni_channels_bytes(
    const ft_fully_connected_params* p);
size_t ft_fully_connected_s8_avx512vnni_scratch_bytes(
    const ft_fully_connected_params* p);
void ft_fully_connected_s8_avx512vnni_pack(const ft_fully_connected_params* p,
                                           const int8_t* w, const int32_t* bias,
                                           const int32_t* multiplier,
                                           const int32_t* shift, void* packed,
                                           void* channels);
void ft_fully_connected_s8_avx512vnni(const void* params, const ft_args* args);
/* The same, to the same bits, where each row has a side of its own: in[4] is
 * `const float* const[rows]`, a lora_b [n, r] for each row. No gain. */
void ft_fully_connected_grouped_s8_avx512vnni(const void* params,
                                              const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_FULLY_CONNECTED_FULLY_CONNECTED_H_ */
