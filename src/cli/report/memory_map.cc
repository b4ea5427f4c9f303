// The memory map: x is the kernel call, y the offset in the arena. Bars carry
// their name only where it fits; the others show it under the pointer, so that
// a step of several hundred buffers stays readable.
#include <fmt/format.h>

#include <algorithm>

#include "cli/report/pictures.h"
#include "cli/report/style.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

constexpr double kWidth = 1000, kLeft = 70, kRight = 14, kTop = 34;
constexpr double kMapHeight = 420, kGap = 34, kAliveHeight = 84;
constexpr double kMapBottom = kTop + kMapHeight;
constexpr double kAliveTop = kMapBottom + kGap;
constexpr double kAliveBottom = kAliveTop + kAliveHeight;
constexpr double kHeight = kAliveBottom + 44;
constexpr double kLetterWidth = 6.1;  // of the 10 px labels, on average

struct KindStyle {
  BufferKind kind;
  const char* css_class;
  const char* meaning;
};
constexpr KindStyle kKinds[] = {
    {BufferKind::kInput, "b-input", "input"},
    {BufferKind::kForward, "b-forward", "forward only"},
    {BufferKind::kKept, "b-kept", "kept for the backward pass"},
    {BufferKind::kGradient, "b-gradient", "gradient"},
};

const KindStyle& style_of(BufferKind kind) {
  return *std::ranges::find(kKinds, kind, &KindStyle::kind);
}

// Importers join the names of fused layers by ';' and their scopes by '/': the
// last scope of the first layer says most.
std::string label_of(const MapBuffer& buffer) {
  std::string_view name = buffer.name;
  name = name.substr(0, name.find(';'));
  const size_t slash = name.find_last_of('/');
  const size_t before =
      slash == 0 || slash == name.npos ? slash : name.rfind('/', slash - 1);
  if (before != name.npos) name = name.substr(before + 1);
  return (buffer.kind == BufferKind::kGradient ? "∇ " : "") + std::string(name);
}

std::string hover_of(const MapBuffer& buffer) {
  return fmt::format("{}\n{} at offset {}, calls {} to {} ({})", buffer.name,
                     exact_bytes(buffer.bytes), exact_bytes(buffer.offset),
                     buffer.first_use, buffer.last_use,
                     style_of(buffer.kind).meaning);
}

int call_count(const MemoryMap& map) {
  int count = std::max<int>(1, static_cast<int>(map.calls.size()));
  for (const MapBuffer& b : map.buffers)
    count = std::max(count, b.last_use + 1);
  return count;
}

class MapDrawing {
 public:
  // `below`: room under the picture.
  explicit MapDrawing(const MemoryMap& map, double below = 0)
      : map_(map),
        calls_(call_count(map)),
        x_{0, static_cast<double>(calls_), kLeft, kWidth - kRight},
        y_{0, std::max(1.0, static_cast<double>(map.arena_bytes)), kMapBottom,
           kTop},
        svg_(kWidth, kHeight + below, "map",
             fmt::format("Memory map of one step: {} buffers in an arena of {}",
                         map.buffers.size(), exact_bytes(map.arena_bytes))) {}

  std::string draw() && {
    draw_map();
    return std::move(svg_).finish();
  }

  std::string draw_with_legend() && {
    draw_map();
    double x = kLeft;
    for (const KindStyle& k : kKinds) {
      svg_.rect(x, kHeight + 6, 12, 12, k.css_class);
      svg_.text(x + 18, kHeight + 16, k.meaning, "tick");
      x += 210;
    }
    return std::move(svg_).finish();
  }

 private:
  void draw_map() {
    draw_grid();
    for (const MapBuffer& buffer : map_.buffers) draw_buffer(buffer);
    draw_phases();
    draw_alive();
    draw_peak();
    draw_call_axis();
  }

  void draw_grid() {
    svg_.rect(kLeft, kTop, kWidth - kRight - kLeft, kMapHeight, "plot");
    for (const double tick : binary_ticks(y_.hi, 8)) {
      svg_.line(kLeft, y_(tick), kWidth - kRight, y_(tick), "grid");
      svg_.text(kLeft - 8, y_(tick) + 4, format_bytes(tick), "tick end");
    }
    svg_.text(0, 0, "offset in the arena", "axis mid",
              fmt::format("transform=\"translate(12 {:.6g}) rotate(-90)\"",
                          (kTop + kMapBottom) / 2));
  }

  void draw_buffer(const MapBuffer& buffer) {
    const double left = x_(buffer.first_use);
    const double width = std::max(1.0, x_(buffer.last_use + 1) - left);
    const double top = y_(static_cast<double>(buffer.offset + buffer.bytes));
    const double height =
        std::max(0.75, y_(static_cast<double>(buffer.offset)) - top);
    svg_.open(hover_of(buffer));
    // An outline on a sliver would hide its colour.
    const bool outline = width > 3 && height > 3;
    svg_.rect(left, top, width, height,
              fmt::format("{}{}", style_of(buffer.kind).css_class,
                          outline ? " outlined" : ""));
    const auto letters = static_cast<size_t>((width - 8) / kLetterWidth);
    if (width > 44 && height > 12)
      svg_.text(left + 5, top + height / 2 + 3.5,
                shorten(label_of(buffer), letters), "bar-label");
    svg_.close();
  }

