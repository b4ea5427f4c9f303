/* A side's first product, h = A x, of a batch of requests that have an adapter
 * each. What B makes of h: the grouped rows of fully_connected.h and
 * side_conv2d.h. Not in fully_connected.h, which devices' kernels include. */
#ifndef FT_KERNELS_FULLY_CONNECTED_GROUPED_H_
#define FT_KERNELS_FULLY_CONNECTED_GROUPED_H_

#include "kernels/fully_connected/fully_connected.h"

#ifdef __cplusplus
extern "C" {
#endif

/* h = A x: ft_fully_connected_s8f32_c99() with in[1] `const float*
 * const[rows]`, a w [n, k] for each row. No bias, side, gain or activation.
 * Needs ft_fully_connected_s8_avx512vnni_available(). */
void ft_fully_connected_grouped_s8f32_avx512vnni(const void* params,
                                                 const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_FULLY_CONNECTED_GROUPED_H_ */
