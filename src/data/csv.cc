#include "data/csv.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace ft {
namespace {

// Takes one line's cells off the front of `text`. A quoted cell may hold
// commas, line ends and doubled quotes.
Result<std::vector<std::string>> take_row(std::string_view& text,
                                          size_t& line) {
  std::vector<std::string> cells(1);
  const size_t first_line = line;
  bool quoted = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (quoted) {
      if (c != '"') {
        cells.back() += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        cells.back() += '"';
        ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"' && cells.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      cells.emplace_back();
    } else if (c == '\n') {
      ++i;
      break;
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  if (quoted)
    return invalid_input(
        fmt::format("csv: line {}: a quoted cell does not end", first_line));
  text.remove_prefix(i);
  return cells;
}

std::optional<double> number_in(std::string_view cell) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!cell.empty() && is_space(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && is_space(cell.back())) cell.remove_suffix(1);
  if (cell.starts_with('+')) cell.remove_prefix(1);
  double value = 0;
  const auto [end, error] =
      std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc() || end != cell.data() + cell.size() ||
      !std::isfinite(value))
    return std::nullopt;
  return value;
}

void add_cell(CsvColumn& column, const std::string& cell, size_t line) {
  if (!column.first_text.empty()) return;
  if (const std::optional<double> value = number_in(cell)) {
    column.values.push_back(*value);
    return;
  }
  column.first_text = fmt::format("line {}: '{}'", line, cell.substr(0, 40));
  column.values = {};
}

}  // namespace

std::vector<std::string> CsvTable::numeric_names() const {
  std::vector<std::string> names;
  for (const CsvColumn& c : columns)
    if (c.first_text.empty()) names.push_back(c.name);
  return names;
}

Result<const CsvColumn*> CsvTable::numeric(std::string_view name) const {
  for (const CsvColumn& c : columns) {
    if (c.name != name) continue;
    if (c.first_text.empty()) return &c;
    return invalid_input(fmt::format("csv: column '{}' is not numeric ({})",
                                     name, c.first_text));
  }
  return invalid_input(
      fmt::format("csv: no column '{}'; numeric columns are {}", name,
                  fmt::join(numeric_names(), ", ")));
}

Result<CsvTable> parse_csv(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t line = 1;
  CsvTable table;
  FT_TRY(std::vector<std::string> header, take_row(text, line));
  std::set<std::string> names;
  for (std::string& name : header) {
    if (!names.insert(name).second)
      return invalid_input(fmt::format("csv: two columns '{}'", name));
    table.columns.push_back({std::move(name), {}, {}});
  }
  while (!text.empty()) {
    const size_t row_line = line;
    FT_TRY(const std::vector<std::string> cells, take_row(text, line));
    if (cells.size() == 1 && cells[0].empty()) continue;  // a blank line
    if (cells.size() != table.columns.size())
      return invalid_input(fmt::format("csv: line {} has {} cells, header {}",
                                       row_line, cells.size(),
                                       table.columns.size()));
    for (size_t i = 0; i < cells.size(); ++i)
      add_cell(table.columns[i], cells[i], row_line);
    ++table.rows;
  }
  if (table.rows == 0) return invalid_input("csv: no rows below the header");
  return table;
}

}  // namespace ft