  void draw_phases() {
    if (map_.backward_call <= 0 || map_.backward_call >= calls_) return;
    const double x = x_(map_.backward_call);
    svg_.line(x, kTop, x, kAliveBottom, "phase");
    svg_.text(x - 6, kTop - 8, "forward", "tick end");
    svg_.text(x + 6, kTop - 8, "backward and update", "tick");
  }

  // Difference at each call, so that it is one pass over the buffers.
  std::vector<double> alive_bytes() const {
    std::vector<double> change(static_cast<size_t>(calls_) + 1, 0.0);
    for (const MapBuffer& b : map_.buffers) {
      change[static_cast<size_t>(b.first_use)] += static_cast<double>(b.bytes);
      change[static_cast<size_t>(b.last_use) + 1] -=
          static_cast<double>(b.bytes);
    }
    for (size_t i = 1; i < change.size(); ++i) change[i] += change[i - 1];
    change.pop_back();
    return change;
  }

  void draw_alive() {
    const std::vector<double> alive = alive_bytes();
    const Scale y{0, y_.hi, kAliveBottom, kAliveTop};
    svg_.rect(kLeft, kAliveTop, kWidth - kRight - kLeft, kAliveHeight, "plot");
    for (const double tick : binary_ticks(y.hi, 3)) {
      svg_.line(kLeft, y(tick), kWidth - kRight, y(tick), "grid");
      svg_.text(kLeft - 8, y(tick) + 4, format_bytes(tick), "tick end");
    }
    std::string outline = fmt::format("M{:.6g} {:.6g}", x_(0), kAliveBottom);
    for (size_t call = 0; call < alive.size(); ++call)
      outline +=
          fmt::format("V{:.6g}H{:.6g}", y(alive[call]), x_(double(call) + 1));
    svg_.path(outline + fmt::format("V{:.6g}Z", kAliveBottom), "alive");
    svg_.text(0, 0, "bytes alive", "axis mid",
              fmt::format("transform=\"translate(12 {:.6g}) rotate(-90)\"",
                          (kAliveTop + kAliveBottom) / 2));
    for (size_t call = 0; call < map_.calls.size(); ++call) {
      svg_.open(fmt::format("call {}: {}\n{} alive", call, map_.calls[call],
                            exact_bytes(static_cast<size_t>(alive[call]))));
      svg_.rect(x_(double(call)), kAliveTop, x_(1) - x_(0), kAliveHeight,
                "probe");
      svg_.close();
    }
  }

  void draw_peak() {
    const double left = x_(map_.fullest_call);
    const double width = std::max(2.0, x_(1) - x_(0));
    const auto call = static_cast<size_t>(map_.fullest_call);
    svg_.rect(left, kTop, width, kAliveBottom - kTop, "peak");
    const std::string words =
        fmt::format("peak {} at call {}{}{}",
                    format_bytes(static_cast<double>(map_.lower_bound_bytes)),
                    call, call < map_.calls.size() ? ": " : "",
                    call < map_.calls.size() ? map_.calls[call] : "");
    const double middle = left + width / 2;
    const bool flip = middle > (kLeft + kWidth) / 2;
    svg_.text(middle + (flip ? -6 : 6), kAliveTop - 10, shorten(words, 64),
              flip ? "peak-label end" : "peak-label");
    svg_.path(fmt::format("M{:.6g} {:.6g}l-4 6h8z", middle, kAliveTop - 8),
              "peak-mark");
  }

  void draw_call_axis() {
    for (const double tick : nice_ticks(0, calls_, 10)) {
      svg_.line(x_(tick), kAliveBottom, x_(tick), kAliveBottom + 4, "mark");
      svg_.text(x_(tick), kAliveBottom + 18, fmt::format("{:.0f}", tick),
                "tick mid");
    }
    svg_.text((kLeft + kWidth - kRight) / 2, kAliveBottom + 38,
              "kernel call of the step", "axis mid");
  }

  const MemoryMap& map_;
  int calls_;
  Scale x_, y_;
  Svg svg_;
};

}  // namespace

std::string draw_memory_map(const MemoryMap& map) {
  return MapDrawing(map).draw();
}

std::string memory_map_file(const MemoryMap& map) {
  constexpr double kLegend = 28;
  return standalone(MapDrawing(map, kLegend).draw_with_legend(), style_sheet());
}

std::string memory_map_legend() {
  std::string out = "<ul class=\"legend\">";
  for (const KindStyle& k : kKinds)
    out += fmt::format(
        "<li><svg viewBox=\"0 0 12 12\"><rect width=\"12\" height=\"12\" "
        "rx=\"2\" class=\"{}\"/></svg>{}</li>",
        k.css_class, k.meaning);
  return out +
         "<li><svg viewBox=\"0 0 12 12\"><rect x=\"4\" width=\"4\" "
         "height=\"12\" class=\"peak\"/></svg>fullest call</li></ul>\n";
}

}  // namespace ft::cli
