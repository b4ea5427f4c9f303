#include "codegen/audio_front_end.h"

#include <fmt/format.h>

#include <cmath>
#include <span>
#include <vector>

#include "codegen/c_text.h"
#include "kernels/mfcc/audio_ring.h"
#include "kernels/mfcc/mfcc_fixed.h"
#include "ops/quantize_multiplier.h"

namespace ft::codegen {
namespace {

constexpr std::string_view kHeader =
    R"(/* 16-bit audio to the model's input, in {arithmetic}:
 * {frames} frames of {coefficients} MFCCs.
 *
 * Samples come {hop} at a time; each push computes one frame and keeps those
 * before. A new front end has heard silence. One ft_frontend is all RAM that it
 * needs besides the stack. */
#ifndef FT_FRONTEND_H_
#define FT_FRONTEND_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define FT_FRONTEND_SAMPLE_RATE {rate} /* Hz */
#define FT_FRONTEND_HOP {hop}          /* samples of a push */
#define FT_FRONTEND_HOPS {hops}        /* that one input depends on */
#define FT_FRONTEND_VALUES {values}    /* of an input */
#define FT_FRONTEND_RAM_BYTES {ram}

typedef struct {{
  {scratch_type} scratch[{scratch}];
  {feature_type} features[{values}];
  int32_t next[2];
  int16_t samples[{samples}];
  int16_t peaks[{hops}];
  uint8_t silent[{frames}];
}} ft_frontend;

void ft_frontend_init(ft_frontend *f);

/* Takes the next FT_FRONTEND_HOP samples. */
void ft_frontend_push(ft_frontend *f, const int16_t *samples);

/* The model's input, of the last FT_FRONTEND_HOPS pushes:
 * ft_frontend_input(&f, ft_infer_input(&model)). {division} */
void ft_frontend_input(ft_frontend *f, {input_type} *input);

#ifdef __cplusplus
}}
#endif
#endif /* FT_FRONTEND_H_ */
)";

constexpr std::string_view kTop =
    R"(/* Tables and sizes of the front end; its loops are in kernels/mfcc. */
#include "ft_frontend.h"

{includes}
/* The figure of the header is what the compiler makes of it. */
typedef char
    ft_frontend_has_its_size[sizeof(ft_frontend) == FT_FRONTEND_RAM_BYTES ? 1
                                                                          : -1];

{tables}static ft_audio_ring ring_of(ft_frontend *f) {{
  ft_audio_ring ring;
  ring.frame_samples = {frame};
  ring.hop_samples = FT_FRONTEND_HOP;
  ring.frames = {frames};
  ring.samples = f->samples;
  ring.peaks = f->peaks;
  ring.silent = f->silent;
  ring.next = f->next;
  return ring;
}}

void ft_frontend_init(ft_frontend *f) {{
  const ft_audio_ring ring = ring_of(f);
  ft_mfcc_{kind}_init(&mfcc, &ring, f->features, f->scratch);
}}

void ft_frontend_push(ft_frontend *f, const int16_t *samples) {{
  const ft_audio_ring ring = ring_of(f);
  ft_mfcc_{kind}_push(&mfcc, &ring, f->features, f->scratch, samples);
}}

)";

constexpr std::string_view kReadFixed =
    R"(void ft_frontend_input(ft_frontend *f, int8_t *input) {
  const ft_audio_ring ring = ring_of(f);
  ft_mfcc_fixed_read(&mfcc, &ring, f->features, input);
}
)";

constexpr std::string_view kReadFloat =
    R"(void ft_frontend_input(ft_frontend *f, float *input) {{
  const ft_audio_ring ring = ring_of(f);
  const float shift = ft_mfcc_stream_shift(&mfcc, &ring);
  int32_t t;
  for (t = 0; t < ring.frames; ++t)
    ft_mfcc_stream_row(&mfcc, &ring, f->features, shift, t,
                       input + {coefficients} * t);
}}
)";

constexpr std::string_view kReadInt8 =
    R"(void ft_frontend_input(ft_frontend *f, int8_t *input) {{
  static const ft_quantize_params quantizer = {{
      .count = {coefficients}, .scale = {scale}, .zero_point = {zero_point}}};
  const ft_audio_ring ring = ring_of(f);
  const float shift = ft_mfcc_stream_shift(&mfcc, &ring);
  int32_t t;
  for (t = 0; t < ring.frames; ++t) {{
    void *const in[1] = {{f->scratch}}, *const out[1] = {{input + {coefficients} * t}};
    const ft_args args = {{in, 0, out, 0, 0}};
    ft_mfcc_stream_row(&mfcc, &ring, f->features, shift, t, f->scratch);
    ft_quantize_f32s8_c99(&quantizer, &args);
  }}
}}
)";

