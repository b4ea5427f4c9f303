// Pictures and page of `fieldtune plan`: --picture, --picture-of, --report.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "cli/report/report.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft::cli {

struct PictureOptions {
  std::string picture, of, report;

  void add_to(CLI::App& app);
  bool given() const { return !picture.empty() || !report.empty(); }
  // Refuses pictures that the command does not make, before any work.
  Status check(bool search, bool has_target) const;
  // Fails where the data has nothing to draw.
  Status write(const ReportData& data) const;
};

// The page of a step; `target` (nullptr: none) with costs adds its roofline.
Result<ReportData> plan_report(const std::string& model, const Program& step,
                               const Target* target);

}  // namespace ft::cli
