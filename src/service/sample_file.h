// Labeled samples that were given to one training, on disk until somebody
// deletes them: an SQLite file beside the training's checkpoint.
//
// What add() has answered survives a kill and a power cut; what it has not
// answered is there whole or not at all. One process at a time has a file open.
// Every sample is kept with its digest, and encrypted where there is a key:
// samples are what people said and did. Not for adapters: see the store.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adapters/store/cipher.h"
#include "adapters/store/database.h"

namespace ft::service {

// The label by its number, or by its class's name.
struct LabeledSample {
  std::vector<float> features;
  int64_t label = -1;
  std::string word = {};
};

// What samples of one file have in common.
struct SampleKind {
  std::string base_sha256;
  int64_t features = 0;                   // of a sample
  std::vector<std::string> classes = {};  // empty: the model's own answers
};

// What there is of one adapter's training.
struct KeptSamples {
  std::string adapter;
  int64_t samples = 0, features = 0;
  uint64_t bytes = 0;  // on disk
  std::vector<std::string> classes = {};
  bool is_encrypted = false;
  std::string problem = {};  // why it cannot be read
};

class SampleFile {
 public:
  using Each = std::function<Status(std::span<const float>, int32_t label)>;

  // Makes it where there is none. One without samples takes any kind; one with
  // samples another kind's only where classes were added behind its own.
  // kUsage: of other classes, encrypted or not encrypted unlike `key`.
  // kInvalidInput: damaged, of another base.
  static Result<SampleFile> open(const std::string& path,
                                 const SampleKind& kind,
                                 const fieldtune::StoreKey& key = {});
  // For those who want to know what is there; takes no key and reads no sample.
  static Result<SampleFile> open_to_look(const std::string& path);

  // All of them or none; on disk when it returns. kIo where somebody has
  // removed the file meanwhile: what is added then is in no folder.
  Status add(std::span<const LabeledSample> samples);
  // As they were given, in that order. Checks each of them.
  Status read(const Each& each);

  int64_t count() const { return count_; }
  KeptSamples facts() const;

 private:
  SampleFile(std::string path, SampleKind kind);
  Status create() const;
  Status connect(int busy_ms);
  Status read_facts();
  Status take_kind(const SampleKind& kind);
  Status check_key(const std::string& key_check) const;
  Result<std::vector<std::byte>> unsealed(int64_t id, const std::string& data,
                                          const std::string& digest) const;
  std::string name_of(int64_t id) const;
  Status check_place() const;
  Status damaged(const std::string& what) const;

  std::string path_, where_;
  SampleKind kind_;
  std::optional<store::Cipher> cipher_;
  std::optional<store::Database> db_;
  std::string key_check_;
  int64_t count_ = 0;
  bool is_encrypted_ = false;
  uint64_t inode_ = 0;  // of the file that is open
};

// Where the samples of an adapter's training are.
std::string sample_file_of(const std::string& folder,
                           const std::string& adapter);
// By name. One that cannot be read says why, and `open`, which the caller has
// open, is left to him.
Result<std::vector<KeptSamples>> list_samples(const std::string& folder,
                                              const std::string& open = {});
// What is damaged goes as well. kUsage where there are none; kIo where another
// process has them open.
Status delete_samples(const std::string& folder, const std::string& adapter);
// Of the file and what SQLite keeps beside it.
uint64_t sample_file_bytes(const std::string& path);

}  // namespace ft::service
