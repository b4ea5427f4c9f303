#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr size_t kRecordDoubles = 4;
constexpr const char* kVersion = "2";
constexpr const char *kRegion = "persistent", *kBest = "best_params",
                     *kHistory = "history";

// Doubles travel as bit patterns in hex: text would round them.
std::string to_hex(double value) {
  return fmt::format("{:016x}", std::bit_cast<uint64_t>(value));
}

template <class T>
Status read_int(const SafetensorsMetadata& metadata, const char* key, T& out,
                int base = 10) {
  const auto at = metadata.find(key);
  if (at != metadata.end()) {
    const std::string& text = at->second;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), out, base);
    if (error == std::errc() && end == text.data() + text.size())
      return ok_status();
  }
  return invalid_input(fmt::format("'{}' is missing or malformed", key));
}

Status read_double(const SafetensorsMetadata& metadata, const char* key,
                   double& out) {
  uint64_t bits = 0;
  FT_TRY_STATUS(read_int(metadata, key, bits, 16));
  out = std::bit_cast<double>(bits);
  return ok_status();
}

Result<std::vector<EpochRecord>> decode_history(const SafetensorsEntry& entry) {
  constexpr size_t kBytes = kRecordDoubles * sizeof(double);
  if (entry.data.size() % kBytes != 0)
    return invalid_input("the history of the checkpoint has a broken record");
  std::vector<EpochRecord> history(entry.data.size() / kBytes);
  for (size_t i = 0; i < history.size(); ++i) {
    double fields[kRecordDoubles];
    std::memcpy(fields, entry.data.data() + i * kBytes, kBytes);
    history[i] = {.epoch = static_cast<int>(fields[0]),
                  .train_loss = fields[1],
                  .val_loss = fields[2],
                  .val_accuracy = fields[3]};
  }
  return history;
}

SafetensorsEntry bytes_entry(const char* name,
                             std::span<const std::byte> bytes) {
  return {.name = name,
          .dtype = DType::kU8,
          .shape = {static_cast<int64_t>(bytes.size())},
          .data = bytes};
}

// Path of the best parameters, without the epoch.
std::string best_prefix(const std::string& path) { return path + ".best-"; }

std::string history_path(const std::string& path) { return path + ".history"; }

// Files of best parameters but that of epoch `keep`; -1: all of them.
Status remove_best(const std::string& path, int keep) {
  Status status;
  namespace fs = std::filesystem;
  const std::string prefix = fs::path(best_prefix(path)).filename();
  const std::string kept = fmt::format("{}{}", prefix, keep);
  const fs::path folder = fs::absolute(path).parent_path();
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored)) {
    const std::string name = file.path().filename();
    const bool ours =
        name.starts_with(prefix) && name.size() > prefix.size() &&
        std::ranges::all_of(std::string_view(name).substr(prefix.size()),
                            [](char c) { return c >= '0' && c <= '9'; });
    if (!ours || (keep >= 0 && name == kept)) continue;
    const Status removed = remove_file(file.path());
    if (!removed.ok()) status = removed;
  }
  return status;
}

// A file with one tensor of bytes beside PATH, for this run alone.
Status write_part(const std::string& path, const std::string& fingerprint,
                  const SafetensorsEntry& entry) {
  FT_TRY(const auto bytes,
         write_safetensors({&entry, 1}, {{"fingerprint", fingerprint}}));
  return write_file_atomically(path, bytes);
}

// A file of a checkpoint, checked for whose it is.
struct Part {
  MappedFile file;
  Safetensors parsed;
};

Result<Part> open_part(const std::string& path,
                       const std::string& fingerprint) {
  Part part;
  FT_TRY(part.file, MappedFile::open(path));
  auto parsed = parse_safetensors(part.file.bytes());
  if (!parsed.ok())
    return Status(parsed.status()).in("checkpoint '" + path + "'");
  part.parsed = *std::move(parsed);
  const auto theirs = part.parsed.metadata.find("fingerprint");
  if (theirs == part.parsed.metadata.end())
    return invalid_input("'" + path + "' is not a checkpoint");
  if (theirs->second != fingerprint)
    return invalid_input(
        "checkpoint '" + path +
        "' belongs to a run with another model, data, seed or settings");
  return part;
}

Status read_best(const std::string& path, const std::string& fingerprint,
                 TrainState& state) {
  if (state.best_epoch < 0) return ok_status();
  const std::string file =
      fmt::format("{}{}", best_prefix(path), state.best_epoch);
  FT_TRY(const Part part, open_part(file, fingerprint));
  const SafetensorsEntry* best = part.parsed.find(kBest);
  if (best == nullptr)
    return invalid_input("checkpoint '" + file + "' holds no parameters");
  state.best_params.assign(best->data.begin(), best->data.end());
  return ok_status();
}

// The first `epochs` records: a file may have more than the checkpoint that
// names it, when power went between the two.
Status read_history(const std::string& path, const std::string& fingerprint,
                    size_t epochs, TrainState& state) {
  if (epochs == 0) return ok_status();
  const std::string file = history_path(path);
  FT_TRY(const Part part, open_part(file, fingerprint));
  const SafetensorsEntry* records = part.parsed.find(kHistory);
  if (records == nullptr)
    return invalid_input("checkpoint '" + file + "' holds no history");
  FT_TRY(state.history, decode_history(*records));
  if (state.history.size() < epochs)
    return invalid_input(
        fmt::format("checkpoint '{}' holds {} epochs, but '{}' counts {}", file,
                    state.history.size(), path, epochs));
  state.history.resize(epochs);
  return ok_status();
}

