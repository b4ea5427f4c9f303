/* The last second or so of a stream of audio, as a front end keeps it.
 *
 * Samples come a hop at a time. Of the samples only those are kept that the
 * next frames need; of the past there are what the caller computed for each
 * frame, in slots that are overwritten in turns, the largest sample of each
 * hop, and which frames held nothing but zeros. A new ring has heard silence
 * for ever. No allocation, no error path.
 *
 *   E = ft_audio_ring_overlap(), hops that a frame touches
 *   samples [E * hop_samples], the newest at the end
 *   peaks   [frames + E - 1], of the hops that the frames touch together
 *   silent  [frames]
 *   next    [2], the slots that come next: of a frame, of a hop */
#ifndef FT_KERNELS_MFCC_AUDIO_RING_H_
#define FT_KERNELS_MFCC_AUDIO_RING_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t frame_samples, hop_samples, frames;
  int16_t *samples, *peaks;
  uint8_t* silent;
  int32_t* next;
} ft_audio_ring;

int32_t ft_audio_ring_overlap(int32_t frame_samples, int32_t hop_samples);

void ft_audio_ring_init(const ft_audio_ring* ring);

/* Takes hop_samples samples. The slot of the frame that they complete, whose
 * frame_samples samples begin at ring->samples. */
int32_t ft_audio_ring_push(const ft_audio_ring* ring, const int16_t* samples);

/* The slot of frame t, 0 the oldest. */
int32_t ft_audio_ring_slot(const ft_audio_ring* ring, int32_t t);

/* The largest sample of all hops that the frames touch; 0 if none is positive.
 */
int16_t ft_audio_ring_peak(const ft_audio_ring* ring);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_AUDIO_RING_H_ */
