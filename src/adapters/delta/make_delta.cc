#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "adapters/adapter_file.h"
#include "adapters/delta/delta_file.h"
#include "adapters/delta/layout.h"
#include "adapters/delta/range_coder.h"
#include "adapters/delta/text_alignment.h"
#include "adapters/device_image.h"
#include "base/half.h"
#include "base/hash.h"
#include "ft_crc32.h"
#include "ft_delta.h"

namespace ft {
namespace {

uint32_t bits_at(std::span<const std::byte> bytes, size_t at, size_t count) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, count);
  return value;
}

float value_of(uint32_t kind, uint32_t bits) {
  const auto half = static_cast<uint16_t>(bits);
  if (kind == FT_DELTA_F16 || kind == FT_DELTA_STEPS_F16)
    return ft_half_to_float(half);
  if (kind == FT_DELTA_BF16 || kind == FT_DELTA_STEPS_BF16)
    return ft_bfloat16_to_float(half);
  return ft_float_of(bits);
}

// Where `text` begins in `in`, or behind its end.
size_t position(std::span<const std::byte> in, const std::string& text) {
  const auto wanted = std::as_bytes(std::span(text));
  return static_cast<size_t>(
      std::search(in.begin(), in.end(), wanted.begin(), wanted.end()) -
      in.begin());
}

// How `to` is told from `from`; where the precursor's digest stands in it, in
// one operation, with its key where that is new.
std::vector<ft_delta_text> told_text(std::span<const std::byte> precursor,
                                     std::span<const std::byte> from,
                                     std::span<const std::byte> to) {
  const std::string digest = sha256_hex(precursor);
  const std::string parent = FT_DELTA_PARENT_KEY + digest + FT_DELTA_PARENT_END;
  ft_delta_text one{.op = FT_DELTA_PARENT, .byte = 0, .distance = 0};
  size_t at = position(to, parent), bytes = parent.size();
  if (at == to.size() || position(from, FT_DELTA_PARENT_KEY) < from.size()) {
    one.op = FT_DELTA_DIGEST;
    at = position(to, digest);
    bytes = digest.size();
  }
  if (at == to.size()) return align_text(from, to);
  std::vector<std::byte> rest(to.begin(), to.end());
  const auto told = rest.begin() + static_cast<ptrdiff_t>(at);
  rest.erase(told, told + static_cast<ptrdiff_t>(bytes));
  std::vector<ft_delta_text> out = align_text(from, rest);
  auto before = out.begin();
  for (size_t i = 0; i < at; ++before) i += before->op != FT_DELTA_MOVE ? 1 : 0;
  out.insert(before, one);
  return out;
}

// Codes segments one after the other and keeps what a reader would get.
class Maker {
 public:
  Maker(std::span<const std::byte> before, std::span<const std::byte> after,
        const DeltaOptions& options)
      : before_(before), after_(after), options_(options) {
    ft_delta_model_init(&model_);
  }

  void code(PlannedSegment planned) {
    at_ = planned.new_offset;
    if (planned.segment.kind == FT_DELTA_TEXT)
      return code_text(planned.segment);
    if (planned.segment.kind == FT_DELTA_COPY) {
      uses_old_ = true;
      return code_values(model_, encoder_, planned.segment, &result_);
    }
    prepare(planned);
    ft_delta_segment best = planned.segment;
    double least = cost_of(best);
    for (const ft_delta_segment& other : alternatives(planned.segment)) {
      const double cost = cost_of(other);
      if (cost >= least) continue;
      least = cost;
      best = other;
    }
    uses_old_ |= best.has_old != 0;
    is_lossy_ |= best.kind >= FT_DELTA_STEPS_F16;
    code_values(model_, encoder_, best, &result_);
  }

  bool uses_old() const { return uses_old_; }
  bool is_lossy() const { return is_lossy_; }
  std::vector<std::byte> stream() { return encoder_.finish(); }
  std::vector<std::byte> result() { return std::move(result_); }

