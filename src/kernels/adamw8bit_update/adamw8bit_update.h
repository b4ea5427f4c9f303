/* One step of AdamW whose two moments are stored in 8 bits, block by block.
 *
 * The formulas are those of adamw_update.h, in float. Between steps a block of
 * 256 elements keeps its largest magnitude (absmax) and one code an element:
 *   value = absmax * map[code],
 * where the dynamic map has few steps near 1 and many near 0: seven decades of
 * powers of ten, the k-th from the top cut into 64 / 2^k equal parts (128 / 2^k
 * without a sign), each represented by its middle, and 0 and 1 themselves. The
 * first moment uses the signed map, the second the unsigned one. Source:
 * Dettmers, Lewis, Shleifer, Zettlemoyer, "8-bit Optimizers via Block-wise
 * Quantization", 2021; the map and the blocks are those of bitsandbytes. Unlike
 * there a second moment above 0 never gets the code of 0: beside a first moment
 * that stays, that would make the next step m / eps.
 *
 * in:  param    [count] float, written
 *      grad     [count] float
 *      m, v     [count] uint8 codes, written
 *      m_absmax, v_absmax [ceil(count / 256)] float, written
 *      hyper    [4] float32: as for adamw_update
 * Zeros everywhere are the state of no step yet. */
#ifndef FT_KERNELS_ADAMW8BIT_UPDATE_H_
#define FT_KERNELS_ADAMW8BIT_UPDATE_H_

#include "kernels/adamw_update/adamw_update.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_8BIT_BLOCK = 256 };

/* Blocks of `count` elements, the last one possibly shorter. */
static inline int32_t ft_8bit_blocks(int32_t count) {
  return count / FT_8BIT_BLOCK + (count % FT_8BIT_BLOCK != 0);
}

/* The maps, ascending. */
extern const float ft_dynamic_map_signed[256];
extern const float ft_dynamic_map_unsigned[256];

/* Takes ft_adamw_update_params. */
void ft_adamw8bit_update_f32u8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ADAMW8BIT_UPDATE_H_ */
