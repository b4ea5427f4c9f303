// Which method of PEFT is which of ours, and what its settings mean to us.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace ft {

struct PeftType {
  std::string_view peft_type;  // "LORA"
  std::string_view method;     // MethodDef::name
  // What follows a module's name in the names of its tensors.
  std::span<const std::string_view> suffixes;
  // Tensors that belong to no module, by their whole names.
  std::span<const std::string_view> shared = {};
  bool has_alpha = false;  // lora_alpha, rank_pattern and alpha_pattern
  std::string_view rank_key = "r";
  int rank_preset = 8;  // where the folder says none
  std::string_view rank_suffix = ".lora_A.weight";  // tensors [rank, ...]
};
std::span<const PeftType> peft_types();

inline bool has_virtual_tokens(const PeftType& type) {
  return type.method == "prompt" || type.method == "prefix";
}

// Types whose `bias` may be "lora_only".
inline bool has_lora_biases(const PeftType& type) {
  return type.peft_type == "LORA" || type.peft_type == "ADALORA";
}

// Settings that say how an adapter was started, trained, found or stored, and
// nothing about what its tensors mean. Dropout acts in training only.
inline constexpr std::array<std::string_view, 22> kPeftNoEffect = {
    "peft_type",
    "task_type",
    "auto_mapping",
    "peft_version",
    "inference_mode",
    "base_model_name_or_path",
    "revision",
    "runtime_config",
    "init_ia3_weights",
    "init_weights",
    "lora_dropout",
    "vera_dropout",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "megatron_core",
    "qalora_group_size",
    "projection_prng_key",
    "save_projection",
    "d_initial",
    "layers_pattern"};

// Values of `init_lora_weights` after which the base's weights are still those
// of its file. PiSSA, CorDA, OLoRA and LoftQ take the adapter's first values
// out of the base, in PEFT's loader again.
inline constexpr std::array<std::string_view, 5> kPeftPlainInits = {
    "gaussian", "eva", "orthogonal", "mica", "lora_ga"};

// Settings that are read elsewhere, or that the tensors answer: which modules
// are adapted, with which rank.
inline constexpr std::array<std::string_view, 10> kPeftRead = {
    "r",
    "init_r",
    "lora_alpha",
    "alpha_pattern",
    "rank_pattern",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "modules_to_save",
    "feedforward_modules"};

}  // namespace ft
