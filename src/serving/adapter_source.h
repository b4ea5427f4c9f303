// Where adapter files come from, by name: a table of paths, folders and
// stores.
//
// All functions may be called from several threads at once. Not for what is
// loaded: see adapter_cache.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "fieldtune/runtime.h"

namespace ft {

// As fieldtune::OpenedAdapter.
struct SourceFile {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::string origin;
  std::string sha256 = {};
  bool is_private = false;  // nobody else can change the bytes
};

class AdapterSource {
 public:
  // Asked with a file's bytes before they are in memory.
  using Reserve = std::function<Status(size_t bytes)>;

  virtual ~AdapterSource() = default;
  // Brings the file. kUsage where the name is unknown; fails as `reserve`.
  virtual Result<SourceFile> open(const std::string& name,
                                  const Reserve& reserve) const = 0;
  // The version that open() of this name must not be below where a policy
  // refuses a downgrade; nothing where the source does not know.
  virtual Result<std::optional<uint64_t>> current_version(
      const std::string& name) const {
    (void)name;
    return std::optional<uint64_t>();
  }
  // The name of a store's adapter; "" of what has none but ours.
  virtual std::string stored_name(const std::string& name) const {
    (void)name;
    return {};
  }
  virtual bool has(const std::string& name) const = 0;
  virtual std::vector<std::string> names() const = 0;
};

// One file, whose owner brings it.
class OpenerSource : public AdapterSource {
 public:
  explicit OpenerSource(fieldtune::AdapterOpener open)
      : open_(std::move(open)) {}
  Result<SourceFile> open(const std::string&,
                          const Reserve& reserve) const override;
  // Which version it brings is its owner's choice, also a lower one.
  Result<std::optional<uint64_t>> current_version(
      const std::string&) const override {
    return std::optional<uint64_t>(0);
  }
  // It has no versions beside the name that it was given.
  bool has(const std::string&) const override { return false; }
  std::vector<std::string> names() const override { return {}; }

 private:
  const fieldtune::AdapterOpener open_;
};

// Paths, and names of other sources.
class FileSource : public AdapterSource {
 public:
  // A name that exists gets the new path.
  void add(const std::string& name, const std::string& path);
  // A name of another source, which is asked at each open(), also for what it
  // calls "name@...".
  void add(const std::string& name,
           std::shared_ptr<const AdapterSource> source);
  // Every "<name>.safetensors" of a folder; returns their names. Fails where
  // it cannot be read.
  Result<std::vector<std::string>> add_folder(const std::string& folder);
  // Whether there was one.
  bool remove(const std::string& name);

  Result<SourceFile> open(const std::string& name,
                          const Reserve& reserve) const override;
  Result<std::optional<uint64_t>> current_version(
      const std::string& name) const override;
  std::string stored_name(const std::string& name) const override;
  bool has(const std::string& name) const override;
  std::vector<std::string> names() const override;

 private:
  std::shared_ptr<const AdapterSource> source_of(const std::string& name) const;
  mutable std::shared_mutex mutex_;
  struct Place {
    std::string path;
    std::shared_ptr<const AdapterSource> source = nullptr;  // or a path
  };
  using Places = std::map<std::string, Place>;
  Places::const_iterator find(const std::string& name) const;
  Places places_;
};

}  // namespace ft
