/* The features of mfcc.h for a stream of 16-bit audio, without any float, as
 * the int8 input of a model.
 *
 * A frame is scaled up by the power of two that lets its largest sample fill 16
 * bits, windowed and transformed in 32 bits with factors of 16, so that nothing
 * can overflow. Magnitudes have 15 significant bits, logarithms are base 2 from
 * a table of 33 values. All of it is integer arithmetic without a rounding
 * mode: the same bits on every machine. Division by the largest sample as in
 * mfcc_stream.h.
 *
 *   ft_mfcc_fixed_check() == NULL, tables of ft_mfcc_fixed_table_words(); then
 *   ft_mfcc_fixed_make once (on a host: devices have the result as constants)
 *   features [frames, coefficients], slots of `ring`; for these functions only
 *   scratch  ft_mfcc_fixed_scratch_words() */
#ifndef FT_KERNELS_MFCC_MFCC_FIXED_H_
#define FT_KERNELS_MFCC_MFCC_FIXED_H_

#include "kernels/mfcc/audio_ring.h"
#include "kernels/mfcc/mfcc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t frame_samples, fft_size, mel_bins, coefficients, divide_by_max;
  int32_t first_bin, last_bin; /* FFT bins that some mel band takes */
  int32_t window_shift; /* windowed = (sample << n) * window >> window_shift */
  int32_t mel_shift;    /* magnitudes lose this many bits in mel sums */
  uint32_t floor;       /* log_floor as a mel sum of a frame with n = 15 */
  int32_t log_bits;     /* behind the point of a logarithm in the DCT */
  int32_t feature_bits; /* behind the point of a feature */
  int32_t multiplier, shift, zero_point; /* feature -> int8, fixed_point.h */
  const int16_t* window;                 /* [frame_samples], Q15 */
  const int16_t* twiddle;                /* [fft_size], Q15, as ft_fft_init */
  const int16_t* rise; /* [fft_size / 2 + 1], Q15, see mfcc_tables.c */
  const int16_t* band; /* [fft_size / 2 + 1] */
  const int16_t* dct;  /* [coefficients, mel_bins] * ln 2, Q15 */
} ft_mfcc_fixed;

/* NULL, or one clause that says what fixed point cannot do; `config` has passed
 * ft_mfcc_check. */
const char* ft_mfcc_fixed_check(const ft_mfcc_config* config);
size_t ft_mfcc_fixed_table_words(const ft_mfcc_config* config); /* int16 */
/* `tables` must outlive `fixed`. The caller sets the quantizer: int8 =
 * round(v * multiplier * 2^(shift - 31)) + zero_point of features v, which have
 * feature_bits behind the point. */
void ft_mfcc_fixed_make(const ft_mfcc* mfcc, int16_t* tables,
                        ft_mfcc_fixed* fixed);

size_t ft_mfcc_fixed_scratch_words(const ft_mfcc_config* config); /* int32 */

void ft_mfcc_fixed_init(const ft_mfcc_fixed* fixed, const ft_audio_ring* ring,
                        int16_t* features, int32_t* scratch);

/* Takes hop_samples samples. */
void ft_mfcc_fixed_push(const ft_mfcc_fixed* fixed, const ft_audio_ring* ring,
                        int16_t* features, int32_t* scratch,
                        const int16_t* samples);

/* out[frames, coefficients], the oldest frame first. */
void ft_mfcc_fixed_read(const ft_mfcc_fixed* fixed, const ft_audio_ring* ring,
                        const int16_t* features, int8_t* out);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_MFCC_FIXED_H_ */
