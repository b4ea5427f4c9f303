// What printed code needs of a device, before any compiler has seen it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "codegen/device_model.h"
#include "codegen/kernel_sizes.h"
#include "codegen/source_closure.h"

namespace ft::codegen {

// All but constant_bytes and code_bytes.
Result<DeviceSizes> sizes_of(const DeviceModel& model);

// Of the deepest of `kernels`, called by a function that a user calls; 0 where
// the architecture is not known.
Result<size_t> stack_of(const std::set<std::string>& kernels,
                        const Target& target);

// Of what may run between two slices of a step: inference and features, one
// after the other.
size_t idle_arena_bytes(const DeviceModel& model);
size_t idle_scratch_bytes(const DeviceModel& model);

// Bytes that inference's part of a region has where training's lies behind it.
size_t infer_region(size_t bytes);

// Of the calls and of `kernels`, where the architecture is known.
size_t code_bytes(const DeviceModel& model,
                  const std::vector<const SourceFile*>& kernels);

// The rows of a README's table, in Markdown.
std::string memory_table(const DeviceSizes& sizes);

// SIZES.md: every region of RAM and flash, what is largest in it, and the call
// with the deepest stack.
std::string size_report(const DeviceModel& model, const DeviceSizes& sizes,
                        const std::vector<const SourceFile*>& kernels);

// kDoesNotFit with a table of what is needed and what there is.
Status check_fits(const DeviceSizes& sizes, const Target& target);

// ft_ram.ld: has the linker refuse an image whose stack or RAM is too small.
std::string linker_check(const DeviceSizes& sizes, const Target& target);

}  // namespace ft::codegen
