// Where adapter files come from, by name: a table of paths and folders now, a
// store behind the same interface.
//
// All functions may be called from several threads at once. Not for what is
// loaded: see adapter_cache.h.
#pragma once

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace ft {

struct SourceFile {
  MappedFile file;
  std::string origin;  // for errors
  std::string sha256;  // empty: the source does not know it
};

class AdapterSource {
 public:
  virtual ~AdapterSource() = default;
  // Maps the file. kUsage where the name is unknown.
  virtual Result<SourceFile> open(const std::string& name) const = 0;
  virtual bool has(const std::string& name) const = 0;
  virtual std::vector<std::string> names() const = 0;
};

// Paths by name.
class FileSource : public AdapterSource {
 public:
  // A name that exists gets the new path.
  void add(const std::string& name, const std::string& path);
  // Every "<name>.safetensors" of a folder; returns their names. Fails where
  // it cannot be read.
  Result<std::vector<std::string>> add_folder(const std::string& folder);
  // Whether there was one.
  bool remove(const std::string& name);

  Result<SourceFile> open(const std::string& name) const override;
  bool has(const std::string& name) const override;
  std::vector<std::string> names() const override;

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::string> paths_;
};

}  // namespace ft
