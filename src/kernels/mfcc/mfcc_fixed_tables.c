/* Tables of mfcc_fixed.h from those of mfcc.h; for hosts, which print them as
 * constants for devices. */
#include <math.h>

#include "kernels/mfcc/mfcc_fixed.h"

static const double kLn2 = 0.693147180559945309417;
/* Logarithms to base 2 of spectra lie within +-32: magnitudes are below
 * 2^29 / 2^14, and the floor is at least 1e-9. */
static const double kLogLimit = 32;

const char* ft_mfcc_fixed_check(const ft_mfcc_config* c) {
  if (c->fft_size < 16 || c->fft_size > 4096)
    return "fft_size must be 16 to 4096 in fixed point";
  if (c->mel_bins > 256) return "mel_bins must be at most 256 in fixed point";
  if (!(c->log_floor >= 1e-9f && c->log_floor <= 1e-3f))
    return "log_floor must be 1e-9 to 1e-3 in fixed point";
  return NULL;
}

size_t ft_mfcc_fixed_table_words(const ft_mfcc_config* c) {
  return ft_mfcc_table_floats(c); /* the same tables in 16 bits */
}

size_t ft_mfcc_fixed_scratch_words(const ft_mfcc_config* c) {
  return (size_t)c->fft_size + (size_t)c->mel_bins;
}

static int16_t* to_q15(const float* from, size_t count, double factor,
                       int16_t* to) {
  size_t i;
  for (i = 0; i < count; ++i) {
    const double v = floor(from[i] * factor * 32768.0 + 0.5);
    to[i] = (int16_t)(v > 32767 ? 32767 : v);
  }
  return to + count;
}

/* The largest sum of what a band takes of magnitudes that are all 1. */
static double largest_band(const ft_mfcc* mfcc) {
  const ft_mfcc_config* c = &mfcc->config;
  double largest = 1;
  int32_t b, k;
  for (b = 0; b < c->mel_bins; ++b) {
    double sum = 0;
    for (k = 0; k <= c->fft_size / 2; ++k) {
      const int32_t e = (int32_t)mfcc->mel_band[k];
      if (e == b) sum += mfcc->mel_rise[k];
      if (e == b + 1) sum += 1 - mfcc->mel_rise[k];
    }
    if (sum > largest) largest = sum;
  }
  return largest;
}

/* The bits behind the point that leave `limit` below 2^bits. */
static int32_t bits_behind(double limit, int32_t bits) {
  return bits - (int32_t)ceil(log2(limit));
}

static void choose_scales(const ft_mfcc* mfcc, ft_mfcc_fixed* f) {
  const ft_mfcc_config* c = &mfcc->config;
  const double largest_feature = sqrt(2.0 * c->mel_bins) * kLn2 * kLogLimit;
  /* A Hann window's sum is half its length; the FFT wants below 2^29. */
  const int32_t sum_bits = (int32_t)ceil(log2(0.5 * c->frame_samples));
  f->window_shift = sum_bits < 0 ? 0 : sum_bits + 1;
  /* Below 2^31, so that the floor may come on top. */
  f->mel_shift = 29 - 31 + (int32_t)ceil(log2(largest_band(mfcc)));
  if (f->mel_shift < 0) f->mel_shift = 0;
  f->floor = (uint32_t)floor(
      ldexp(c->log_floor, 45 - f->window_shift - f->mel_shift) + 0.5);
  f->log_bits = bits_behind(largest_feature, 31 - 15);
  f->feature_bits = bits_behind(largest_feature, 15);
}

void ft_mfcc_fixed_make(const ft_mfcc* mfcc, int16_t* tables,
                        ft_mfcc_fixed* f) {
  const ft_mfcc_config* c = &mfcc->config;
  const size_t bins = (size_t)c->fft_size / 2 + 1;
  int16_t* band;
  size_t i;
  f->frame_samples = c->frame_samples;
  f->fft_size = c->fft_size;
  f->mel_bins = c->mel_bins;
  f->coefficients = c->coefficients;
  f->divide_by_max = c->normalize == FT_AUDIO_DIVIDE_BY_MAX;
  f->window = tables;
  tables = to_q15(mfcc->window, (size_t)c->frame_samples, 1, tables);
  f->twiddle = tables;
  tables = to_q15(mfcc->twiddle, (size_t)c->fft_size, 1, tables);
  f->rise = tables;
  band = to_q15(mfcc->mel_rise, bins, 1, tables);
  f->band = band;
  f->dct = band + bins;
  to_q15(mfcc->dct, (size_t)c->coefficients * (size_t)c->mel_bins, kLn2,
         band + bins);
  f->first_bin = 1;
  f->last_bin = 0;
  for (i = 0; i < bins; ++i) {
    band[i] = (int16_t)mfcc->mel_band[i];
    /* The highest bin has no pair in ft_fft_fixed_bin; nor does a band need it:
     * it lies at the end of the last triangle, or beyond. */
    if (band[i] < 0 || i + 1 == bins) continue;
    if (f->last_bin == 0) f->first_bin = (int32_t)i;
    f->last_bin = (int32_t)i;
  }
  f->multiplier = f->shift = f->zero_point = 0;
  choose_scales(mfcc, f);
}
