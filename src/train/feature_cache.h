// What the frozen trunk of a model answers to each sample, computed once and
// kept in a file, so that every epoch but the first skips the trunk.
//
// The file: "FTFEAT01", samples and bytes of one as uint64 (little endian), a
// key of 64 hex digits that says what the features were computed from, the
// features of sample 0, 1, ... in the feature's own dtype, and the SHA-256 of
// them as 64 hex digits.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "ir/types.h"
#include "methods/method.h"
#include "plan/program.h"
#include "train/base_model.h"
#include "train/samples.h"

namespace ft {

// Takes the frozen trunk off `base`, whose graph reads features from then on,
// and returns it. Fails as split_frozen_trunk() does, and where the methods do
// not suit the model.
Result<Graph> take_frozen_trunk(BaseModel& base,
                                std::span<const MethodSettings> methods);

class FeatureCache {
 public:
  // Tells how far computing has come.
  using Report = std::function<void(size_t done)>;

  // Opens `path` if it holds these features, else computes and writes them;
  // what was there is replaced if it was a file of features, and refused if it
  // was anything else. `trunk` has batch 1 and one output; `data_key` names
  // base model and samples, the trunk's program is part of the key by itself.
  static Result<FeatureCache> open(const std::string& path,
                                   const Program& trunk, const Samples& samples,
                                   size_t count, const std::string& data_key,
                                   const Report& report);

  // In real numbers; write_features() gives exactly the stored ones back.
  void fill(size_t sample, std::span<float> features) const;

  size_t feature_size() const;  // values of one sample
  size_t sample_bytes() const { return type_.num_bytes(); }
  size_t file_bytes() const { return file_.bytes().size(); }
  bool reused() const { return reused_; }

 private:
  FeatureCache(MappedFile file, TensorType type, bool reused);

  MappedFile file_;
  TensorType type_;  // of one sample, [1, ...]
  bool reused_;
};

// The samples with their features in the place of what `samples` gives, which
// must not vary from epoch to epoch. Where a sample is its own target,
// `inputs` [samples, feature_size] are the targets.
Samples with_features(const Samples& samples,
                      std::shared_ptr<const FeatureCache> features,
                      std::span<const float> inputs);

}  // namespace ft
