// The HTML page of a training run (train --report, demo).
#pragma once

#include <string>

#include "cli/report/report.h"
#include "cli/train_job.h"

namespace ft::cli {

// The page's contents, for callers that add to it (demo: the merged model).
ReportData train_report(const TrainJob& job, const TrainOutcome& outcome);
std::string render_train_report(const TrainJob& job,
                                const TrainOutcome& outcome);

}  // namespace ft::cli