SafetensorsMetadata counters_of(const TrainState& state) {
  return {{"checkpoint_version", kVersion},
          {"step", fmt::format("{}", state.step)},
          {"epochs", fmt::format("{}", state.history.size())},
          {"epoch_loss_sum", to_hex(state.epoch_loss_sum)},
          {"best_epoch", fmt::format("{}", state.best_epoch)},
          {"best_loss", to_hex(state.best_loss)},
          {"epochs_without_gain", fmt::format("{}", state.epochs_without_gain)},
          {"answer_low", to_hex(state.answer_low)},
          {"answer_high", to_hex(state.answer_high)}};
}

Status read_counters(const SafetensorsMetadata& metadata, TrainState& state) {
  FT_TRY_STATUS(read_int(metadata, "step", state.step));
  FT_TRY_STATUS(read_double(metadata, "epoch_loss_sum", state.epoch_loss_sum));
  FT_TRY_STATUS(read_int(metadata, "best_epoch", state.best_epoch));
  FT_TRY_STATUS(read_double(metadata, "best_loss", state.best_loss));
  FT_TRY_STATUS(
      read_int(metadata, "epochs_without_gain", state.epochs_without_gain));
  FT_TRY_STATUS(read_double(metadata, "answer_low", state.answer_low));
  return read_double(metadata, "answer_high", state.answer_high);
}

}  // namespace

Status CheckpointWriter::write_best(const TrainState& state) {
  if (state.best_epoch < 0 || state.best_epoch == best_epoch_)
    return ok_status();
  FT_TRY_STATUS(
      write_part(fmt::format("{}{}", best_prefix(path_), state.best_epoch),
                 fingerprint_, bytes_entry(kBest, state.best_params)));
  best_epoch_ = state.best_epoch;
  return ok_status();
}

Status CheckpointWriter::write_history(const TrainState& state) {
  if (state.history.size() == epochs_) return ok_status();
  std::vector<double> records;
  for (const EpochRecord& r : state.history)
    records.insert(records.end(), {static_cast<double>(r.epoch), r.train_loss,
                                   r.val_loss, r.val_accuracy});
  FT_TRY_STATUS(
      write_part(history_path(path_), fingerprint_,
                 bytes_entry(kHistory, std::as_bytes(std::span(records)))));
  epochs_ = state.history.size();
  return ok_status();
}

// Writing our parts over those of a run that ours does not go on from would
// leave a PATH whose parts do not fit: it goes first, and for good. A PATH that
// is no checkpoint names no parts.
Status CheckpointWriter::discard_another_runs(const TrainState& state) {
  if (std::exchange(looked_, true)) return ok_status();
  const auto file = MappedFile::open(path_);
  if (!file.ok()) return ok_status();
  const auto parsed = parse_safetensors(file->bytes());
  if (!parsed.ok()) return ok_status();
  const SafetensorsMetadata& metadata = parsed->metadata;
  const auto theirs = metadata.find("fingerprint");
  int64_t step = 0;
  if (theirs == metadata.end() || !read_int(metadata, "step", step).ok())
    return ok_status();
  if (theirs->second == fingerprint_ && step <= state.step) return ok_status();
  return remove_checkpoint(path_);
}

Status CheckpointWriter::save(std::span<const std::byte> persistent,
                              const TrainState& state) {
  FT_TRY_STATUS(discard_another_runs(state));
  FT_TRY_STATUS(write_best(state));
  FT_TRY_STATUS(write_history(state));
  SafetensorsMetadata metadata = counters_of(state);
  metadata.emplace("fingerprint", fingerprint_);
  const SafetensorsEntry region = bytes_entry(kRegion, persistent);
  FT_TRY(const auto bytes, write_safetensors({&region, 1}, metadata));
  FT_TRY_STATUS(write_file_atomically(path_, bytes));
  // What stays is in nobody's way, and the next save tries again.
  (void)remove_best(path_, state.best_epoch).ok();
  return ok_status();
}

Result<TrainState> load_checkpoint(const std::string& path,
                                   const std::string& fingerprint,
                                   std::span<std::byte> persistent) {
  FT_TRY(const Part part, open_part(path, fingerprint));
  const SafetensorsMetadata& metadata = part.parsed.metadata;
  const auto version = metadata.find("checkpoint_version");
  if (version == metadata.end() || version->second != kVersion)
    return invalid_input(
        fmt::format("checkpoint '{}' is not of version {}", path, kVersion));
  const SafetensorsEntry* region = part.parsed.find(kRegion);
  if (region == nullptr || region->data.size() != persistent.size())
    return invalid_input("checkpoint '" + path +
                         "' does not hold this program's state");
  TrainState state;
  size_t epochs = 0;
  const std::string origin = "checkpoint '" + path + "'";
  FT_TRY_STATUS(read_counters(metadata, state).in(origin));
  FT_TRY_STATUS(read_int(metadata, "epochs", epochs).in(origin));
  FT_TRY_STATUS(read_best(path, fingerprint, state));
  FT_TRY_STATUS(read_history(path, fingerprint, epochs, state));
  if (state.best_params.size() > persistent.size())
    return invalid_input("checkpoint '" + path +
                         "' does not hold this program's state");
  std::ranges::copy(region->data, persistent.begin());
  return state;
}

// The file that names the others goes first.
Status remove_checkpoint(const std::string& path) {
  FT_TRY_STATUS(remove_file(path));
  FT_TRY_STATUS(remove_file(history_path(path)));
  return remove_best(path, -1);
}

}  // namespace ft
