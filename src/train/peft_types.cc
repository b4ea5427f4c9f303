#include "train/peft_types.h"

namespace ft {
namespace {

constexpr std::string_view kLoraSuffixes[] = {".lora_A.weight",
                                              ".lora_B.weight"};

constexpr PeftType kTypes[] = {
    {"LORA", "lora", kLoraSuffixes},
};

}  // namespace

std::span<const PeftType> peft_types() { return kTypes; }

}  // namespace ft
