#include "memory/snapshots.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/scratch_folder.h"

namespace corvid::memory {
namespace {

// Files of this process can have no more bytes than this; it is told so, and not killed.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, was_);
  }

 private:
  const sighandler_t was_ = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before_{};
};

TEST(Snapshots, ANoteHasAllOfWhatIsAddedOrNothing) {
  const ScratchFolder folder;
  const Snapshots snapshots(folder / "kv", "model", 1 << 20);
  snapshots.append_note("one ");
  snapshots.append_note("two ");
  {
    const FullDisk full(12);
    snapshots.append_note("three, which is too long");
  }
  snapshots.append_note("four");
  EXPECT_EQ(snapshots.read_note(), "one two four");
}

}  // namespace
}  // namespace corvid::memory
