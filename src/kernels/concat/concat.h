/* Runs of several tensors, one after another, `outer` times; and back.
 *
 * aux[0]: run length of each part, int32 [parts], in elements.
 * concat: in[part] [outer, run(part)] -> out[0] [outer, sum of runs]
 * split:  in[0] [outer, sum of runs] -> out[part] [outer, run(part)] */
#ifndef FT_KERNELS_CONCAT_H_
#define FT_KERNELS_CONCAT_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t elem_bytes, outer, parts;
} ft_concat_params;

void ft_concat_bytes_c99(const void* params, const ft_args* args);
void ft_split_bytes_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_CONCAT_H_ */
