/* y = act(a op b), element-wise with broadcasting.
 *
 * in:  a, b float or int8
 * out: y of the broadcast shape; may be an operand that is not broadcast
 * int8: bit-equal to TensorFlow Lite's reference; maximum and minimum compare
 * raw values, so all three quantizers are the same there. No int8 division. */
#ifndef FT_KERNELS_BINARY_H_
#define FT_KERNELS_BINARY_H_

#include "kernels/binary/strided_pair.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FT_BINARY_ADD = 0,
  FT_BINARY_SUB = 1,
  FT_BINARY_MUL = 2,
  FT_BINARY_DIV = 3,
  FT_BINARY_MAXIMUM = 4,
  FT_BINARY_MINIMUM = 5,
  FT_BINARY_SQUARED_DIFFERENCE = 6
};

/* left_shift of int8 addition and subtraction. */
enum { FT_BINARY_LEFT_SHIFT = 20 };

typedef struct {
  ft_strided_pair pair;
  int32_t kind, act;
  /* int8: operands are shifted left, then brought to a common scale. */
  int32_t left_shift;
  int32_t a_zero_point, a_multiplier, a_shift;
  int32_t b_zero_point, b_multiplier, b_shift;
  int32_t y_zero_point, y_multiplier, y_shift;
  int32_t q_low, q_high;
} ft_binary_params;

void ft_binary_f32_c99(const void* params, const ft_args* args);
void ft_binary_f64_c99(const void* params, const ft_args* args);
void ft_binary_s8_c99(const void* params, const ft_args* args);
void ft_binary_f32_hwy(const void* params, const ft_args* args);
void ft_binary_s8_hwy(const void* params, const ft_args* args);
/* Addition and subtraction without a shift to the left. */
int ft_binary_s8_hwy_accepts(const ft_binary_params* p);
/* Addition and subtraction of equal shapes; aux[0] = ft_linear_sum. */
int ft_binary_s8_avx512vnni_available(void);
void ft_binary_s8_avx512vnni(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BINARY_H_ */
