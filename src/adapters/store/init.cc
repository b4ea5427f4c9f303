#include "adapters/store/init.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "adapters/store/cipher.h"
#include "adapters/store/index.h"
#include "adapters/store/write_lock.h"
#include "base/file.h"

namespace ft::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMarker =
    "# An adapter store of fieldtune; change it with 'fieldtune store' only.\n"
    "format = 1\n";
constexpr const char* kMarkerName = "/store.toml";

// Files of an init() that did not come to its end.
bool is_ours(const fs::path& path) {
  const std::string name = path.filename();
  std::error_code error;
  return name.starts_with("index.sqlite") || name == "lock" ||
         (name == "objects" && fs::is_empty(path, error) && !error) ||
         (is_temporary_name(name) && final_name(name) == "store.toml");
}

Status check_empty(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    if (!is_ours(at->path()))
      return usage_error(
          fmt::format("'{}' holds '{}': a store needs a folder of its own",
                      folder, at->path().filename().string()));
  if (error)
    return io_error("cannot list '" + folder + "': " + error.message());
  return ok_status();
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return ok_status();
  return io_error("cannot make folder '" + path + "': " + std::strerror(errno));
}

Status remove_unfinished(const std::string& folder) {
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (name == "lock" || name == "objects") continue;
    if (::unlink(at->path().c_str()) != 0 && errno != ENOENT)
      return io_error("cannot remove '" + at->path().string() +
                      "': " + std::strerror(errno));
  }
  return ok_status();
}

std::string parent_of(const std::string& folder) {
  const fs::path parent = fs::absolute(folder).lexically_normal() / "..";
  return parent.lexically_normal();
}

}  // namespace

Status init_store(const std::string& folder,
                  const fieldtune::StoreInit& options) {
  const std::string where = "store '" + folder + "'";
  if (!options.base_sha256.empty() && !is_sha256(options.base_sha256))
    return usage_error("'" + options.base_sha256 +
                       "' is not a SHA-256: 64 digits 0-9a-f");
  StoreRow row{.base_sha256 = options.base_sha256};
  if (options.key.given()) {
    FT_TRY(const Cipher cipher, Cipher::load(options.key));
    row.key_check = cipher.make_check();
  }
  FT_TRY_STATUS(make_folder(folder));
  FT_TRY_STATUS(sync_folder(parent_of(folder)));
  if (::access((folder + kMarkerName).c_str(), F_OK) == 0)
    return usage_error("'" + folder + "' is a store already");
  FT_TRY_STATUS(check_empty(folder));
  FT_TRY(const WriteLock lock, WriteLock::acquire(folder + "/lock", 0, where));
  if (::access((folder + kMarkerName).c_str(), F_OK) == 0)
    return usage_error("'" + folder + "' is a store already");
  FT_TRY_STATUS(remove_unfinished(folder));
  FT_TRY_STATUS(make_folder(folder + "/objects"));
  FT_TRY_STATUS(Index::create(folder + "/index.sqlite", row, where));
  FT_TRY_STATUS(sync_folder(folder));
  return write_file_atomically(folder + kMarkerName, std::string_view(kMarker));
}

Status check_marker(const std::string& folder) {
  const std::string path = folder + kMarkerName;
  if (::access(path.c_str(), F_OK) != 0)
    return invalid_input(fmt::format(
        "'{}' is not an adapter store ({}); 'fieldtune store init' "
        "makes one",
        folder,
        errno == ENOENT ? "it has no store.toml" : std::strerror(errno)));
  FT_TRY(const std::string text, read_text_file(path));
  if (text == kMarker) return ok_status();
  return invalid_input(fmt::format(
      "'{}' does not say 'format = 1': a store that this program does not "
      "read, or a damaged one",
      path));
}

}  // namespace ft::store
