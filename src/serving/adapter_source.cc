#include "serving/adapter_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "adapters/adapter_bytes.h"

namespace ft {

namespace fs = std::filesystem;

Result<SourceFile> OpenerSource::open(const std::string&,
                                      const Reserve& reserve) const {
  size_t asked = 0;
  FT_TRY(fieldtune::OpenedAdapter opened, open_([&](size_t bytes) -> Status {
           FT_TRY_STATUS(reserve(bytes));
           asked += bytes;
           return ok_status();
         }));
  if (opened.bytes.size() > asked)
    FT_TRY_STATUS(reserve(opened.bytes.size() - asked));
  return SourceFile{.bytes = opened.bytes,
                    .owner = std::move(opened.owner),
                    .origin = std::move(opened.origin),
                    .sha256 = std::move(opened.sha256)};
}

void FileSource::add(const std::string& name, const std::string& path) {
  const std::unique_lock lock(mutex_);
  places_[name] = {path};
}

void FileSource::add(const std::string& name,
                     std::shared_ptr<const AdapterSource> source) {
  const std::unique_lock lock(mutex_);
  places_[name] = {.path = {}, .source = std::move(source)};
}

Result<std::vector<std::string>> FileSource::add_folder(
    const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  fs::directory_iterator at(folder, error);
  while (!error && at != fs::directory_iterator()) {
    if (at->path().extension() == ".safetensors") files.push_back(at->path());
    at.increment(error);
  }
  if (error)
    return io_error(
        fmt::format("cannot read folder '{}': {}", folder, error.message()));
  std::ranges::sort(files);
  std::vector<std::string> names;
  for (const fs::path& file : files) {
    names.push_back(file.stem().string());
    add(names.back(), file.string());
  }
  return names;
}

bool FileSource::remove(const std::string& name) {
  const std::unique_lock lock(mutex_);
  return places_.erase(name) > 0;
}

// What is called "kitchen@3" itself goes before a version of "kitchen".
FileSource::Places::const_iterator FileSource::find(
    const std::string& name) const {
  auto at = places_.find(name);
  const size_t sign = name.find('@');
  if (at != places_.end() || sign == std::string::npos) return at;
  at = places_.find(name.substr(0, sign));
  if (at == places_.end() || at->second.source == nullptr ||
      !at->second.source->has(name))
    return places_.end();
  return at;
}

Result<SourceFile> FileSource::open(const std::string& name,
                                    const Reserve& reserve) const {
  Place place;
  {
    const std::shared_lock lock(mutex_);
    const auto at = find(name);
    if (at == places_.end())
      return usage_error(
          fmt::format("there is no adapter '{}' among the {} registered ones",
                      name, places_.size()));
    place = at->second;
  }
  if (place.source != nullptr) return place.source->open(name, reserve);
  FT_TRY(auto bytes, read_adapter_bytes(place.path, reserve));
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return SourceFile{.bytes = *owner,
                    .owner = owner,
                    .origin = "'" + place.path + "'",
                    .is_private = true};
}

std::shared_ptr<const AdapterSource> FileSource::source_of(
    const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto at = find(name);
  return at == places_.end() ? nullptr : at->second.source;
}

Result<std::optional<uint64_t>> FileSource::current_version(
    const std::string& name) const {
  const auto source = source_of(name);
  if (source == nullptr) return std::optional<uint64_t>();
  return source->current_version(name);
}

std::string FileSource::stored_name(const std::string& name) const {
  const auto source = source_of(name);
  return source == nullptr ? std::string() : source->stored_name(name);
}

bool FileSource::has(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  return find(name) != places_.end();
}

std::vector<std::string> FileSource::names() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [name, place] : places_) all.push_back(name);
  return all;
}

}  // namespace ft
