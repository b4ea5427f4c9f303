// Several processes at one store, and folders and disks that refuse.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "adapters/store/store_folder.h"
#include "adapters/store/test_adapters.h"
#include "fieldtune/adapter_store.h"

namespace fieldtune {
namespace {

namespace fs = std::filesystem;
using ft::store::test_adapter;

class Processes : public ft::store::StoreFolder {
 protected:
  AdapterStore open(const StoreOpen& options = {}) {
    return AdapterStore::open(folder_, options).value();
  }
  static Status add(AdapterStore& store, const std::string& name,
                    uint64_t number) {
    return store.add(test_adapter(number), "test", {.name = name}).status();
  }
};

// `body` says whether it went well.
pid_t start(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  return child;
}

bool ended_well(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

TEST_F(Processes, TwoWritersLoseNothing) {
  const auto writer = [&](uint64_t first) {
    return start([&, first] {
      AdapterStore store = open({.busy_ms = 60000});
      for (uint64_t i = 0; i < 20; ++i)
        if (!add(store, "me", first + i).ok()) return false;
      return true;
    });
  };
  const pid_t a = writer(100), b = writer(200);
  EXPECT_TRUE(ended_well(a));
  EXPECT_TRUE(ended_well(b));
  AdapterStore store = open();
  EXPECT_EQ(store.list("me").value().size(), 40u);
  EXPECT_EQ(store.list("me").value().back().version, 40);
  EXPECT_TRUE(store.verify().value().empty());
}

TEST_F(Processes, ASecondWriterIsToldWhy) {
  AdapterStore store = open({.busy_ms = 20});
  ASSERT_TRUE(add(store, "me", 1).ok());
  const int fd = ::open((folder_ + "/lock").c_str(), O_RDWR);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  const Status status = add(store, "me", 2);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("written by another process"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(store.list("me").value().size(), 1u);  // reading goes on
  close(fd);
  EXPECT_TRUE(add(store, "me", 2).ok());
}

TEST_F(Processes, ReadersSeeWholeStatesWhileOneWrites) {
  {
    AdapterStore store = open();
    for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(add(store, "me", i).ok());
    ASSERT_TRUE(store.use("me", 1).ok());
    ASSERT_TRUE(store.confirm("me").ok());
  }
  const pid_t writer = start([&] {
    AdapterStore store = open();
    for (int64_t i = 0; i < 60; ++i)
      if (!store.use("me", 1 + i % 3).ok() ||
          (i % 2 == 0 && i % 3 != 0 && !store.confirm("me").ok()))
        return false;
    return true;
  });
  const auto reader = [&] {
    return start([&] {
      AdapterStore store = open({.read_only = true});
      for (int i = 0; i < 300; ++i) {
        const auto row = store.active("me");
        if (!row.ok() || !store.load(*row).ok()) return false;
        int confirmed = 0;
        const auto rows = store.list("me").value();
        for (const StoredAdapter& other : rows)
          confirmed += other.slot == Slot::kConfirmed;
        if (confirmed != 1) return false;
      }
      return true;
    });
  };
  const pid_t one = reader(), two = reader();
  EXPECT_TRUE(ended_well(writer));
  EXPECT_TRUE(ended_well(one));
  EXPECT_TRUE(ended_well(two));
}

TEST_F(Processes, AKilledWriterLeavesAWholeStore) {
  for (int round = 0; round < 8; ++round) {
    const pid_t writer = start([&] {
      AdapterStore store = open();
      for (uint64_t i = 0;; ++i)
        (void)add(store, "r" + std::to_string(round), i).ok();
      return true;
    });
    usleep(static_cast<useconds_t>(3000 + 2500 * round));
    kill(writer, SIGKILL);
    waitpid(writer, nullptr, 0);
    AdapterStore store = open();
    const auto problems = store.verify(true).value();
    for (const StoreProblem& problem : problems)
      EXPECT_TRUE(problem.repaired) << problem.what;
    EXPECT_TRUE(add(store, "after", static_cast<uint64_t>(round)).ok());
  }
}

TEST_F(Processes, VerifyDoesNotTakeAWriterForACrash) {
  const pid_t writer = start([&] {
    AdapterStore store = open();
    for (uint64_t i = 0; i < 40; ++i) {
      if (!add(store, "me", i).ok()) return false;
      if (i % 4 == 0 && !store.collect({.keep = 2}).ok()) return false;
    }
    return true;
  });
  AdapterStore store = open({.read_only = true});
  for (int i = 0; i < 30; ++i) {
    const auto problems = store.verify();
    ASSERT_TRUE(problems.ok()) << problems.status().message();
    for (const StoreProblem& problem : *problems) ADD_FAILURE() << problem.what;
  }
  EXPECT_TRUE(ended_well(writer));
}

// Root may write everywhere, so another user is asked.
TEST_F(Processes, AReadOnlyFolderCanBeRead) {
  {
    AdapterStore store = open();
    ASSERT_TRUE(add(store, "me", 1).ok());
    ASSERT_TRUE(store.use("me", 1).ok());
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
  chmod(folder_.c_str(), 0555);
  const pid_t child = start([&] {
    if (geteuid() == 0 && setuid(65534) != 0) return false;
    auto reading = AdapterStore::open(folder_, {.read_only = true});
    if (!reading.ok()) {
      std::fprintf(stderr, "%s\n", reading.status().message().c_str());
      return false;
    }
    if (!reading->load(reading->active("me").value()).ok()) return false;
    auto writing = AdapterStore::open(folder_);
    const Status status =
        writing.ok() ? add(*writing, "me", 2) : writing.status();
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return status.code() == Code::kIo;
  });
  EXPECT_TRUE(ended_well(child));
  chmod(folder_.c_str(), 0755);
  for (const auto& entry : fs::recursive_directory_iterator(folder_))
    chmod(entry.path().c_str(), 0755);
}

// A limit of file sizes stands for a disk that is full.
TEST_F(Processes, AFullDiskChangesNothing) {
  {
    AdapterStore store = open();
    ASSERT_TRUE(add(store, "me", 1).ok());
  }
  const pid_t child = start([&] {
    signal(SIGXFSZ, SIG_IGN);
    AdapterStore store = open();
    const rlimit limit{40000, 40000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const Status status =
        store.add(test_adapter(2, 20000), "test", {.name = "me"}).status();
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return status.code() == Code::kIo && store.list("me").value().size() == 1 &&
           store.verify().value().empty();
  });
  EXPECT_TRUE(ended_well(child));
}

// What is open is a file that nobody finds any more: no answers from it, and
// above all no changes of it that are said to be done.
TEST_F(Processes, AFolderThatWasRemovedOrReplacedIsNotTheStoreAnyMore) {
  AdapterStore writer = open(), reader = open({.read_only = true});
  ASSERT_TRUE(add(writer, "me", 1).ok());
  ASSERT_TRUE(writer.use("me").ok());
  const StoredAdapter mine = reader.find("me", 1).value();
  const auto all_fail = [&] {
    const Status found[] = {
        reader.list().status(),        reader.find("me", 1).status(),
        reader.active("me").status(),  reader.info().status(),
        reader.lineage(mine).status(), add(writer, "me", 2),
        writer.use("me").status(),     writer.collect({.keep = 1}).status()};
    for (const Status& status : found) {
      EXPECT_EQ(status.code(), Code::kIo) << status.message();
      EXPECT_FALSE(status.message().empty());
    }
  };
  fs::remove_all(folder_);
  all_fail();
  ASSERT_TRUE(AdapterStore::init(folder_).ok());
  all_fail();
  EXPECT_NE(reader.info().status().message().find("removed or replaced"),
            std::string::npos);
  AdapterStore other = open();
  EXPECT_TRUE(other.list().value().empty());
  EXPECT_TRUE(other.verify().value().empty());
  EXPECT_TRUE(add(other, "me", 3).ok());
}

}  // namespace
}  // namespace fieldtune
