#include "cli/report/report.h"

#include <fmt/format.h>

#include "cli/report/pictures.h"
#include "cli/report/plan_pictures.h"
#include "cli/report/style.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

std::string tiles(const std::vector<KeyFigure>& figures) {
  if (figures.empty()) return "";
  std::string out = "<dl class=\"tiles\">\n";
  for (const KeyFigure& f : figures) {
    out += fmt::format("<div><dt>{}</dt><dd>{}</dd>", escape(f.label),
                       escape(f.value));
    if (!f.note.empty())
      out += fmt::format("<dd class=\"note\">{}</dd>", escape(f.note));
    out += "</div>\n";
  }
  return out + "</dl>\n";
}

std::string memory_section(const MemoryMap& map) {
  const double bound = static_cast<double>(map.lower_bound_bytes);
  const double ratio =
      bound > 0 ? static_cast<double>(map.arena_bytes) / bound : 1;
  return fmt::format(
      "<section><h2>Memory over one training step</h2>\n"
      "<p>Every buffer of the arena, known before the first sample is seen: "
      "{} buffers in {} ({:.3f} times the lower bound of {}). Beside the arena "
      "lie {} of adapter and optimizer state and {} of kernel scratch. Point "
      "at a bar for its name and bytes.</p>\n{}<div class=\"scroll\">{}</div>"
      "</section>\n",
      map.buffers.size(), exact_bytes(map.arena_bytes), ratio,
      exact_bytes(map.lower_bound_bytes), exact_bytes(map.persistent_bytes),
      exact_bytes(map.scratch_bytes), memory_map_legend(),
      draw_memory_map(map));
}

std::string figure(std::string_view title, std::string_view caption,
                   std::string_view picture) {
  if (picture.empty()) return "";
  return fmt::format(
      "<figure><h3>{}</h3><figcaption>{}</figcaption>{}</figure>\n",
      escape(title), escape(caption), picture);
}

std::string curve_section(const std::vector<CurvePoint>& curve) {
  if (curve.empty()) return "";
  return "<section><h2>Training</h2><div class=\"row\">\n" +
         figure("Loss", "The ring marks the adapter that is kept.",
                draw_loss_curve(curve)) +
         figure("Accuracy", "On samples that are held out from training.",
                draw_accuracy_curve(curve)) +
         "</div></section>\n";
}

std::string confusion_section(const std::vector<ConfusionMatrix>& matrices) {
  if (matrices.empty()) return "";
  std::string out =
      "<section><h2>Labels and answers</h2>\n"
      "<p>Right answers are blue, mistakes orange; the stronger, the larger "
      "the share of the row.</p><div class=\"row\">\n";
  for (const ConfusionMatrix& m : matrices) {
    int total = 0;
    for (const auto& row : m.counts)
      for (const int count : row) total += count;
    out +=
        figure(m.title,
               fmt::format("{:.1f} % of {} right", 100 * accuracy_of(m), total),
               draw_confusion(m));
  }
  return out + "</div></section>\n";
}

std::string picture_section(std::string_view title, std::string_view about,
                            std::string_view picture) {
  if (picture.empty()) return "";
  return fmt::format("<section><h2>{}</h2>\n<p>{}</p>{}</section>\n",
                     escape(title), escape(about), picture);
}

std::string plan_sections(const ReportData& data) {
  return picture_section(
             "Pareto front",
             "Plans that no other one beats in everything. The line joins them "
             "by RAM.",
             draw_front(data.front)) +
         picture_section("Rank of each layer",
                         "Frozen layers stay as they are in the base model.",
                         draw_ranks(data.ranks)) +
         picture_section(
             "Where the time of a step goes",
             "Each circle is a kernel call, the larger, the longer; colours "
             "are classes of ops, whose shares are below. Under the slanted "
             "line memory bounds a call, under the level one the core does.",
             draw_roofline(data.roofline));
}

// Longer tables are folded away until they are asked for.
constexpr size_t kLongTable = 8;

std::string table_row(std::string_view tag,
                      const std::vector<std::string>& cells) {
  std::string out = "<tr>";
  for (const std::string& cell : cells)
    out += fmt::format("<{0}>{1}</{0}>", tag, escape(cell));
  return out + "</tr>\n";
}

std::string table_section(const ReportTable& table) {
  std::string rows;
  for (const auto& row : table.rows) rows += table_row("td", row);
  const std::string body = fmt::format(
      "<div class=\"scroll\"><table><thead>{}</thead><tbody>\n{}</tbody>"
      "</table></div>",
      table_row("th", table.columns), rows);
  const std::string title = escape(table.title);
  if (table.rows.size() <= kLongTable)
    return fmt::format("<section><h2>{}</h2>{}</section>\n", title, body);
  return fmt::format(
      "<section><details><summary>{}</summary>{}</details></section>\n", title,
      body);
}

}  // namespace

std::string render_report(const ReportData& data) {
  std::string body = fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
                                 escape(data.title), escape(data.subtitle));
  body += tiles(data.figures);
  if (data.memory) body += memory_section(*data.memory);
  body += plan_sections(data);
  body += curve_section(data.curve);
  body += confusion_section(data.confusions);
  for (const ReportTable& table : data.tables) body += table_section(table);
  if (!data.command.empty())
    body += fmt::format(
        "<section><h2>Make this page again</h2><pre>{}</pre></section>\n",
        escape(data.command));
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>{}</title>\n<style>{}</style></head>\n"
      "<body><main>\n{}<footer>Written by fieldtune. This page loads nothing "
      "from a network.</footer></main></body></html>\n",
      escape(data.title), style_sheet(), body);
}

}  // namespace ft::cli
