// An agent with everything to itself: its own io loop, threads and model. What a command runs.
#pragma once

#include <boost/asio/io_context.hpp>

#include "runtime/agent.h"

namespace corvid::runtime {

class LoneAgent {
 public:
  // Throws as Agent does.
  explicit LoneAgent(AgentOptions options) : agent_(std::move(options), commons_) {}
  ~LoneAgent() { commons_.finish(); }

  asio::io_context& io() { return io_; }
  Agent& agent() { return agent_; }
  // One prompt from start to end, for programs that do nothing else: runs io(). Ctrl-C once stops
  // the turn and keeps everything, twice leaves at once.
  Outcome run(std::string prompt);

 private:
  asio::io_context io_{1};
  Commons commons_{io_.get_executor()};
  Agent agent_;
};

}  // namespace corvid::runtime
