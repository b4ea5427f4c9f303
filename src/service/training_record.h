// What a training was started with, kept in the folder of trainings while it is
// wanted: after a restart, a kill or a power cut the service goes on with it.
//
// One file, replaced whole. It has no samples and no weights: those are in the
// training's own files.
#pragma once

#include <optional>
#include <string>

#include "base/writer_lock.h"
#include "service/reply.h"

namespace ft::service {

struct TrainingRecord {
  Json request;  // of POST /v1/train/start, without "fresh"
  bool paused = false;
};

Status save_record(const std::string& folder, const TrainingRecord& record);
// Nothing where there is none. kInvalidInput: it is damaged.
Result<std::optional<TrainingRecord>> load_record(const std::string& folder);
// So that one service at a time trains there; kIo where another one does.
Result<WriterLock> lock_work(const std::string& folder);
Status drop_record(const std::string& folder);

}  // namespace ft::service
