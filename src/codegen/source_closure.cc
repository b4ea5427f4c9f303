#include "codegen/source_closure.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

namespace ft::codegen {
namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::vector<std::string_view> includes_of(std::string_view text) {
  constexpr std::string_view kInclude = "#include \"";
  std::vector<std::string_view> paths;
  for (size_t at = text.find(kInclude); at != std::string_view::npos;
       at = text.find(kInclude, at + 1)) {
    const size_t begin = at + kInclude.size();
    paths.push_back(text.substr(begin, text.find('"', begin) - begin));
  }
  return paths;
}

class Closure {
 public:
  Closure() {
    for (const SourceFile& file : kernel_sources()) {
      by_path_[file.path] = &file;
      for (const std::string& name : words_of(file.defines))
        defined_in_[name] = &file;
    }
  }

  Result<const SourceFile*> find(const std::string& name) const {
    const auto file = defined_in_.find(name);
    if (file == defined_in_.end())
      return internal_error(
          fmt::format("no C99 source defines the kernel {}", name));
    return file->second;
  }

  Status add_function(const std::string& name) {
    FT_TRY(const SourceFile* const file, find(name));
    return add(*file);
  }

  std::vector<const SourceFile*> files() const {
    std::vector<const SourceFile*> all;
    for (const auto& [path, file] : needed_) all.push_back(file);
    return all;
  }

 private:
  Status add(const SourceFile& file) {
    if (!needed_.emplace(file.path, &file).second) return ok_status();
    for (const std::string_view path : includes_of(file.text)) {
      const auto found = by_path_.find(path);
      if (found == by_path_.end())
        return internal_error(
            fmt::format("{} includes {}, which devices lack", file.path, path));
      FT_TRY_STATUS(add(*found->second));
    }
    for (const std::string& name : words_of(file.calls))
      FT_TRY_STATUS(add_function(name));
    return ok_status();
  }

  std::map<std::string_view, const SourceFile*> by_path_, needed_;
  std::map<std::string, const SourceFile*, std::less<>> defined_in_;
};

}  // namespace

Result<std::vector<const SourceFile*>> sources_of(
    const std::set<std::string>& functions) {
  Closure closure;
  for (const std::string& name : functions)
    FT_TRY_STATUS(closure.add_function(name));
  return closure.files();
}

Result<const SourceFile*> source_of(const std::string& function) {
  return Closure().find(function);
}

std::string header_of(const SourceFile& file) {
  // A kernel's folder has the header of that name.
  const size_t end = file.path.rfind('/');
  const std::string folder(file.path.substr(0, end));
  return folder + folder.substr(folder.rfind('/')) + ".h";
}

const ParamType* find_param_type(std::string_view name) {
  const auto types = param_types();
  const auto found = std::ranges::find(types, name, &ParamType::name);
  return found == types.end() ? nullptr : &*found;
}

}  // namespace ft::codegen
