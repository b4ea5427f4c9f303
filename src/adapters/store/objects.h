// The adapter files of a store: DIR/objects/ab/<sha256>.safetensors, each
// written once and never changed.
//
// write() returns when file and name are on disk. Nothing here knows the index:
// who writes or removes holds the store's lock. Paths are made of checked
// digests only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "adapters/store/cipher.h"
#include "base/file.h"

namespace ft::store {

// A file's contents: mapped, or decrypted.
struct ObjectBytes {
  MappedFile mapped;
  std::vector<std::byte> plain;
  bool is_plain = false;  // `plain` holds them
  std::span<const std::byte> bytes() const {
    return is_plain ? std::span<const std::byte>(plain) : mapped.bytes();
  }
};

class Objects {
 public:
  // `encrypted` without a cipher: names can be seen, contents cannot.
  Objects(std::string folder, bool encrypted, std::optional<Cipher> cipher);

  Status write(const std::string& sha256, std::span<const std::byte> bytes);
  // Fails with kIo where there is no such file. Contents are checked by the
  // cipher, if there is one; plain ones by whoever wants that.
  // Another size than that of `bytes` is kInvalidInput before any is read.
  Result<ObjectBytes> read(const std::string& sha256, uint64_t bytes) const;
  // True where the file is there, of so many bytes with that digest.
  bool is_whole(const std::string& sha256, uint64_t bytes) const;

  // Files that no adapter needs: `ours` a crash left behind, `others` are not
  // known to us and never removed. Paths below the store's folder.
  struct Leftovers {
    std::vector<std::string> ours, others;
  };
  Result<Leftovers> leftovers(
      const std::function<bool(const std::string& sha256)>& is_known) const;
  Status remove(const std::string& leftover);

 private:
  std::string path_of(const std::string& sha256) const;
  Status need_key() const;

  std::string folder_;  // of the store
  bool encrypted_;
  std::optional<Cipher> cipher_;
};

}  // namespace ft::store
