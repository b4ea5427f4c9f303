#include "kernels/mfcc/mfcc_fixed.h"

#include "kernels/bfp/soft_float.h"
#include "kernels/mfcc/fft_fixed.h"
#include "kernels/quant/fixed_point.h"

/* round(2^15 log2(1 + i / 32)) */
static const uint16_t kLog2[33] = {
    0,     1455,  2866,  4236,  5568,  6863,  8124,  9352,  10549,
    11716, 12855, 13968, 15055, 16117, 17156, 18173, 19168, 20143,
    21098, 22034, 22952, 23852, 24736, 25604, 26455, 27292, 28114,
    28922, 29717, 30498, 31267, 32024, 32768};

/* log2(v) in Q15, v > 0: 1.8e-4 below the true value at most. */
static int32_t log2_q15(uint32_t v) {
  const int32_t bits = ft_bit_length(v);
  const uint32_t top = v << (32 - bits);
  const int32_t i = (int32_t)(top >> 26) & 31;
  const int32_t part = (int32_t)(top >> 15) & 2047;
  const int32_t step = kLog2[i + 1] - kLog2[i];
  return (bits - 1) * 32768 + kLog2[i] + ((step * part) >> 11);
}

static int32_t shifted(int32_t v, int32_t right) {
  return right >= 0 ? v >> right : (int32_t)((uint32_t)v << -right);
}

/* |re + i im| to 15 bits. */
static uint32_t magnitude_of(int32_t re, int32_t im) {
  const uint32_t all =
      (uint32_t)(re < 0 ? ~re : re) | (uint32_t)(im < 0 ? ~im : im);
  const int32_t spare = ft_bit_length(all) - 15;
  uint32_t root, rest;
  int32_t a, b;
  if (all == 0) return 0;
  a = shifted(re, spare);
  b = shifted(im, spare);
  root = ft_root_of_31_bits((uint32_t)(a * a) + (uint32_t)(b * b), &rest);
  return spare >= 0 ? root << spare : root >> -spare;
}

/* x[fft_size] = windowed samples, scaled up by 2^n; n is returned. */
static int32_t load_frame(const ft_mfcc_fixed* f, const int16_t* samples,
                          int32_t* x) {
  int32_t i, n, bits = 0;
  for (i = 0; i < f->frame_samples; ++i)
    bits |= samples[i] < 0 ? ~samples[i] : samples[i];
  n = 15 - ft_bit_length((uint32_t)bits);
  for (i = 0; i < f->frame_samples; ++i)
    x[i] = (samples[i] * (1 << n) * f->window[i]) >> f->window_shift;
  for (; i < f->fft_size; ++i) x[i] = 0;
  return n;
}

static void mel_sums(const ft_mfcc_fixed* f, const int32_t* x, uint32_t* mel) {
  int32_t k;
  for (k = 0; k < f->mel_bins; ++k) mel[k] = 0;
  for (k = f->first_bin; k <= f->last_bin; ++k) {
    const int32_t e = f->band[k];
    int32_t re, im, rise;
    uint32_t magnitude;
    ft_fft_fixed_bin(f->fft_size, f->twiddle, x, k, &re, &im);
    magnitude = magnitude_of(re, im) >> f->mel_shift;
    rise = ft_mul_add_q15((int32_t)magnitude, f->rise[k], 0, 0);
    if (e < f->mel_bins) mel[e] += (uint32_t)rise;
    if (e > 0) mel[e - 1] += magnitude - (uint32_t)rise;
  }
}

/* out[coefficients] of one frame of samples. */
static void compute_frame(const ft_mfcc_fixed* f, const int16_t* samples,
                          int32_t* scratch, int16_t* out) {
  uint32_t* const mel = (uint32_t*)scratch + f->fft_size;
  int32_t* const logs = scratch + f->fft_size;
  const int32_t n = load_frame(f, samples, scratch);
  /* 1.0 in units of mel sums is 2^unit */
  const int32_t unit = 30 - f->window_shift - f->mel_shift + n;
  const int32_t round = 1 << (14 - f->log_bits);
  const int32_t drop = 15 + f->log_bits - f->feature_bits;
  const uint32_t floor = n == 15 ? f->floor : ((f->floor >> (14 - n)) + 1) >> 1;
  int32_t i, j;
  ft_fft_fixed(f->fft_size, f->twiddle, scratch);
  mel_sums(f, scratch, mel);
  for (j = 0; j < f->mel_bins; ++j) {
    const uint32_t v = mel[j] + floor;
    logs[j] =
        (log2_q15(v ? v : 1) - unit * 32768 + round) >> (15 - f->log_bits);
  }
  for (i = 0; i < f->coefficients; ++i) {
    const int16_t* row = f->dct + i * f->mel_bins;
    int32_t sum = 1 << (drop - 1);
    for (j = 0; j < f->mel_bins; ++j) sum += row[j] * logs[j];
    out[i] = (int16_t)(sum >> drop);
  }
}

void ft_mfcc_fixed_init(const ft_mfcc_fixed* fixed, const ft_audio_ring* ring,
                        int16_t* features, int32_t* scratch) {
  int32_t i;
  ft_audio_ring_init(ring);
  compute_frame(fixed, ring->samples, scratch, features);
  for (i = fixed->coefficients; i < ring->frames * fixed->coefficients; ++i)
    features[i] = features[i - fixed->coefficients];
}

void ft_mfcc_fixed_push(const ft_mfcc_fixed* fixed, const ft_audio_ring* ring,
                        int16_t* features, int32_t* scratch,
                        const int16_t* samples) {
  const int32_t slot = ft_audio_ring_push(ring, samples);
  compute_frame(fixed, ring->samples, scratch,
                features + slot * fixed->coefficients);
}

/* What the division by the largest sample adds to first coefficients. */
static int32_t shift_of(const ft_mfcc_fixed* f, const ft_audio_ring* ring) {
  const int32_t peak = ft_audio_ring_peak(ring);
  if (!f->divide_by_max || peak == 0) return 0;
  return ((15 * 32768 - log2_q15((uint32_t)peak)) >> (15 - f->log_bits)) *
             (f->dct[0] * f->mel_bins) >>
         (15 + f->log_bits - f->feature_bits);
}

void ft_mfcc_fixed_read(const ft_mfcc_fixed* f, const ft_audio_ring* ring,
                        const int16_t* features, int8_t* out) {
  const int32_t add = shift_of(f, ring);
  int32_t t, i;
  for (t = 0; t < ring->frames; ++t) {
    const int32_t slot = ft_audio_ring_slot(ring, t);
    const int16_t* row = features + slot * f->coefficients;
    for (i = 0; i < f->coefficients; ++i) {
      const int32_t v = row[i] + (i == 0 && !ring->silent[slot] ? add : 0);
      *out++ = (int8_t)ft_clamp_i32(
          ft_requantize_once(v, f->multiplier, f->shift) + f->zero_point, -128,
          127);
    }
  }
}
