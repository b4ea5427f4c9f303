// A PEFT method is a rewrite of the base graph plus the layout of its adapter.
//
// Each method is one file with one MethodDef,
// listed once in methods.cc; the command line, the docs and the tests walk that
// list. Adapter tensors are named and shaped as HF PEFT writes them
// (`base_model.model.<module>.lora_A.weight` [r, in, kh, kw] ...), so exchange
// is a rename at most.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/settings.h"

namespace ft {

struct AdaptableModule;
// The rank of a module: as asked for, but where no one named the module (no
// target_modules, no rank_pattern for it) at most what its weight can have.
int effective_rank(const MethodSettings& settings,
                   const AdaptableModule& module);

// A weight [n, k] that is read at many steps: the recurrent weights inside an
// lstm node, or a weight of several fully connected layers (an unrolled
// recurrent layer). Only its value can be adapted, once for all readers.
inline constexpr std::string_view kSharedWeight = "shared_weight";

// A linear layer that methods can adapt.
struct AdaptableModule {
  NodeId node = kNone;  // the first reader of a shared weight
  std::string name;
  // "fully_connected", "conv2d", "depthwise_conv2d", or kSharedWeight.
  std::string kind;
  Shape weight;      // as stored: [out, kh, kw, in], [1, kh, kw, c], [n, k]
  int64_t rows = 0;  // of the weight as a matrix [rows, columns]
  int64_t columns = 0;
  int64_t max_rank() const { return rows < columns ? rows : columns; }
};
std::vector<AdaptableModule> adaptable_modules(const Graph& graph);

// Marks the node that adds an adapter (input 0) to a shared weight (input 1).
inline constexpr const char* kAdaptedWeight = "adapted_weight";
// The layer's weight as the base has it, whatever was added to it.
ValueId weight_of_base(const Graph& graph, NodeId layer);

// True if `pattern` names the module: whole, its last '/'-parts or '.'-parts,
// or as a shell pattern.
bool matches_module(std::string_view pattern, std::string_view module);

// Which of `names` the target modules select, by index; all of them where none
// are named. Fails, listing the names, if an entry matches nothing.
Result<std::vector<size_t>> select_names(std::span<const std::string> names,
                                         const MethodSettings& settings);

// The modules that `settings` selects. Fails, listing what exists, if an entry
// matches nothing.
Result<std::vector<AdaptableModule>> select_modules(
    const Graph& graph, const MethodSettings& settings);

// One tensor of the adapter: where it lives in the graph, and how the file has
// it. The file's element order is the parameter's with its axes permuted:
// file axis i is axis perm[i] of the parameter seen with shape `view`. A file
// may hold a sum, where the graph holds only what was added: file = parameter +
// offset.
struct AdapterTensor {
  std::string name;  // PEFT key
  ValueId param = kNone;
  Shape view;                      // of the parameter, same elements
  std::vector<int> perm;           // file axis -> view axis
  std::vector<float> offset = {};  // in file order; empty: 0
  Shape flat = {};  // the file's shape if it joins axes; else of rank 0
  // What files hold where the graph has no parameter (param is kNone).
  std::vector<float> fixed = {};
  bool trainable = true;  // false: part of the adapter, but frozen
  size_t adapter = 0;     // which of several (methods/compose.h)
  Shape permuted_shape() const;
  Shape file_shape() const { return flat.rank() > 0 ? flat : permuted_shape(); }
};

// A column of B, a singular value and a row of A for each of r ranks.
struct RankTriplet {
  ValueId a = kNone, b = kNone, e = kNone;  // [r, ...], [rows, r], [r]
};
// For methods whose training decides which ranks stay: the attributes are those
// of ops adalora_score and adalora_allocate.
struct RankAllocation {
  std::vector<RankTriplet> triplets;
  Attrs score, schedule;
};

struct AdaptedGraph {
  std::vector<AdapterTensor> tensors;
  // What the file of the (last) adapter should say beside the settings.
  std::map<std::string, std::string> metadata;
  ValueId penalty = kNone;  // [1], which training adds to the loss
  RankAllocation ranks;
  NodeId head = kNone;  // the new head's node, if one was made
};

// A module's weight after merging, in real numbers and the layout of the file's
// weight; `weight` or `bias` is empty where the method leaves it alone.
struct MergedModule {
  std::string module;
  std::vector<float> weight;
  std::vector<float> bias;
};

// Key of AdaptedGraph::metadata: a layer that PEFT could put LoRA on, which it
// needs where only biases are trained.
inline constexpr std::string_view kPeftTarget = "peft_target";

// "base_model.model.<module>.<what>", PEFT's key of a module's tensor.
std::string peft_key(const std::string& module, std::string_view what);

// The adapter tensor that MethodSettings::masks are kept as.
inline constexpr std::string_view kMaskTensor = "sparse_index";

// Values of adapter tensors by PEFT key, in file layout.
using TensorMap = std::map<std::string, std::vector<float>>;

struct MethodDef {
  std::string_view name;
  std::string_view summary;  // one line for --help and the docs
  // The rank where none is asked for; 0: the method has no rank.
  int default_rank = 0;
  // Its own settings, beside rank, alpha and target modules.
  std::span<const SettingDef* const> settings = {};
  // Rewrites the graph in place; parameters get their initial values.
  Status (*apply)(Graph& graph, const MethodSettings& settings,
                  AdaptedGraph& adapted);
  // The base's weights with the adapter folded in, for each changed module.
  // `base` is the graph before apply(). nullptr: the method adds what no weight
  // of the base can hold.
  Result<std::vector<MergedModule>> (*merge)(const Graph& base,
                                             const MethodSettings& settings,
                                             const TensorMap& tensors);
  // MethodSettings::weight scales what the method adds; false: it takes no
  // weight but 1.
  bool weighted = false;
  // The setting that counts the updates of a whole training; where it is 0,
  // training fills it in.
  const SettingDef* total_updates = nullptr;
  // Updates before which the values are not what the method promises (ranks
  // that are still to go): training keeps no epoch that ends before, if it can.
  // nullptr: 0.
  int64_t (*first_result)(const MethodSettings& settings) = nullptr;
};

std::span<const MethodDef* const> all_methods();
// Fails, listing the methods that exist.
Result<const MethodDef*> find_method(std::string_view name);
// Sets one of the method's own settings from text; fails, saying what the
// method has or what the value may be.
Status set_setting(const MethodDef& method, std::string_view name,
                   std::string_view text, MethodSettings& settings);

// What MethodDef::total_updates and first_result say of a training.
void fill_total_updates(MethodSettings& settings, int64_t updates);
int64_t first_result(const MethodSettings& settings);

// Copies tensors between parameters and file layout. Every tensor must be
// there with the right number of elements and only finite values.
std::vector<float> to_file_layout(const AdapterTensor& tensor,
                                  std::span<const float> param);
std::vector<float> from_file_layout(const AdapterTensor& tensor,
                                    std::span<const float> file);

}  // namespace ft
