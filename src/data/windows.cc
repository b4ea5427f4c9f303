#include "data/windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ft {
namespace {

// Where each named column lies in the series' rows.
Result<std::vector<size_t>> positions_of(const Series& series,
                                         std::span<const std::string> names) {
  std::vector<size_t> out;
  for (const std::string& name : names) {
    const auto at =
        std::find(series.columns.begin(), series.columns.end(), name);
    if (at == series.columns.end())
      return invalid_input(
          fmt::format("'{}' has no numeric column '{}', only {}", series.name,
                      name, fmt::join(series.columns, ", ")));
    out.push_back(static_cast<size_t>(at - series.columns.begin()));
  }
  return out;
}

std::vector<std::string> all_names(const WindowConfig& config) {
  std::vector<std::string> names = config.columns;
  names.insert(names.end(), config.targets.begin(), config.targets.end());
  return names;
}

// Whole windows in the leading fraction; at least one, so that statistics of a
// short series exist.
size_t train_rows(const WindowConfig& config, size_t rows, double fraction) {
  const auto windows = static_cast<double>(window_count(config, rows));
  const auto train = static_cast<size_t>(windows * fraction);
  return rows_of_windows(config, std::max<size_t>(train, 1));
}

// Two passes in double, in row order. A constant column gets sd 1.
Status measure(std::span<const Series> series, double train_fraction,
               WindowConfig& config) {
  const std::vector<std::string> names = all_names(config);
  std::vector<double> sum(names.size()), squares(names.size());
  double count = 0;
  const auto for_each_row = [&](const auto& fn) -> Status {
    for (const Series& s : series) {
      FT_TRY(const std::vector<size_t> at, positions_of(s, names));
      const size_t rows = train_rows(config, s.rows(), train_fraction);
      for (size_t r = 0; r < rows; ++r)
        for (size_t i = 0; i < at.size(); ++i)
          fn(i, static_cast<double>(s.values[r * s.columns.size() + at[i]]));
    }
    return ok_status();
  };
  for (const Series& s : series)
    count += static_cast<double>(train_rows(config, s.rows(), train_fraction));
  FT_TRY_STATUS(for_each_row([&](size_t i, double x) { sum[i] += x; }));
  FT_TRY_STATUS(for_each_row([&](size_t i, double x) {
    const double d = x - sum[i] / count;
    squares[i] += d * d;
  }));
  for (size_t i = 0; i < names.size(); ++i) {
    const auto sd = static_cast<float>(std::sqrt(squares[i] / count));
    config.mean.push_back(static_cast<float>(sum[i] / count));
    config.sd.push_back(sd > 0.0f ? sd : 1.0f);
  }
  return ok_status();
}

}  // namespace

std::string window_config_error(const WindowConfig& c) {
  constexpr int32_t kMax = 1 << 24;
  if (c.history < 1 || c.history > kMax)
    return "history must be 1 to 16777216 rows";
  if (c.horizon < 0 || c.horizon > kMax)
    return "horizon must be 0 to 16777216 rows";
  if (c.stride < 1) return "stride must be at least 1";
  if (c.mean.size() != c.sd.size())
    return "mean and sd must have the same length";
  for (const float sd : c.sd)
    if (!(sd > 0.0f) || !std::isfinite(sd)) return "sd must be above 0";
  for (const float mean : c.mean)
    if (!std::isfinite(mean)) return "mean must be finite";
  if (!c.mean.empty() && c.mean.size() != c.columns.size() + c.targets.size())
    return "mean and sd need one number for each of columns and targets";
  return "";
}

size_t window_count(const WindowConfig& c, size_t rows) {
  const size_t span = rows_of_windows(c, 1);
  return rows < span ? 0 : 1 + (rows - span) / static_cast<size_t>(c.stride);
}

size_t rows_of_windows(const WindowConfig& c, size_t windows) {
  return static_cast<size_t>(c.history) + static_cast<size_t>(c.horizon) +
         (windows - 1) * static_cast<size_t>(c.stride);
}

Status complete_windows(std::span<const Series> series, double train_fraction,
                        WindowConfig& config) {
  FT_CHECK(!series.empty());
  if (config.columns.empty()) config.columns = series.front().columns;
  if (config.targets.empty() && config.horizon > 0)
    config.targets = config.columns;
  if (config.horizon == 0 && !config.targets.empty())
    return usage_error("windows with targets need a horizon of at least 1 row");
  for (const Series& s : series) {
    FT_TRY_STATUS(positions_of(s, all_names(config)).status());
    if (window_count(config, s.rows()) == 0)
      return invalid_input(
          fmt::format("'{}' has {} rows, fewer than history {} + horizon {}",
                      s.name, s.rows(), config.history, config.horizon));
  }
  if (config.standardize && config.mean.empty())
    FT_TRY_STATUS(measure(series, train_fraction, config));
  return ok_status();
}

Status append_windows(const Series& series, const WindowConfig& config,
                      std::vector<float>& features,
                      std::vector<float>& targets) {
  FT_TRY(const std::vector<size_t> in, positions_of(series, config.columns));
  FT_TRY(const std::vector<size_t> out, positions_of(series, config.targets));
  const auto value = [&](size_t row, size_t column, size_t statistic) {
    const float x = series.values[row * series.columns.size() + column];
    if (!config.standardize) return x;
    return (x - config.mean[statistic]) / config.sd[statistic];
  };
  const auto history = static_cast<size_t>(config.history);
  const auto horizon = static_cast<size_t>(config.horizon);
  for (size_t w = 0; w < window_count(config, series.rows()); ++w) {
    const size_t start = w * static_cast<size_t>(config.stride);
    const size_t first = features.size();
    for (size_t r = start; r < start + history; ++r)
      for (size_t i = 0; i < in.size(); ++i)
        features.push_back(value(r, in[i], i));
    for (size_t r = start + history; r < start + history + horizon; ++r)
      for (size_t i = 0; i < out.size(); ++i)
        targets.push_back(value(r, out[i], in.size() + i));
    if (horizon == 0)
      targets.insert(targets.end(),
                     features.begin() + static_cast<ptrdiff_t>(first),
                     features.end());
  }
  return ok_status();
}

}  // namespace ft