template <class T>
std::string table(std::string_view name, DType dtype,
                  std::span<const T> values) {
  return fmt::format("static const {} {}[{}] = {{\n{}}};\n\n", c_type(dtype),
                     name, values.size(),
                     c_elements(dtype, std::as_bytes(values)));
}

class Printer {
 public:
  Printer(const AudioFrontEnd& front_end, const TensorType& input)
      : fixed_point_(front_end.fixed_point),
        c_(front_end.config),
        input_(input),
        frames_(static_cast<size_t>(ft_mfcc_frames(&c_))),
        coefficients_(static_cast<size_t>(c_.coefficients)),
        overlap_(static_cast<size_t>(
            ft_audio_ring_overlap(c_.frame_samples, c_.hop_samples))),
        tables_(ft_mfcc_table_floats(&c_)) {
    ft_mfcc_init(&c_, tables_.data(), &mfcc_);
  }

  Status check() const {
    const auto values = static_cast<int64_t>(frames_ * coefficients_);
    if (input_.shape.num_elements() != values)
      return usage_error(
          fmt::format("the front end gives {} frames of {} features, and the "
                      "model takes {}",
                      frames_, coefficients_, input_.shape.to_string()));
    const bool int8 = input_.dtype == DType::kS8;
    if (!int8 && (input_.dtype != DType::kF32 || fixed_point_))
      return usage_error(fmt::format(
          "the model takes {}, and the front end in {} gives int8{}",
          name_of(input_.dtype), arithmetic(),
          fixed_point_ ? "" : " or float32"));
    const char* const why = fixed_point_ ? ft_mfcc_fixed_check(&c_) : nullptr;
    return why == nullptr ? ok_status() : usage_error(why);
  }

  PrintedFrontEnd run() {
    PrintedFrontEnd out;
    const std::string tables = fixed_point_ ? fixed_tables() : float_tables();
    out.ram_bytes = ram_bytes();
    out.constant_bytes = tables_.size() * (fixed_point_ ? 2 : 4);
    out.kernels = kernels();
    out.header = header(out.ram_bytes);
    out.source =
        fmt::format(kTop, fmt::arg("includes", includes()),
                    fmt::arg("tables", tables), fmt::arg("frames", frames_),
                    fmt::arg("frame", c_.frame_samples),
                    fmt::arg("kind", fixed_point_ ? "fixed" : "stream")) +
        read();
    return out;
  }

 private:
  std::string_view arithmetic() const {
    return fixed_point_ ? "fixed point" : "floating point";
  }
  bool int8() const { return input_.dtype == DType::kS8; }
  size_t hops() const { return frames_ + overlap_ - 1; }
  size_t samples() const {
    return overlap_ * static_cast<size_t>(c_.hop_samples);
  }
  size_t scratch() const {
    return fixed_point_ ? ft_mfcc_fixed_scratch_words(&c_)
                        : ft_mfcc_scratch_floats(&c_);
  }

  size_t ram_bytes() const {
    const size_t bytes =
        scratch() * 4 + frames_ * coefficients_ * (fixed_point_ ? 2 : 4);
    // `next` is aligned to its 4 bytes, and so is the whole.
    const size_t tail = 8 + 2 * samples() + 2 * hops() + frames_;
    return (bytes + 3) / 4 * 4 + (tail + 3) / 4 * 4;
  }

  std::string header(size_t ram) const {
    const bool divides = c_.normalize == FT_AUDIO_DIVIDE_BY_MAX;
    return fmt::format(
        kHeader, fmt::arg("rate", c_.sample_rate), fmt::arg("frames", frames_),
        fmt::arg("coefficients", coefficients_),
        fmt::arg("arithmetic", arithmetic()), fmt::arg("hop", c_.hop_samples),
        fmt::arg("hops", hops()), fmt::arg("values", frames_ * coefficients_),
        fmt::arg("ram", ram), fmt::arg("samples", samples()),
        fmt::arg("scratch", scratch()),
        fmt::arg("scratch_type", fixed_point_ ? "int32_t" : "float"),
        fmt::arg("feature_type", fixed_point_ ? "int16_t" : "float"),
        fmt::arg("division", divides ? "Their largest\n * sample counts as 1."
                                     : "32768 counts as 1."),
        fmt::arg("input_type", c_type(input_.dtype)));
  }

  std::string includes() const {
    if (fixed_point_) return "#include \"kernels/mfcc/mfcc_fixed.h\"\n";
    return fmt::format(
        "#include \"kernels/mfcc/mfcc_stream.h\"\n{}",
        int8() ? "#include \"kernels/quantize/quantize.h\"\n" : "");
  }

