#include "kernels/mfcc/mfcc_stream.h"

#include "kernels/math/ft_math.h"

static const float kSample = 1.0f / 32768.0f;

static void compute_frame(const ft_mfcc* mfcc, const int16_t* samples, float* x,
                          float* out) {
  const ft_mfcc_config* c = &mfcc->config;
  int32_t i;
  for (i = 0; i < c->frame_samples; ++i)
    x[i] = (float)samples[i] * kSample * mfcc->window[i];
  for (; i < c->fft_size; ++i) x[i] = 0.0f;
  ft_mfcc_frame(mfcc, x, out);
}

void ft_mfcc_stream_init(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                         float* features, float* scratch) {
  const int32_t coefficients = mfcc->config.coefficients;
  int32_t i;
  ft_audio_ring_init(ring);
  compute_frame(mfcc, ring->samples, scratch, features);
  for (i = coefficients; i < ring->frames * coefficients; ++i)
    features[i] = features[i - coefficients];
}

void ft_mfcc_stream_push(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                         float* features, float* scratch,
                         const int16_t* samples) {
  const int32_t slot = ft_audio_ring_push(ring, samples);
  compute_frame(mfcc, ring->samples, scratch,
                features + slot * mfcc->config.coefficients);
}

float ft_mfcc_stream_shift(const ft_mfcc* mfcc, const ft_audio_ring* ring) {
  const float peak = (float)ft_audio_ring_peak(ring) * kSample;
  float sum = 0.0f;
  int32_t j;
  if (mfcc->config.normalize != FT_AUDIO_DIVIDE_BY_MAX || !(peak > 0.0f))
    return 0.0f;
  for (j = 0; j < mfcc->config.mel_bins; ++j) sum += mfcc->dct[j];
  return sum * ft_logf(1.0f / peak);
}

void ft_mfcc_stream_row(const ft_mfcc* mfcc, const ft_audio_ring* ring,
                        const float* features, float shift, int32_t t,
                        float* row) {
  const int32_t slot = ft_audio_ring_slot(ring, t);
  const float* from = features + slot * mfcc->config.coefficients;
  int32_t i;
  for (i = 0; i < mfcc->config.coefficients; ++i) row[i] = from[i];
  if (!ring->silent[slot]) row[0] += shift;
}
