#include "exchange/peft_types.h"

namespace ft {
namespace {

constexpr std::string_view kLoraSuffixes[] = {
    ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"};
constexpr std::string_view kVeraSuffixes[] = {".vera_lambda_b",
                                              ".vera_lambda_d"};
constexpr std::string_view kVeraShared[] = {"base_model.vera_A",
                                            "base_model.vera_B"};
constexpr std::string_view kAdaloraSuffixes[] = {".lora_A", ".lora_B",
                                                 ".lora_E"};
constexpr std::string_view kIa3Suffixes[] = {".ia3_l"};

constexpr std::string_view kNormSuffixes[] = {".ln_tuning_layers.weight",
                                              ".ln_tuning_layers.bias"};

constexpr PeftType kTypes[] = {
    {.peft_type = "LORA",
     .method = "lora",
     .suffixes = kLoraSuffixes,
     .has_alpha = true},
    // An optimizer of a LoRA adapter, to PEFT.
    {.peft_type = "LORA",
     .method = "lora-fa",
     .suffixes = kLoraSuffixes,
     .has_alpha = true},
    {"VERA", "vera", kVeraSuffixes, kVeraShared},
    {.peft_type = "ADALORA",
     .method = "adalora",
     .suffixes = kAdaloraSuffixes,
     .has_alpha = true,
     .rank_key = "init_r",
     .rank_preset = 12,
     .rank_suffix = ".lora_A"},
    {"IA3", "ia3", kIa3Suffixes},
    {"LORA", "bitfit", {}},
    {"LN_TUNING", "norm", kNormSuffixes},
    {"PROMPT_TUNING", "prompt", {}},
    {"PREFIX_TUNING", "prefix", {}},
};

}  // namespace

std::span<const PeftType> peft_types() { return kTypes; }

}  // namespace ft
