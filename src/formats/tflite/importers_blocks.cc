// SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, which TensorFlow puts around a
// convolution to dilate it: pad, cut into blocks by reshape and transpose, and
// back. In the end the same values pass through plain movement ops that have
// gradients and int8 rows.
#include <fmt/format.h>

#include "formats/tflite/importer.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

using Ints = std::vector<int64_t>;

// Sizes of blocks along axes 1 to m, and what is added or cut there.
struct Blocks {
  ValueId x;
  Ints block, before, after;

  int m() const { return static_cast<int>(block.size()); }
  int64_t count() const {
    int64_t n = 1;
    for (const int64_t b : block) n *= b;
    return n;
  }
};

Result<Blocks> read_blocks(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 3, 1));
  Blocks blocks;
  FT_TRY(blocks.x, op.input(0));
  FT_TRY(blocks.block, op.ints(1, 3));
  FT_TRY(const Ints edges, op.ints(2, 6));
  const int rank = op.shape(blocks.x).rank();
  if (blocks.block.empty() || rank < blocks.m() + 1 ||
      rank + blocks.m() > Shape::kMaxRank ||
      edges.size() != 2 * blocks.block.size())
    return op.error(
        fmt::format("{} block sizes and {} paddings for {} "
                    "dimensions",
                    blocks.m(), edges.size(), rank));
  for (size_t i = 0; i < blocks.block.size(); ++i) {
    constexpr int64_t kMax = 1 << 16;
    const int64_t sizes[] = {blocks.block[i] - 1, edges[2 * i],
                             edges[2 * i + 1]};
    for (const int64_t v : sizes)
      if (v < 0 || v > kMax)
        return op.error("a block size or padding is out of range");
    blocks.before.push_back(edges[2 * i]);
    blocks.after.push_back(edges[2 * i + 1]);
  }
  return blocks;
}

Ints dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

// `edge` for axes 1 to m, 0 for all others.
Ints around(const Ints& edge, int rank) {
  Ints all(static_cast<size_t>(rank), 0);
  for (size_t i = 0; i < edge.size(); ++i) all[i + 1] = edge[i];
  return all;
}

// [n, s1, ..., rest] -> [n, s1/b1, b1, ..., rest] -> [b1, ..., n, s1/b1, ...]
Status import_space_to_batch(OpImport& op) {
  FT_TRY(const Blocks blocks, read_blocks(op));
  const int rank = op.shape(blocks.x).rank();
  FT_TRY(const ValueId padded,
         op.inner(ops::kPad, {blocks.x},
                  {{"before", around(blocks.before, rank)},
                   {"after", around(blocks.after, rank)}}));
  const Ints in = dims_of(op.shape(padded));
  Ints split = {in[0]}, perm, tail = {0}, out = {in[0] * blocks.count()};
  for (size_t i = 0; i < blocks.block.size(); ++i) {
    const int64_t size = in[i + 1], block = blocks.block[i];
    if (size % block != 0)
      return op.error(fmt::format("{} padded values do not make blocks of {}",
                                  size, block));
    perm.push_back(static_cast<int64_t>(split.size()) + 1);
    tail.push_back(static_cast<int64_t>(split.size()));
    split.insert(split.end(), {size / block, block});
    out.push_back(size / block);
  }
  for (size_t d = blocks.block.size() + 1; d < in.size(); ++d) {
    tail.push_back(static_cast<int64_t>(split.size()));
    split.push_back(in[d]);
    out.push_back(in[d]);
  }
  perm.insert(perm.end(), tail.begin(), tail.end());
  FT_TRY(const ValueId cut,
         op.inner(ops::kReshape, {padded}, {{"shape", split}}));
  FT_TRY(const ValueId turned,
         op.inner(ops::kTranspose, {cut}, {{"perm", perm}}));
  return op.emit(ops::kReshape, {turned}, {{"shape", out}});
}

// [b1 ... bm n, s1, ..., rest] -> [b1, ..., bm, n, s1, ...] ->
// [n, s1, b1, s2, b2, ..., rest] -> [n, s1 b1, s2 b2, ..., rest], cropped.
Status import_batch_to_space(OpImport& op) {
  FT_TRY(const Blocks blocks, read_blocks(op));
  const Ints in = dims_of(op.shape(blocks.x));
  if (in[0] % blocks.count() != 0)
    return op.error(fmt::format("a batch of {} is no multiple of {} blocks",
                                in[0], blocks.count()));
  const int64_t batch = in[0] / blocks.count(), m = blocks.m();
  Ints split = blocks.block, perm = {m}, joined = {batch}, size = {batch};
  split.push_back(batch);
  split.insert(split.end(), in.begin() + 1, in.end());
  for (int64_t i = 0; i < m; ++i) {
    const auto k = static_cast<size_t>(i);
    perm.insert(perm.end(), {m + 1 + i, i});
    joined.push_back(in[k + 1] * blocks.block[k]);
    size.push_back(joined.back() - blocks.before[k] - blocks.after[k]);
  }
  for (size_t d = blocks.block.size() + 1; d < in.size(); ++d) {
    perm.push_back(m + static_cast<int64_t>(d));
    joined.push_back(in[d]);
    size.push_back(in[d]);
  }
  FT_TRY(const ValueId cut,
         op.inner(ops::kReshape, {blocks.x}, {{"shape", split}}));
  FT_TRY(const ValueId turned,
         op.inner(ops::kTranspose, {cut}, {{"perm", perm}}));
  FT_TRY(const ValueId whole,
         op.inner(ops::kReshape, {turned}, {{"shape", joined}}));
  const Ints begin = around(blocks.before, static_cast<int>(in.size()));
  return op.emit(ops::kSlice, {whole}, {{"begin", begin}, {"size", size}});
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::SPACE_TO_BATCH_ND, import_space_to_batch},
    {tfl::BuiltinOperator::BATCH_TO_SPACE_ND, import_batch_to_space},
};

}  // namespace

std::span<const OperatorImporter> block_importers() { return kImporters; }

}  // namespace ft
