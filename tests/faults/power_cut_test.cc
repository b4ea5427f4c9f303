// The model of a disk itself, and its recorder.
#include "tests/faults/power_cut.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/file.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;

Entry open_entry(uint64_t id, const std::string& path) {
  return {Call::kOpen, 0, id, 0, path, "", ""};
}
Entry write_entry(uint64_t id, uint64_t offset, const std::string& data) {
  return {Call::kWrite, 0, id, offset, "", "", data};
}
Entry sync_entry(uint64_t id, int error = 0) {
  return {Call::kSync, error, id, 0, "", "", ""};
}
Entry sync_folder() { return {Call::kSyncFolder, 0, 0, 0, "", "", ""}; }
Entry rename_entry(const std::string& from, const std::string& to) {
  return {Call::kRename, 0, 0, 0, from, to, ""};
}

std::string scratch(const char* name) {
  const std::string root = fs::exists("/dev/shm") ? "/dev/shm/" : "/tmp/";
  return root + name + std::to_string(getpid());
}

// Every state that some seed leaves: "name=contents ..." of the files.
std::set<std::string> states(const std::vector<Entry>& entries) {
  Disk disk;
  for (const Entry& entry : entries) disk.apply(entry);
  const std::string folder = scratch("ft_disk_");
  std::set<std::string> found;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    FT_CHECK(disk.leave(folder, seed).ok());
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string text = read_text_file(entry.path()).value();
      names.insert(std::string(entry.path().filename()) + "=" +
                   (text.size() < 20 ? text : std::to_string(text.size())));
    }
    std::string all;
    for (const std::string& name : names) all += name + " ";
    found.insert(all);
  }
  fs::remove_all(folder);
  return found;
}

using States = std::set<std::string>;

TEST(PowerCut, SyncedBytesAndNamesStay) {
  EXPECT_EQ(states({open_entry(1, "f"), write_entry(1, 0, "abc"), sync_entry(1),
                    sync_folder()}),
            States{"f=abc "});
}

TEST(PowerCut, UnsyncedOnesMayBeLostInPart) {
  const auto no_sync = states({open_entry(1, "f"), write_entry(1, 0, "abc")});
  EXPECT_EQ(no_sync,
            (States{"", "f= ", "f=abc ", "f=" + std::string(3, '\0') + " "}));
  // A name without its folder's sync.
  EXPECT_EQ(
      states({open_entry(1, "f"), write_entry(1, 0, "abc"), sync_entry(1)}),
      (States{"", "f=abc "}));
}

TEST(PowerCut, ARenameHappensWhollyOrNot) {
  EXPECT_EQ(states({open_entry(1, "f"), write_entry(1, 0, "old"), sync_entry(1),
                    open_entry(2, "t"), write_entry(2, 0, "new"), sync_entry(2),
                    sync_folder(), rename_entry("t", "f")}),
            (States{"f=old t=new ", "f=new "}));
  // Renamed before it was synced: what naive writers do.
  const auto naive = states({open_entry(1, "f"), write_entry(1, 0, "old"),
                             sync_entry(1), sync_folder(), open_entry(2, "t"),
                             write_entry(2, 0, "new"), rename_entry("t", "f")});
  EXPECT_TRUE(naive.contains("f= "));
}

TEST(PowerCut, WritesAreTornAtSectors) {
  Disk disk;
  disk.apply(open_entry(1, "f"));
  disk.apply(sync_folder());
  disk.apply(write_entry(1, 0, std::string(1024, 'x')));
  const std::string path = scratch("ft_torn_");
  std::set<std::string> found;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    ASSERT_TRUE(disk.leave(path, seed).ok());
    const std::string text = read_text_file(path + "/f").value();
    found.insert(std::to_string(std::count(text.begin(), text.end(), 'x')));
  }
  fs::remove_all(path);
  EXPECT_EQ(found, (States{"0", "1024", "512"}));
}

TEST(PowerCut, AFailedSyncIsNotMendedByTheNext) {
  const auto found =
      states({open_entry(1, "f"), sync_folder(), write_entry(1, 0, "abc"),
              sync_entry(1, EIO), write_entry(1, 3, "def"), sync_entry(1)});
  EXPECT_TRUE(found.contains("f=" + std::string(3, '\0') + "def "));
  EXPECT_TRUE(found.contains("f=abcdef "));
  // Written again, it is safe.
  EXPECT_EQ(
      states({open_entry(1, "f"), sync_folder(), write_entry(1, 0, "abc"),
              sync_entry(1, EIO), write_entry(1, 0, "xyz"), sync_entry(1)}),
      States{"f=xyz "});
}

}  // namespace
}  // namespace ft::faults