 private:
  void code_text(const ft_delta_segment& segment) {
    const auto to = after_.subspan(at_, segment.count);
    // What the old file's own header is, or less: the rest is not text.
    const size_t most = std::min(before_.size(), old_header());
    ft_delta_code_segment(&model_, &encoder_, &segment);
    for (const ft_delta_text& op : told_text(before_, before_.first(most), to))
      code_op(op);
    result_.insert(result_.end(), to.begin(), to.end());
  }

  void code_op(const ft_delta_text& op) {
    (void)ft_delta_code_text(&model_, &encoder_, op);
    if (op.op == FT_DELTA_DIGEST) model_.left -= FT_DELTA_DIGEST_TEXT;
    if (op.op == FT_DELTA_PARENT) model_.left -= FT_DELTA_PARENT_TEXT;
  }

  size_t old_header() const {
    if (is_device_image(before_)) return 128;
    uint64_t bytes = 0;
    std::memcpy(&bytes, before_.data(), sizeof(bytes));
    return 8 + bytes;
  }

  // Zeros that all elements end in, the kind of a lossy mode, and the size of
  // differences.
  void prepare(PlannedSegment& planned) const {
    ft_delta_segment& s = planned.segment;
    const size_t each = ft_delta_element_bytes(s.kind);
    if (s.kind >= FT_DELTA_F16 && s.kind <= FT_DELTA_F32) {
      uint32_t any = 0;
      for (uint32_t i = 0; i < s.count; ++i) {
        any |= bits_at(after_, at_ + i * each, each);
        if (s.has_old != 0)
          any |= bits_at(before_, s.old_offset + i * each, each);
      }
      // The sign and another bit stay.
      if (any != 0)
        s.shift = static_cast<uint8_t>(
            std::min(std::countr_zero(any), static_cast<int>(8 * each) - 2));
      if (options_.bits != 0 && planned.may_be_lossy && s.has_old != 0) {
        s.kind += FT_DELTA_STEPS_F16 - FT_DELTA_F16;
        s.shift = 0;
      }
    }
    if (s.kind < FT_DELTA_STEPS_F16) s.start = first_magnitude(s);
  }

