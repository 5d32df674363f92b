// What the device is to do, as a list; recorded into a command buffer once and replayed while the
// next lists are the same.
//
// Operations append dispatches, copies and barriers; nothing runs before submit(). A decode step
// appends the same list for every token, because all that changes from token to token lies in
// memory that the list only points to. Owned by one back end. Throws ModelError (device lost).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "model/compute/vulkan/buffer.h"
#include "model/compute/vulkan/pipelines.h"

namespace corvid::model {

struct Groups {
  std::uint32_t x = 1, y = 1, z = 1;
};

// Since the back end was made.
struct CommandCounts {
  std::int64_t dispatches = 0, copies = 0, barriers = 0, submissions = 0, recordings = 0;
  std::int64_t up_bytes = 0, down_bytes = 0;  // of copies between the CPU's memory and the device's
};

class Commands {
 public:
  Commands(const Device& device, const Pipelines& pipelines);
  ~Commands();
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  template <class Push>
  void dispatch(VkPipeline pipeline, const Push& push, Groups groups) {
    static_assert(sizeof(Push) <= kPushBytes && sizeof(Push) % 4 == 0);
    Command& command = add(Command::Kind::dispatch);
    command.pipeline = pipeline;
    command.groups = groups;
    command.push_bytes = sizeof(Push);
    std::memcpy(command.push.data(), &push, sizeof(Push));
  }
  void copy(const Region& from, const Region& to);  // from.size bytes
  // What comes after sees what came before.
  void barrier();

  std::size_t pending() const { return list_.size(); }
  void submit();  // what is pending, if anything
  void wait();    // for what was submitted
  void finish() {
    submit();
    wait();
  }
  // finish(), and no recording is kept: buffers that they name may go.
  void forget();
  const CommandCounts& counts() const { return counts_; }

 private:
  enum class Bus : std::uint32_t { none, up, down };
  struct Command {
    enum class Kind : std::uint32_t { dispatch, copy, barrier } kind;
    std::uint32_t push_bytes;
    VkPipeline pipeline;
    Groups groups;
    Bus bus;
    VkBuffer from, to;
    VkBufferCopy copy;
    std::array<std::byte, kPushBytes> push;
  };
  struct Recording {
    std::vector<Command> list;
    std::uint64_t hash = 0;
    VkCommandBuffer buffer = VK_NULL_HANDLE;
    std::int64_t last_use = 0;
  };

  Command& add(Command::Kind kind);
  Recording& recording();
  void record(const Recording& recording);

  const Device& device_;
  const Pipelines& pipelines_;
  VkCommandPool pool_ = VK_NULL_HANDLE;
  VkFence fence_ = VK_NULL_HANDLE;
  bool running_ = false;
  std::vector<Command> list_;
  std::vector<Recording> recordings_;
  CommandCounts counts_;
};

}  // namespace corvid::model
