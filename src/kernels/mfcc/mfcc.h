/* Mel-frequency cepstral coefficients of a clip of audio.
 *
 * As TensorFlow defines them: short-time Fourier transform with a periodic Hann
 * window, magnitude (not power), HTK mel filters, log(x + floor), DCT-II. Runs
 * on hosts and microcontrollers: no allocation, no library, no error path;
 * double arithmetic only in what makes tables (mfcc_tables.c, fft_tables.c),
 * which devices have as constants. Equal bits on every machine
 * (-ffp-contract=off). Not for reading or resampling audio.
 *
 *   ft_mfcc_check(&config) == NULL, memory of ft_mfcc_table_floats and
 *   ft_mfcc_scratch_floats; ft_mfcc_init once; then ft_mfcc_run per clip.
 *
 * The tables are constant after init and may be shared between threads; the
 * scratch belongs to one run. */
#ifndef FT_KERNELS_MFCC_MFCC_H_
#define FT_KERNELS_MFCC_MFCC_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_AUDIO_AS_IS = 0, FT_AUDIO_DIVIDE_BY_MAX = 1 };

typedef struct {
  int32_t sample_rate;   /* Hz */
  int32_t clip_samples;  /* shorter clips are zero-padded, longer ones cut */
  int32_t frame_samples; /* window length */
  int32_t hop_samples;   /* from one frame to the next */
  int32_t fft_size;      /* power of two, >= frame_samples */
  int32_t mel_bins;
  int32_t coefficients; /* the first ones of the DCT, <= mel_bins */
  int32_t normalize;    /* FT_AUDIO_* */
  float mel_low_hz, mel_high_hz;
  float log_floor; /* added to a mel energy before its logarithm */
} ft_mfcc_config;

/* The front end of MLPerf Tiny's keyword spotting: 49 frames of 10. */
ft_mfcc_config ft_mfcc_mlperf_kws(void);

typedef struct {
  ft_mfcc_config config;
  const float* window;   /* [frame_samples] */
  const float* twiddle;  /* [fft_size] */
  const float* mel_rise; /* [fft_size / 2 + 1], see mfcc.c */
  const float* mel_band; /* [fft_size / 2 + 1], small integers */
  const float* dct;      /* [coefficients, mel_bins] */
} ft_mfcc;

/* NULL, or one clause that says which setting is wrong. */
const char* ft_mfcc_check(const ft_mfcc_config* config);

int32_t ft_mfcc_frames(const ft_mfcc_config* config);
size_t ft_mfcc_table_floats(const ft_mfcc_config* config);
size_t ft_mfcc_scratch_floats(const ft_mfcc_config* config);

/* Fills `tables`, which must outlive `mfcc`. */
void ft_mfcc_init(const ft_mfcc_config* config, float* tables, ft_mfcc* mfcc);

/* What to multiply samples with so that the largest is 1; 1 where none is
 * positive (a silent clip stays silent). */
float ft_audio_max_scale(const float* audio, size_t samples);

/* features[frames, coefficients] of `samples` samples of `audio`. */
void ft_mfcc_run(const ft_mfcc* mfcc, const float* audio, size_t samples,
                 float* features, float* scratch);

/* One frame: x[fft_size] windowed samples -> out[coefficients]. x is the
 * scratch: it is overwritten, and so is what lies behind it. */
void ft_mfcc_frame(const ft_mfcc* mfcc, float* x, float* out);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MFCC_MFCC_H_ */
