// A test fixture: an empty store in a folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "fieldtune/adapter_store.h"

namespace ft::store {

class StoreFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ft_store_" + std::to_string(getpid()) +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(fieldtune::AdapterStore::init(folder_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

}  // namespace ft::store