  std::set<std::string> kernels() const {
    if (fixed_point_)
      return {"ft_mfcc_fixed_push", "ft_mfcc_fixed_read", "ft_mfcc_fixed_init"};
    std::set<std::string> all = {"ft_mfcc_stream_init", "ft_mfcc_stream_push",
                                 "ft_mfcc_stream_row", "ft_mfcc_stream_shift"};
    if (int8()) all.insert("ft_quantize_f32s8_c99");
    return all;
  }

  template <class T>
  std::string five_tables(DType dtype, const T* window, const T* twiddle,
                          const T* rise, const T* band, const T* dct) const {
    const size_t bins = static_cast<size_t>(c_.fft_size) / 2 + 1;
    const auto part = [&](std::string_view name, const T* from, size_t count) {
      return table(name, dtype, std::span(from, count));
    };
    return part("window", window, static_cast<size_t>(c_.frame_samples)) +
           part("twiddle", twiddle, static_cast<size_t>(c_.fft_size)) +
           part("mel_rise", rise, bins) + part("mel_band", band, bins) +
           part("dct", dct, coefficients_ * static_cast<size_t>(c_.mel_bins));
  }

  std::string float_tables() const {
    const auto number = [](float v) { return c_literal(v); };
    return five_tables(DType::kF32, mfcc_.window, mfcc_.twiddle, mfcc_.mel_rise,
                       mfcc_.mel_band, mfcc_.dct) +
           fmt::format(
               "static const ft_mfcc mfcc = {{\n"
               "    .config = {{.sample_rate = {}, .clip_samples = {},\n"
               "               .frame_samples = {}, .hop_samples = {},\n"
               "               .fft_size = {}, .mel_bins = {},\n"
               "               .coefficients = {}, .normalize = {},\n"
               "               .mel_low_hz = {}, .mel_high_hz = {},\n"
               "               .log_floor = {}}},\n"
               "    .window = window, .twiddle = twiddle,\n"
               "    .mel_rise = mel_rise, .mel_band = mel_band, .dct = dct}};"
               "\n\n",
               c_.sample_rate, c_.clip_samples, c_.frame_samples,
               c_.hop_samples, c_.fft_size, c_.mel_bins, c_.coefficients,
               c_.normalize, number(c_.mel_low_hz), number(c_.mel_high_hz),
               number(c_.log_floor));
  }

  std::string fixed_tables() const {
    std::vector<int16_t> words(ft_mfcc_fixed_table_words(&c_));
    ft_mfcc_fixed f;
    ft_mfcc_fixed_make(&mfcc_, words.data(), &f);
    const QuantizedMultiplier factor = quantize_multiplier(
        std::ldexp(1.0, -f.feature_bits) / input_.quant.scale[0]);
    return five_tables(DType::kS16, f.window, f.twiddle, f.rise, f.band,
                       f.dct) +
           fmt::format(
               "static const ft_mfcc_fixed mfcc = {{\n"
               "    .frame_samples = {}, .fft_size = {}, .mel_bins = {},\n"
               "    .coefficients = {}, .divide_by_max = {},\n"
               "    .first_bin = {}, .last_bin = {}, .window_shift = {},\n"
               "    .mel_shift = {}, .floor = {}u, .log_bits = {},\n"
               "    .feature_bits = {}, .multiplier = {}, .shift = {},\n"
               "    .zero_point = {}, .window = window, .twiddle = twiddle,\n"
               "    .rise = mel_rise, .band = mel_band, .dct = dct}};\n\n",
               f.frame_samples, f.fft_size, f.mel_bins, f.coefficients,
               f.divide_by_max, f.first_bin, f.last_bin, f.window_shift,
               f.mel_shift, f.floor, f.log_bits, f.feature_bits,
               factor.multiplier, factor.shift, zero_point());
  }

  int64_t zero_point() const {
    return input_.quant.zero_point.empty() ? 0 : input_.quant.zero_point[0];
  }

  std::string read() const {
    if (fixed_point_) return std::string(kReadFixed);
    if (!int8())
      return fmt::format(kReadFloat, fmt::arg("coefficients", coefficients_));
    return fmt::format(kReadInt8, fmt::arg("coefficients", coefficients_),
                       fmt::arg("scale", c_literal(input_.quant.scale[0])),
                       fmt::arg("zero_point", zero_point()));
  }

  bool fixed_point_;
  ft_mfcc_config c_;
  const TensorType& input_;
  size_t frames_, coefficients_, overlap_;
  std::vector<float> tables_;
  ft_mfcc mfcc_{};
};

}  // namespace

Result<PrintedFrontEnd> print_front_end(const AudioFrontEnd& front_end,
                                        const TensorType& input) {
  Printer printer(front_end, input);
  FT_TRY_STATUS(printer.check());
  return printer.run();
}

}  // namespace ft::codegen
