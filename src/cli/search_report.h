// The pictures of `fieldtune plan --search`.
#pragma once

#include <optional>
#include <string>

#include "cli/report/report.h"
#include "search/search.h"

namespace ft::cli {

// Front, and ranks of result.trained[chosen], which may lie beside the front,
// within its standard error. `classifies`: qualities are accuracies.
ReportData search_report(const std::string& model, const SearchResult& result,
                         size_t chosen, const std::optional<Target>& target,
                         bool classifies);

}  // namespace ft::cli