  // Mean size of the first differences in the model's terms, half classes;
  // integers of a grid are not told by classes.
  uint16_t first_magnitude(const ft_delta_segment& s) const {
    if (s.kind == FT_DELTA_I4 || s.kind == FT_DELTA_I8) return 0;
    const size_t each = ft_delta_element_bytes(s.kind);
    const bool is_float = s.kind >= FT_DELTA_F16;
    double sum = 0;
    const uint32_t count = std::min<uint32_t>(s.count, 64);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t to = bits_at(after_, at_ + i * each, each);
      const uint32_t from =
          s.has_old != 0 ? bits_at(before_, s.old_offset + i * each, each) : 0;
      sum += is_float ? float_magnitude(s, from, to)
                      : integer_magnitude(s.kind, from, to);
    }
    return static_cast<uint16_t>(std::lround(sum * 2 / std::max(count, 1U)));
  }

  static double float_magnitude(const ft_delta_segment& s, uint32_t from,
                                uint32_t to) {
    const auto apart = static_cast<double>(
        from > to ? from - to : to - from);  // of the same sign
    const uint32_t exponent = s.kind == FT_DELTA_F16    ? from >> 10 & 31
                              : s.kind == FT_DELTA_BF16 ? from >> 7 & 255
                                                        : from >> 23 & 255;
    return std::log2(1 + std::ldexp(apart, -static_cast<int>(s.shift))) +
           exponent;
  }

  static double integer_magnitude(uint32_t kind, uint32_t from, uint32_t to) {
    switch (kind) {
      case FT_DELTA_I16:
        return std::log2(1 + std::abs(static_cast<int16_t>(to) -
                                      static_cast<int16_t>(from)));
      default:
        return std::log2(1 + std::abs(double{static_cast<double>(
                                 static_cast<int32_t>(to - from))}));
    }
  }

  // Other ways to tell the same segment.
  std::vector<ft_delta_segment> alternatives(
      const ft_delta_segment& segment) const {
    std::vector<ft_delta_segment> out;
    ft_delta_segment one = segment;
    one.groups = 1;
    one.row = segment.count * (segment.kind == FT_DELTA_I4 ? 2U : 1U);
    if (segment.groups > 1) out.push_back(one);
    if (segment.kind >= FT_DELTA_STEPS_F16) return out;
    one.has_old = 0;
    one.start = first_magnitude(one);
    if (segment.has_old != 0) out.push_back(one);
    one.kind = FT_DELTA_RAW;
    one.count *= ft_delta_element_bytes(segment.kind);
    one.row = 1;
    one.shift = 0;
    one.start = 0;
    out.push_back(one);
    return out;
  }

  double cost_of(const ft_delta_segment& segment) const {
    ft_delta_model copy = model_;
    CostCounter counter;
    code_values(copy, counter, segment, nullptr);
    return counter.bits;
  }

  void code_values(ft_delta_model& model, ft_delta_coder& coder,
                   const ft_delta_segment& segment,
                   std::vector<std::byte>* out) const {
    ft_delta_code_segment(&model, &coder, &segment);
    const uint32_t kind = segment.kind;
    const size_t each = ft_delta_element_bytes(kind);
    int exponent = 0;
    for (uint32_t i = 0; i < segment.count; ++i) {
      const uint32_t target = bits_at(after_, at_ + i * each, each);
      const uint32_t old_bits =
          segment.has_old != 0
              ? bits_at(before_, segment.old_offset + i * each, each)
              : 0;
      uint32_t coded = target;
      if (kind == FT_DELTA_RAW) {
        (void)coder.direct(&coder, target, 8);
      } else if (kind == FT_DELTA_I4) {
        (void)ft_delta_code_element(&model, &coder, old_bits & 15, target & 15);
        (void)ft_delta_code_element(&model, &coder, old_bits >> 4, target >> 4);
      } else if (kind >= FT_DELTA_STEPS_F16) {
        if (model.in_block == 0) exponent = step_exponent(segment, i, exponent);
        ft_delta_code_step(&model, &coder, exponent);
        coded = ft_delta_code_element(
            &model, &coder, old_bits,
            static_cast<uint32_t>(steps(kind, old_bits, target, exponent)));
      } else if (kind != FT_DELTA_COPY) {
        (void)ft_delta_code_element(&model, &coder, old_bits, target);
      }
      if (out == nullptr) continue;
      const auto* bytes = reinterpret_cast<const std::byte*>(&coded);
      out->insert(out->end(), bytes, bytes + each);
    }
  }

  int most_steps() const { return (1 << (options_.bits - 1)) - 1; }

  // The smallest power of two that reaches every value of the block.
  int step_exponent(const ft_delta_segment& s, uint32_t first, int last) const {
    const size_t each = ft_delta_element_bytes(s.kind);
    const uint32_t end = std::min(first + FT_DELTA_STEPS_BLOCK, s.count);
    float most = 0;
    for (uint32_t i = first; i < end; ++i) {
      const float to = value_of(s.kind, bits_at(after_, at_ + i * each, each));
      const float from =
          value_of(s.kind, bits_at(before_, s.old_offset + i * each, each));
      most = std::max(most, std::fabs(to - from));
    }
    if (!(most > 0)) return last;
    const int exponent = static_cast<int>(
        std::ceil(std::log2(most / static_cast<float>(most_steps()))));
    return std::clamp(exponent, -126, 120);
  }

  int steps(uint32_t kind, uint32_t old_bits, uint32_t target,
            int exponent) const {
    const float apart = value_of(kind, target) - value_of(kind, old_bits);
    const auto q = static_cast<int>(std::lrint(std::ldexp(apart, -exponent)));
    return std::clamp(q, -most_steps(), most_steps());
  }

  std::span<const std::byte> before_, after_;
  DeltaOptions options_;
  ft_delta_model model_;
  RangeEncoder encoder_;
  std::vector<std::byte> result_;
  size_t at_ = 0;  // in the new file
  bool uses_old_ = false, is_lossy_ = false;
};

