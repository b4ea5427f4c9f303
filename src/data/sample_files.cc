#include "data/sample_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/label_pattern.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

// Names in one folder, sorted, without hidden ones.
Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> out;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error))
    if (!it->path().filename().string().starts_with('.'))
      out.push_back(it->path());
  if (error)
    return io_error(fmt::format("cannot list folder '{}': {}", folder.string(),
                                error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string below(const fs::path& path, const fs::path& root) {
  return path.lexically_relative(root).generic_string();
}

Result<std::vector<SampleFile>> files_in_class_folders(
    const fs::path& root, bool (*accepts)(std::string_view)) {
  std::vector<SampleFile> out;
  FT_TRY(const std::vector<fs::path> folders, entries_of(root));
  for (const fs::path& folder : folders) {
    if (!is_folder(folder)) continue;
    FT_TRY(const std::vector<fs::path> files, entries_of(folder));
    const size_t before = out.size();
    for (const fs::path& file : files)
      if (accepts(file.filename().string()) && !is_folder(file))
        out.push_back(
            {file.string(), below(file, root), folder.filename().string()});
    if (out.size() == before)
      return invalid_input(
          fmt::format("class folder '{}' holds no samples", folder.string()));
  }
  return out;
}

// Depth is bounded by the deepest folder; symbolic links to folders, which
// could form a cycle, are not followed.
Status collect(const fs::path& folder, bool into_folders,
               std::vector<fs::path>& out) {
  FT_TRY(const std::vector<fs::path> entries, entries_of(folder));
  for (const fs::path& path : entries) {
    std::error_code ignored;
    if (!is_folder(path))
      out.push_back(path);
    else if (into_folders && !fs::is_symlink(path, ignored))
      FT_TRY_STATUS(collect(path, into_folders, out));
  }
  return ok_status();
}

Result<std::vector<SampleFile>> files_by_pattern(
    const fs::path& root, const std::string& label_from,
    bool (*accepts)(std::string_view)) {
  FT_TRY(const LabelPattern pattern, LabelPattern::parse(label_from));
  std::vector<fs::path> paths;
  FT_TRY_STATUS(collect(root, pattern.spans_folders(), paths));
  std::vector<SampleFile> out;
  for (const fs::path& path : paths) {
    if (!accepts(path.filename().string())) continue;
    std::string name = below(path, root);
    const std::string stem =
        name.substr(0, name.size() - path.extension().string().size());
    const std::optional<std::string> label = pattern.label_of(stem);
    if (!label)
      return invalid_input(
          fmt::format("file name '{}' does not match the label pattern '{}'",
                      path.string(), label_from));
    out.push_back({path.string(), std::move(name), *label});
  }
  return out;
}

}  // namespace

int SampleFiles::label_of(const SampleFile& file) const {
  const auto at = std::lower_bound(classes.begin(), classes.end(), file.label);
  return static_cast<int>(at - classes.begin());
}

Result<SampleFiles> find_sample_files(const std::string& folder,
                                      const std::string& label_from,
                                      bool (*accepts)(std::string_view)) {
  if (!is_folder(folder))
    return io_error(fmt::format("'{}' is not a folder", folder));
  auto files = label_from.empty()
                   ? files_in_class_folders(folder, accepts)
                   : files_by_pattern(folder, label_from, accepts);
  if (!files.ok()) return files.status();
  if (files->empty())
    return invalid_input(fmt::format(
        "folder '{}' holds no samples ({})", folder,
        label_from.empty() ? "class folders such as yes/1.wav were expected"
                           : "files for the label pattern were expected"));
  std::sort(
      files->begin(), files->end(),
      [](const SampleFile& a, const SampleFile& b) { return a.name < b.name; });
  std::set<std::string> classes;
  for (const SampleFile& file : *files) classes.insert(file.label);
  return SampleFiles{std::move(files).value(),
                     {classes.begin(), classes.end()}};
}

}  // namespace ft
