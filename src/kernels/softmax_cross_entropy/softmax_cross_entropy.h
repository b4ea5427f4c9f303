/* loss = mean over known rows of log(sum_j e^x_j) - x_label, and its gradient.
 *
 * in:  logits [rows, classes] float
 *      labels [rows] int32; a row whose label lies outside [0, classes), such
 *             as padding, is not known: it adds no loss and no gradient. With
 *             no known row the loss is 0
 *      dloss  [1] float (gradient only)
 * out: loss [1], or dlogits [rows, classes], which may be logits */
#ifndef FT_KERNELS_SOFTMAX_CROSS_ENTROPY_H_
#define FT_KERNELS_SOFTMAX_CROSS_ENTROPY_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, classes;
} ft_softmax_cross_entropy_params;

void ft_softmax_cross_entropy_f32_c99(const void* params, const ft_args* args);
void ft_softmax_cross_entropy_f64_c99(const void* params, const ft_args* args);
void ft_softmax_cross_entropy_f32_hwy(const void* params, const ft_args* args);
void ft_softmax_cross_entropy_grad_f32_c99(const void* params,
                                           const ft_args* args);
void ft_softmax_cross_entropy_grad_f32_hwy(const void* params,
                                           const ft_args* args);
void ft_softmax_cross_entropy_grad_f64_c99(const void* params,
                                           const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SOFTMAX_CROSS_ENTROPY_H_ */
