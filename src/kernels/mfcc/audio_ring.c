#include "kernels/mfcc/audio_ring.h"

#include <string.h>

int32_t ft_audio_ring_overlap(int32_t frame_samples, int32_t hop_samples) {
  return (frame_samples + hop_samples - 1) / hop_samples;
}

static int32_t overlap_of(const ft_audio_ring* ring) {
  return ft_audio_ring_overlap(ring->frame_samples, ring->hop_samples);
}

static int32_t hops_of(const ft_audio_ring* ring) {
  return ring->frames + overlap_of(ring) - 1;
}

void ft_audio_ring_init(const ft_audio_ring* ring) {
  const size_t samples = (size_t)overlap_of(ring) * (size_t)ring->hop_samples;
  memset(ring->samples, 0, samples * sizeof *ring->samples);
  memset(ring->peaks, 0, (size_t)hops_of(ring) * sizeof *ring->peaks);
  memset(ring->silent, 1, (size_t)ring->frames);
  ring->next[0] = ring->next[1] = 0;
}

int32_t ft_audio_ring_push(const ft_audio_ring* ring, const int16_t* samples) {
  const int32_t hop = ring->hop_samples;
  const int32_t kept = (overlap_of(ring) - 1) * hop;
  const int32_t slot = ring->next[0];
  int16_t peak = 0;
  int32_t i, any = 0;
  memmove(ring->samples, ring->samples + hop,
          (size_t)kept * sizeof *ring->samples);
  memcpy(ring->samples + kept, samples, (size_t)hop * sizeof *ring->samples);
  for (i = 0; i < hop; ++i)
    if (samples[i] > peak) peak = samples[i];
  for (i = 0; i < ring->frame_samples; ++i) any |= ring->samples[i];
  ring->peaks[ring->next[1]] = peak;
  ring->silent[slot] = any == 0;
  ring->next[0] = slot + 1 < ring->frames ? slot + 1 : 0;
  ring->next[1] = ring->next[1] + 1 < hops_of(ring) ? ring->next[1] + 1 : 0;
  return slot;
}

int32_t ft_audio_ring_slot(const ft_audio_ring* ring, int32_t t) {
  const int32_t slot = ring->next[0] + t;
  return slot < ring->frames ? slot : slot - ring->frames;
}

int16_t ft_audio_ring_peak(const ft_audio_ring* ring) {
  const int32_t hops = hops_of(ring);
  int16_t peak = 0;
  int32_t i;
  for (i = 0; i < hops; ++i)
    if (ring->peaks[i] > peak) peak = ring->peaks[i];
  return peak;
}
