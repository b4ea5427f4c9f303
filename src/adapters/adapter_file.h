// Adapter files: one safetensors file with the adapter's tensors and, in its
// metadata, everything that is needed to use it again.
//
// Goals: readable by any safetensors reader; tensor names and shapes as HF PEFT
// has them; bound to one base model by its SHA-256; equal adapters give equal
// bytes (no clock, no host name). Non-goals: holding base weights, executable
// content.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/types.h"

namespace ft {

struct AdapterEntry {
  std::string name;  // PEFT key
  Shape shape;
  std::vector<float> values;
};

struct Adapter {
  // At least format_version, base_sha256 and method.
  std::map<std::string, std::string> metadata;
  std::vector<AdapterEntry> tensors;

  // The metadata value, or "" where there is none.
  std::string get(const std::string& key) const;
};

// The file's bytes. Deterministic.
Result<std::vector<std::byte>> encode_adapter(const Adapter& adapter);
// Checks header, schema, dtypes and finite values; every error names `origin`.
Result<Adapter> decode_adapter(std::span<const std::byte> file,
                               const std::string& origin);

// The same for a file of another writer, whatever its metadata holds.
Result<Adapter> decode_foreign_adapter(std::span<const std::byte> file,
                                       const std::string& origin);

Result<Adapter> load_adapter(const std::string& path);
// Refuses an adapter that was made for another base model. One of another
// writer does not say; its tensors must fit.
Status check_base(const Adapter& adapter, const std::string& base_sha256);

}  // namespace ft