// What did not change is copied, as far as it goes on.
std::vector<PlannedSegment> join_copies(
    std::span<const std::byte> old_file, std::span<const std::byte> new_file,
    const std::vector<PlannedSegment>& planned) {
  std::vector<PlannedSegment> out;
  for (const PlannedSegment& p : planned) {
    const ft_delta_segment& s = p.segment;
    const uint32_t bytes = s.count * ft_delta_element_bytes(s.kind);
    const bool same = s.kind != FT_DELTA_TEXT && s.has_old != 0 &&
                      std::ranges::equal(old_file.subspan(s.old_offset, bytes),
                                         new_file.subspan(p.new_offset, bytes));
    out.push_back(p);
    if (!same) continue;
    ft_delta_segment& copy = out.back().segment;
    copy = {};
    copy.kind = FT_DELTA_COPY;
    copy.count = bytes;
    copy.old_offset = s.old_offset;
    copy.has_old = 1;
    if (out.size() < 2) continue;
    ft_delta_segment& before = out[out.size() - 2].segment;
    if (before.kind != FT_DELTA_COPY ||
        before.old_offset + before.count != s.old_offset)
      continue;
    before.count += bytes;
    out.pop_back();
  }
  return out;
}

uint32_t crc_of(std::span<const std::byte> bytes) {
  return ft_crc32(0, reinterpret_cast<const uint8_t*>(bytes.data()),
                  bytes.size());
}

void put_digest(std::span<const std::byte> bytes, uint8_t* to) {
  const std::string hex = sha256_hex(bytes);
  for (size_t i = 0; i < FT_DELTA_DIGEST_BYTES; ++i)
    to[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
}

// A signature of the new file would not be one of what a lossy delta gives.
Status check_bits(std::span<const std::byte> new_file,
                  const DeltaOptions& options) {
  if (options.bits == 0) return ok_status();
  if (options.bits != 8 && options.bits != 4)
    return usage_error(
        fmt::format("a delta's bits are 8 or 4, not {}", options.bits));
  if (is_device_image(new_file))
    return usage_error(
        "a device image has no lossy delta: make one of the adapter, apply it, "
        "and export and sign what comes out");
  FT_TRY(const Adapter adapter, decode_adapter(new_file, "the new file"));
  if (adapter.metadata.contains("signature"))
    return usage_error(
        "the new file is signed, and a lossy delta would change what was "
        "signed; sign the result instead");
  return ok_status();
}

}  // namespace

Result<DeltaFile> make_delta(std::span<const std::byte> old_file,
                             std::span<const std::byte> new_file,
                             const DeltaOptions& options) {
  if (old_file.size() > UINT32_MAX || new_file.size() > UINT32_MAX)
    return does_not_fit("a delta is for files below 4 GB");
  FT_TRY(auto planned, plan_segments(old_file, new_file));
  FT_TRY_STATUS(check_bits(new_file, options));
  planned = join_copies(old_file, new_file, planned);
  Maker maker(old_file, new_file, options);
  for (const PlannedSegment& segment : planned) maker.code(segment);
  DeltaFile out;
  const std::vector<std::byte> stream = maker.stream();
  out.result = maker.result();
  out.mode = maker.is_lossy()   ? FT_DELTA_LOSSY
             : maker.uses_old() ? FT_DELTA_LOSSLESS
                                : FT_DELTA_FULL;
  ft_delta_head head = {};
  head.mode = out.mode;
  head.old_bytes = static_cast<uint32_t>(old_file.size());
  head.new_bytes = static_cast<uint32_t>(out.result.size());
  head.stream_bytes = static_cast<uint32_t>(stream.size());
  head.old_crc32 = crc_of(old_file);
  head.new_crc32 = crc_of(out.result);
  put_digest(old_file, head.old_sha256);
  put_digest(out.result, head.new_sha256);
  out.bytes.resize(FT_DELTA_HEAD_BYTES);
  ft_delta_encode_head(&head, reinterpret_cast<uint8_t*>(out.bytes.data()));
  out.bytes.insert(out.bytes.end(), stream.begin(), stream.end());
  return out;
}

}  // namespace ft
