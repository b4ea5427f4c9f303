// What one process did to the files below one folder, call by call: written by
// the recorder (recorder.cc, preloaded), read by whoever wants to know what a
// power cut would have left (power_cut.h).
//
// The record is a file of entries: fixed fields, then two paths below the
// folder, then the bytes that were written. Files are told apart by an id,
// which stays with a file through renames; ids are not used twice.
#pragma once

#include <cstdint>

namespace ft::faults {

enum class Call : uint32_t {
  kOpen,      // made a file (id) at path, or emptied it
  kWrite,     // data at offset
  kTruncate,  // to offset
  kSync,      // a file's contents
  kSyncFolder,
  kRename,  // path to other
  kLink,    // path to other
  kUnlink,
  kMakeFolder,
  kRemoveFolder,
  kMark,  // said by the process itself: the data
};

struct EntryHead {
  Call call;
  int32_t error = 0;  // errno of a call that failed and changed nothing
  uint64_t id = 0, offset = 0;
  uint32_t path_bytes = 0, other_bytes = 0, data_bytes = 0, reserved = 0;
};
static_assert(sizeof(EntryHead) == 40);

// Environment of the recorder:
//   FT_FAULT_ROOT    the folder, as an absolute path without symbolic links
//   FT_FAULT_RECORD  where the record goes; empty: none
//   FT_FAULT_AT      number of the call, from 1, at which it happens
//   FT_FAULT_KIND    enospc, eio, erofs: the call fails; exit: the process is
//                    gone
//   FT_FAULT_FOR     how many calls fail from there on; 0: all
//
// A process that wants to leave marks looks for this function by dlsym().
using MarkFunction = void (*)(const char* text);
inline constexpr const char* kMarkFunction = "ft_fault_mark";

}  // namespace ft::faults
