// The folder of a store: how it is made, and how it is told from others.
//
//   DIR/store.toml       the last to be written: with it, DIR is a store
//   DIR/index.sqlite     index.h; -wal and -shm beside it are SQLite's
//   DIR/objects/         objects.h
//   DIR/lock             write_lock.h; empty
#pragma once

#include <string>

#include "base/result.h"
#include "fieldtune/adapter_store.h"

namespace ft::store {

Status init_store(const std::string& folder,
                  const fieldtune::StoreInit& options);
// Fails where `folder` is not a store of a format that this program reads.
Status check_marker(const std::string& folder);

}  // namespace ft::store
