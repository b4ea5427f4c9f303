// Deltas: small files that lead from one version of an adapter to the next.
//
// docs/delta-format.md has the format. The bits are those of
// runtime_mcu/delta/ft_delta_model.h, which devices share; applying is their
// code, too. Goals: lossless in the grid that the file stores, or nearly so in
// few bits; never applied to another precursor, never a result that is not what
// the maker had. Non-goals: files of other kinds, other bases or quantizers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ft_delta.h"

namespace ft {

struct DeltaOptions {
  int bits = 0;  // 8 or 4: floats change by multiples of a step; 0: lossless
};

struct DeltaFile {
  std::vector<std::byte> bytes;
  // What applying it gives: the new file, but for a lossy mode. The next delta
  // must start from this, not from what was aimed at; so the error of one delta
  // is part of what the next one sends, and errors do not add up.
  std::vector<std::byte> result;
  ft_delta_mode mode = FT_DELTA_LOSSLESS;
};

// Both are adapter files or both device images; fails with kInvalidInput if one
// is damaged or they differ in base, quantizer or program, with kUsage if
// `bits` would break a signature.
Result<DeltaFile> make_delta(std::span<const std::byte> old_file,
                             std::span<const std::byte> new_file,
                             const DeltaOptions& options = {});

// Checks head and length; every error names `origin`.
Result<ft_delta_head> delta_head(std::span<const std::byte> delta,
                                 const std::string& origin);

// Refuses a delta of another precursor before it decodes anything, and a result
// that does not have the digest that the head promises.
Result<std::vector<std::byte>> apply_delta(std::span<const std::byte> old_file,
                                           std::span<const std::byte> delta,
                                           const std::string& origin);

// What apply_delta() gives, and how many bytes of the delta each byte of it
// took.
struct AppliedDelta {
  std::vector<std::byte> result;
  std::vector<float> cost_bytes;
};
Result<AppliedDelta> apply_delta_with_costs(std::span<const std::byte> old_file,
                                            std::span<const std::byte> delta,
                                            const std::string& origin);

bool is_delta(std::span<const std::byte> file);

}  // namespace ft
