// CSV files with a header line, as columns of numbers.
//
// Comma-separated, with "quoted" cells and either line ending. A column whose
// cells are not all finite numbers (a date) is kept by name only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft {

struct CsvColumn {
  std::string name;
  std::vector<double> values;  // empty if the column is text
  std::string first_text;      // "line 7: 'abc'" if the column is text
};

struct CsvTable {
  size_t rows = 0;
  std::vector<CsvColumn> columns;

  std::vector<std::string> numeric_names() const;
  // Refuses unknown names and text columns, naming the first cell at fault.
  Result<const CsvColumn*> numeric(std::string_view name) const;
};

Result<CsvTable> parse_csv(std::string_view text);

}  // namespace ft
