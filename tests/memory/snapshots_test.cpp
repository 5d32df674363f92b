#include "memory/snapshots.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "model/compute/cpu/cpu_backend.h"
#include "model/compute/make_backend.h"
#include "model/engine.h"
#include "model/error.h"
#include "model/files/gguf.h"
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

class LostBackend final : public model::CpuBackend {
 public:
  using CpuBackend::CpuBackend;
  void read_page(int, int, std::byte*) override { throw model::ModelError("the device was lost"); }
};

TEST(Snapshots, WhatALostDeviceDoesNotGiveBackIsNotKeptAndEndsNothing) {
  const auto make = [](const model::BackendOptions& options) -> model::MadeBackend {
    const model::CpuOptions cpu{.threads = 1, .precision = options.precision};
    return {std::make_unique<LostBackend>(cpu)};
  };
  const auto engine = model::Engine::load(
      model::GgufFile::open(CORVID_SOURCE_DIR "/model/nano/nano.gguf"), {.make = make});
  const auto context = engine->new_context();
  const model::Token tokens[] = {3, 5, 8};
  const model::Work work{context.get(), tokens, model::Rows::none};
  ASSERT_TRUE(engine->step({&work, 1}));
  const ScratchFolder folder;
  Snapshots snapshots(folder / "kv", engine->fingerprint(), 1 << 20);
  EXPECT_NO_THROW(snapshots.save(*context, 1));
}

}  // namespace
}  // namespace corvid::memory
