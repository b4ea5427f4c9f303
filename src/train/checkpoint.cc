#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "base/file.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr size_t kRecordDoubles = 4;

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
  return invalid_input(
      fmt::format("checkpoint: '{}' is missing or malformed", key));
}

Status read_double(const SafetensorsMetadata& metadata, const char* key,
                   double& out) {
  uint64_t bits = 0;
  FT_TRY_STATUS(read_int(metadata, key, bits, 16));
  out = std::bit_cast<double>(bits);
  return ok_status();
}

Result<std::vector<EpochRecord>> read_history(const SafetensorsEntry& entry) {
  constexpr size_t kBytes = kRecordDoubles * sizeof(double);
  if (entry.data.size() % kBytes != 0)
    return invalid_input("checkpoint: the history has a broken record");
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

}  // namespace

Status save_checkpoint(const std::string& path, const std::string& fingerprint,
                       std::span<const std::byte> persistent,
                       const TrainState& state) {
  std::vector<double> history;
  for (const EpochRecord& r : state.history)
    history.insert(history.end(), {static_cast<double>(r.epoch), r.train_loss,
                                   r.val_loss, r.val_accuracy});
  const SafetensorsMetadata metadata = {
      {"checkpoint_version", "1"},
      {"fingerprint", fingerprint},
      {"step", fmt::format("{}", state.step)},
      {"epoch_loss_sum", to_hex(state.epoch_loss_sum)},
      {"best_epoch", fmt::format("{}", state.best_epoch)},
      {"best_loss", to_hex(state.best_loss)},
      {"epochs_without_gain", fmt::format("{}", state.epochs_without_gain)},
      {"answer_low", to_hex(state.answer_low)},
      {"answer_high", to_hex(state.answer_high)}};
  const std::vector<SafetensorsEntry> entries = {
      bytes_entry("persistent", persistent),
      bytes_entry("best_params", state.best_params),
      bytes_entry("history", std::as_bytes(std::span(history)))};
  FT_TRY(const auto bytes, write_safetensors(entries, metadata));
  return write_file_atomically(path, bytes);
}

Result<TrainState> load_checkpoint(const std::string& path,
                                   const std::string& fingerprint,
                                   std::span<std::byte> persistent) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  FT_TRY(const Safetensors parsed, parse_safetensors(file.bytes()));
  const auto theirs = parsed.metadata.find("fingerprint");
  if (theirs == parsed.metadata.end())
    return invalid_input("'" + path + "' is not a checkpoint");
  if (theirs->second != fingerprint)
    return invalid_input(
        "checkpoint '" + path +
        "' belongs to a run with another model, data, seed or settings");
  const SafetensorsEntry* region = parsed.find("persistent");
  const SafetensorsEntry* best = parsed.find("best_params");
  const SafetensorsEntry* history = parsed.find("history");
  if (region == nullptr || best == nullptr || history == nullptr ||
      region->data.size() != persistent.size() ||
      best->data.size() > persistent.size())
    return invalid_input("checkpoint '" + path +
                         "' does not hold this program's state");
  TrainState state;
  FT_TRY_STATUS(read_int(parsed.metadata, "step", state.step));
  FT_TRY_STATUS(
      read_double(parsed.metadata, "epoch_loss_sum", state.epoch_loss_sum));
  FT_TRY_STATUS(read_int(parsed.metadata, "best_epoch", state.best_epoch));
  FT_TRY_STATUS(read_double(parsed.metadata, "best_loss", state.best_loss));
  FT_TRY_STATUS(read_int(parsed.metadata, "epochs_without_gain",
                         state.epochs_without_gain));
  FT_TRY_STATUS(read_double(parsed.metadata, "answer_low", state.answer_low));
  FT_TRY_STATUS(read_double(parsed.metadata, "answer_high", state.answer_high));
  FT_TRY(state.history, read_history(*history));
  state.best_params.assign(best->data.begin(), best->data.end());
  std::ranges::copy(region->data, persistent.begin());
  return state;
}

}  // namespace ft
