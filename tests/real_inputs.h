// Where the real models and data lie, for tests that use them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace ft {

// ../shared beside the checkout, or $FT_SHARED.
inline std::string shared_path(const std::string& below) {
  const char* env = std::getenv("FT_SHARED");
  const std::string root =
      env != nullptr ? env : std::string(FT_SOURCE_DIR) + "/../shared";
  return root + "/" + below;
}

#define FT_SKIP_WITHOUT(path)                                     \
  if (!std::filesystem::exists(path))                             \
  GTEST_SKIP() << (path)                                          \
               << " is absent; see tests/README.md for where it " \
                  "comes from"

}  // namespace ft
