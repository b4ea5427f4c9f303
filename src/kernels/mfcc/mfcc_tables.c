/* Settings and tables, in double; for hosts, which print them as constants for
 * devices. */
#include <math.h>

#include "kernels/mfcc/fft.h"
#include "kernels/mfcc/mfcc.h"

ft_mfcc_config ft_mfcc_mlperf_kws(void) {
  ft_mfcc_config c;
  c.sample_rate = 16000;
  c.clip_samples = 16000;
  c.frame_samples = 480;
  c.hop_samples = 320;
  c.fft_size = 512;
  c.mel_bins = 40;
  c.coefficients = 10;
  c.normalize = FT_AUDIO_DIVIDE_BY_MAX;
  c.mel_low_hz = 20.0f;
  c.mel_high_hz = 4000.0f;
  c.log_floor = 1e-6f;
  return c;
}

/* The upper limits keep every index and table size far from overflow. */
const char* ft_mfcc_check(const ft_mfcc_config* c) {
  if (c->sample_rate < 1 || c->sample_rate > 1000000)
    return "sample_rate must be 1 to 1000000 Hz";
  if (c->fft_size < 4 || c->fft_size > 65536 ||
      (c->fft_size & (c->fft_size - 1)) != 0)
    return "fft_size must be a power of two from 4 to 65536";
  if (c->frame_samples < 1 || c->frame_samples > c->fft_size)
    return "frame_samples must be 1 to fft_size";
  if (c->clip_samples < c->frame_samples || c->clip_samples > 1 << 26)
    return "clip_samples must be frame_samples to 67108864";
  if (c->hop_samples < 1) return "hop_samples must be at least 1";
  if (c->mel_bins < 1 || c->mel_bins > 1024)
    return "mel_bins must be 1 to 1024";
  if (c->coefficients < 1 || c->coefficients > c->mel_bins)
    return "coefficients must be 1 to mel_bins";
  if (!(c->mel_low_hz >= 0.0f && c->mel_low_hz < c->mel_high_hz))
    return "mel_low_hz must be at least 0 and below mel_high_hz";
  if (!(c->mel_high_hz <= 0.5f * (float)c->sample_rate))
    return "mel_high_hz must be at most half of sample_rate";
  if (!(c->log_floor > 0.0f && c->log_floor <= 1.0f))
    return "log_floor must be above 0 and at most 1";
  if (c->normalize != FT_AUDIO_AS_IS && c->normalize != FT_AUDIO_DIVIDE_BY_MAX)
    return "normalize is unknown";
  return NULL;
}

size_t ft_mfcc_table_floats(const ft_mfcc_config* c) {
  return (size_t)c->frame_samples + (size_t)c->fft_size +
         2 * ((size_t)c->fft_size / 2 + 1) +
         (size_t)c->coefficients * (size_t)c->mel_bins;
}

/* Natural logarithm of x >= 1 in double: halvings, then the series of
 * 2 atanh((x - 1) / (x + 1)), whose argument is at most 1/3. Own code because
 * libm differs in the last bit between machines. */
static double natural_log(double x) {
  double sum = 0, power, square;
  int halvings = 0, k;
  for (; x >= 2; x *= 0.5) ++halvings;
  power = (x - 1) / (x + 1);
  square = power * power;
  for (k = 1; k < 36; k += 2) {
    sum += power / k;
    power *= square;
  }
  return 2 * sum + halvings * 0.693147180559945309417;
}

static double hz_to_mel(double hz) {
  return 1127.0 * natural_log(1.0 + hz / 700.0);
}

/* Triangle b rises from edge b to edge b + 1 and falls to edge b + 2, and the
 * edges are equally spaced in mel. So FFT bin k, which lies the fraction f
 * behind edge e, gives f of its magnitude to triangle e (if there is one) and
 * 1 - f to triangle e - 1: two numbers a bin instead of a matrix. mel_band is
 * e, or -1 for bins outside; the DC bin counts for nothing. */
static void init_mel(const ft_mfcc_config* c, float* rise, float* band) {
  const double low = hz_to_mel(c->mel_low_hz), high = hz_to_mel(c->mel_high_hz);
  const double step = (high - low) / (c->mel_bins + 1);
  int32_t k;
  for (k = 0; k <= c->fft_size / 2; ++k) {
    const double hz = (double)k * c->sample_rate / c->fft_size;
    const double position = (hz_to_mel(hz) - low) / step;
    rise[k] = 0.0f;
    band[k] = -1.0f;
    if (k == 0 || position < 0 || position >= c->mel_bins + 1) continue;
    band[k] = (float)(int32_t)position;
    rise[k] = (float)(position - (int32_t)position);
  }
}

void ft_mfcc_init(const ft_mfcc_config* config, float* tables, ft_mfcc* mfcc) {
  const int32_t bins = config->fft_size / 2 + 1, mels = config->mel_bins;
  const double dct_scale = sqrt(2.0 / mels);
  float* window = tables;
  float* twiddle = window + config->frame_samples;
  float* rise = twiddle + config->fft_size;
  float* band = rise + bins;
  float* dct = band + bins;
  int32_t i, j;
  for (i = 0; i < config->frame_samples; ++i)
    window[i] = (float)(0.5 - 0.5 * ft_cos_turns(i, config->frame_samples));
  ft_fft_init(config->fft_size, twiddle);
  init_mel(config, rise, band);
  /* cos(pi (2j + 1) i / (2 mels)), in turns of 2 pi */
  for (i = 0; i < config->coefficients; ++i)
    for (j = 0; j < mels; ++j)
      dct[i * mels + j] =
          (float)(dct_scale *
                  ft_cos_turns((int64_t)(2 * j + 1) * i, 4 * (int64_t)mels));
  mfcc->config = *config;
  mfcc->window = window;
  mfcc->twiddle = twiddle;
  mfcc->mel_rise = rise;
  mfcc->mel_band = band;
  mfcc->dct = dct;
}
