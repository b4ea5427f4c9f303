#include "kernels/mfcc/mfcc.h"

#include "kernels/math/ft_math.h"
#include "kernels/mfcc/fft.h"

int32_t ft_mfcc_frames(const ft_mfcc_config* c) {
  return 1 + (c->clip_samples - c->frame_samples) / c->hop_samples;
}

size_t ft_mfcc_scratch_floats(const ft_mfcc_config* c) {
  return (size_t)c->fft_size + ((size_t)c->fft_size / 2 + 1) +
         (size_t)c->mel_bins;
}

float ft_audio_max_scale(const float* audio, size_t samples) {
  float max = 0.0f;
  size_t i;
  for (i = 0; i < samples; ++i)
    if (audio[i] > max) max = audio[i];
  return max > 0.0f ? 1.0f / max : 1.0f;
}

static void log_mel(const ft_mfcc* mfcc, const float* magnitude, float* mel) {
  const int32_t bins = mfcc->config.fft_size / 2 + 1;
  const int32_t mels = mfcc->config.mel_bins;
  int32_t k;
  for (k = 0; k < mels; ++k) mel[k] = 0.0f;
  for (k = 0; k < bins; ++k) {
    const int32_t e = (int32_t)mfcc->mel_band[k];
    const float f = mfcc->mel_rise[k];
    if (e < 0) continue;
    if (e < mels) mel[e] += f * magnitude[k];
    if (e > 0) mel[e - 1] += (1.0f - f) * magnitude[k];
  }
  for (k = 0; k < mels; ++k) mel[k] = ft_logf(mel[k] + mfcc->config.log_floor);
}

void ft_mfcc_frame(const ft_mfcc* mfcc, float* x, float* out) {
  const ft_mfcc_config* c = &mfcc->config;
  float* magnitude = x + c->fft_size;
  float* mel = magnitude + c->fft_size / 2 + 1;
  int32_t i, j;
  ft_fft_magnitude(c->fft_size, mfcc->twiddle, x, magnitude);
  log_mel(mfcc, magnitude, mel);
  for (i = 0; i < c->coefficients; ++i) {
    const float* row = mfcc->dct + i * c->mel_bins;
    float sum = 0.0f;
    for (j = 0; j < c->mel_bins; ++j) sum += row[j] * mel[j];
    out[i] = sum;
  }
}

void ft_mfcc_run(const ft_mfcc* mfcc, const float* audio, size_t samples,
                 float* features, float* scratch) {
  const ft_mfcc_config* c = &mfcc->config;
  const int32_t frames = ft_mfcc_frames(c);
  const size_t used =
      samples < (size_t)c->clip_samples ? samples : (size_t)c->clip_samples;
  const float scale = c->normalize == FT_AUDIO_DIVIDE_BY_MAX
                          ? ft_audio_max_scale(audio, used)
                          : 1.0f;
  int32_t t, i;
  for (t = 0; t < frames; ++t) {
    const size_t start = (size_t)t * (size_t)c->hop_samples;
    for (i = 0; i < c->fft_size; ++i) {
      const size_t at = start + (size_t)i;
      scratch[i] = i < c->frame_samples && at < used
                       ? audio[at] * scale * mfcc->window[i]
                       : 0.0f;
    }
    ft_mfcc_frame(mfcc, scratch, features + t * c->coefficients);
  }
}
