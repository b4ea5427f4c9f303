// The texts of targets/*.toml, made when building.
#pragma once

#include <span>
#include <string_view>

namespace ft {

struct TargetFile {
  std::string_view name, text;
};

std::span<const TargetFile> target_files();

}  // namespace ft
