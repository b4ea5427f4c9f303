// Adapter files: one safetensors file with the adapter's tensors and, in its
// metadata, everything that is needed to use it again.
//
// Goals: readable by any safetensors reader; tensor names and shapes as HF PEFT
// has them; bound to one base model by its SHA-256; equal adapters give equal
// bytes (no clock, no host name). Non-goals: holding base weights, executable
// content.
//
// Tensors are F32, F16 or BF16; or integers of the quantizer that metadata
// `quantizer` names: I8, I16, or up to 4 bits packed two to a U8 (low half
// first) as a flat tensor, whose shape stands in `packed_shapes`. Tensor
// `quantizer.scale` holds the steps of all integer tensors, in the order of the
// file, and `quantizer.zero_point` their zero points unless symmetric. A file
// with integers has format version 2.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/quantizer.h"
#include "ir/types.h"

namespace ft {

struct AdapterEntry {
  std::string name;  // PEFT key
  Shape shape;
  std::vector<float> values;
  // How the file holds the values. Integers need a scale for each group, and
  // zero points unless they are symmetric; every value must be one that they
  // can express.
  Quantizer quantizer = {};
  std::vector<float> scale = {};
  std::vector<int32_t> zero_point = {};
};

using Metadata = std::map<std::string, std::string>;

// A list of words in metadata; empty where it is absent or malformed.
std::vector<std::string> recorded_words(const Metadata& metadata,
                                        const std::string& key);

struct Adapter {
  // At least format_version, base_sha256 and method.
  Metadata metadata;
  std::vector<AdapterEntry> tensors;

  // The metadata value, or "" where there is none.
  std::string get(const std::string& key) const;
};

// Metadata `version`: decimal, 1 and up; 0 where there is none.
Result<uint64_t> adapter_version(const Metadata& metadata);

// The file's bytes. Deterministic.
Result<std::vector<std::byte>> encode_adapter(const Adapter& adapter);
// Checks header, schema, dtypes and finite values; every error names `origin`.
// What comes from outside is read by load_checked() (trust/load_checks.h),
// which asks for more.
Result<Adapter> decode_adapter(std::span<const std::byte> file,
                               const std::string& origin);

// The same for a file of another writer, whatever its metadata holds.
Result<Adapter> decode_foreign_adapter(std::span<const std::byte> file,
                                       const std::string& origin);

// That metadata is of an adapter file in a version that this program reads.
Status check_schema(const Metadata& metadata);
// Refuses an adapter that was made for another base model. One of another
// writer does not say; its tensors must fit.
Status check_base(const Adapter& adapter, const std::string& base_sha256);

}  // namespace ft
