#include "service/training_record.h"

#include <unistd.h>

#include <cerrno>
#include <span>

#include "base/file.h"
#include "service/json_fields.h"

namespace ft::service {
namespace {

std::string path_of(const std::string& folder) {
  return folder + "/training.json";
}

}  // namespace

Status save_record(const std::string& folder, const TrainingRecord& record) {
  const std::string text =
      to_text(Json{{"request", record.request}, {"paused", record.paused}});
  FT_TRY(AtomicFile file, AtomicFile::create(path_of(folder), 0600));
  FT_TRY_STATUS(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

Result<std::optional<TrainingRecord>> load_record(const std::string& folder) {
  const std::string path = path_of(folder);
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT)
    return std::optional<TrainingRecord>();
  FT_TRY(const std::string text, read_text_file(path));
  const auto parsed = parse_object(text);
  if (!parsed.ok() || !parsed->contains("request") ||
      !(*parsed)["request"].is_object() || !parsed->contains("paused") ||
      !(*parsed)["paused"].is_boolean())
    return invalid_input("'" + path + "' is damaged");
  return std::optional<TrainingRecord>(
      {.request = (*parsed)["request"], .paused = (*parsed)["paused"]});
}

Result<WriterLock> lock_work(const std::string& folder) {
  constexpr int kWaitMs = 1000;  // a service that ends is soon gone
  return WriterLock::acquire(path_of(folder), kWaitMs);
}

Status drop_record(const std::string& folder) {
  return remove_file(path_of(folder));
}

}  // namespace ft::service
