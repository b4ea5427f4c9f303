#include "adapters/store/objects.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "adapters/store/index.h"
#include "base/hash.h"

namespace ft::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors";
constexpr size_t kDigest = 64;

// The digest that a file is named by; empty where it is not ours. A temporary
// one is of an interrupted write().
std::string digest_of(const std::string& file, bool& is_temporary) {
  is_temporary = is_temporary_name(file);
  const std::string_view name =
      is_temporary ? final_name(file) : std::string_view(file);
  std::string digest(name.substr(0, kDigest));
  if (!is_sha256(digest) || name.substr(kDigest) != kEnding) return {};
  return digest;
}

}  // namespace

Objects::Objects(std::string folder, bool encrypted,
                 std::optional<Cipher> cipher)
    : folder_(std::move(folder)),
      encrypted_(encrypted),
      cipher_(std::move(cipher)) {}

std::string Objects::path_of(const std::string& sha256) const {
  FT_CHECK(is_sha256(sha256));
  return fmt::format("{}/objects/{}/{}{}", folder_, sha256.substr(0, 2), sha256,
                     kEnding);
}

Status Objects::need_key() const {
  if (!encrypted_ || cipher_) return ok_status();
  return usage_error(fmt::format(
      "store '{}' is encrypted: give its key file or the name of its key in "
      "the keyring",
      folder_));
}

// A folder that exists may be of a writer whose crash came before its sync, so
// both folders are synced each time.
Status Objects::write(const std::string& sha256,
                      std::span<const std::byte> bytes) {
  FT_TRY_STATUS(need_key());
  const std::string path = path_of(sha256);
  const std::string parent = path.substr(0, path.rfind('/'));
  if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST)
    return io_error("cannot make folder '" + parent +
                    "': " + std::strerror(errno));
  if (encrypted_)
    FT_TRY_STATUS(write_file_atomically(path, cipher_->seal(bytes, sha256)));
  else
    FT_TRY_STATUS(write_file_atomically(path, bytes));
  return sync_folder(folder_ + "/objects");
}

Result<ObjectBytes> Objects::read(const std::string& sha256,
                                  uint64_t bytes) const {
  FT_TRY_STATUS(need_key());
  const std::string path = path_of(sha256);
  ObjectBytes object;
  FT_TRY(object.mapped, MappedFile::open(path));
  const uint64_t found = object.mapped.bytes().size();
  const uint64_t wanted = encrypted_ ? Cipher::sealed_bytes(bytes) : bytes;
  if (found != wanted)
    return invalid_input(fmt::format(
        "'{}' is damaged: it has {} bytes, for an adapter of {} bytes it "
        "should have {}",
        path, found, bytes, wanted));
  if (!encrypted_) return object;
  FT_TRY(object.plain, cipher_->open(object.mapped.bytes(), sha256,
                                     fmt::format("'{}'", path)));
  object.mapped = MappedFile();
  object.is_plain = true;
  return object;
}

bool Objects::is_whole(const std::string& sha256, uint64_t bytes) const {
  const auto object = read(sha256, bytes);
  return object.ok() && sha256_hex(object->bytes()) == sha256;
}

Result<Objects::Leftovers> Objects::leftovers(
    const std::function<bool(const std::string& sha256)>& is_known) const {
  Leftovers found;
  std::error_code error;
  const fs::path root = fs::path(folder_) / "objects";
  for (fs::recursive_directory_iterator at(root, error), end;
       !error && at != end; at.increment(error)) {
    const fs::path relative = at->path().lexically_relative(folder_);
    const std::string name = at->path().filename();
    if (at.depth() == 0 && name.size() == 2 && at->is_directory(error))
      continue;
    bool is_temporary = false;
    const std::string digest = digest_of(name, is_temporary);
    const bool ours =
        at.depth() == 1 && !digest.empty() &&
        at->path().parent_path().filename() == digest.substr(0, 2) &&
        at->is_regular_file(error);
    if (ours && !is_temporary && is_known(digest)) continue;
    (ours ? found.ours : found.others).push_back(relative);
  }
  if (error)
    return io_error("cannot list '" + root.string() + "': " + error.message());
  std::ranges::sort(found.ours);
  std::ranges::sort(found.others);
  return found;
}

Status Objects::remove(const std::string& leftover) {
  const std::string path = folder_ + "/" + leftover;
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return ok_status();
  return io_error("cannot remove '" + path + "': " + std::strerror(errno));
}

}  // namespace ft::store
