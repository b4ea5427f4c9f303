/* The features of mfcc.h for a stream of 16-bit audio, in floating point.
 *
 * Each frame is computed once, when its last sample comes, from samples as they
 * are (1.0 is 32768). Where a clip is divided by its largest sample, that is
 * one number added to a frame's first coefficient when features are read: the
 * logarithm turns the division into a difference, and the DCT of a constant has
 * a first coefficient only. So frames need not be computed again when the
 * largest sample of the window changes. Against ft_mfcc_run on the same clip:
 * the same bits with FT_AUDIO_AS_IS; with FT_AUDIO_DIVIDE_BY_MAX rounding, and
 * the log floor stands beside sounds that are not divided yet.
 *
 *   features [frames, coefficients], slots of `ring`; for these functions only
 *   scratch  ft_mfcc_scratch_floats() */
#ifndef FT_KERNELS_MFCC_MFCC_STREAM_H_
#define FT_KERNELS_MFCC_MFCC_STREAM_H_

#include "kernels/mfcc/audio_ring.h"
#include "kernels/mfcc/mfcc.h"

#ifdef __cplusplus
extern "C" {
#endif

void ft_mfcc_stream_init(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                         float* features, float* scratch);

/* Takes hop_samples samples. */
void ft_mfcc_stream_push(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                         float* features, float* scratch,
                         const int16_t* samples);

/* What the division by the largest sample adds to first coefficients. */
float ft_mfcc_stream_shift(const ft_mfcc* mfcc, const ft_audio_ring* ring);

/* row[coefficients] of frame t, 0 the oldest; `shift` of the function above. */
void ft_mfcc_stream_row(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                        const float* features, float shift, int32_t t,
                        float* row);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_MFCC_STREAM_H_ */
