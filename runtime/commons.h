// What the agents of one process have in common: the io thread, the threads for blocking work and
// for the journal, and a model when they all talk to the same one.
//
// Outlives the agents. finish() comes before the end of the first of them that may still have work
// on its threads.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <optional>

#include "memory/journal.h"
#include "runtime/engine_thread.h"
#include "runtime/local_model.h"

namespace corvid::runtime {

namespace asio = boost::asio;

// A model in this program that several agents talk to, each on a timeline that borrows the pooled
// contexts of its owner.
struct SharedModel {
  const LocalModel& model;
  EngineThread& engine;
};

class Commons {
 public:
  explicit Commons(const asio::any_io_executor& io, std::optional<SharedModel> model = {});
  ~Commons();

  const asio::any_io_executor io;
  asio::thread_pool workers{2};
  asio::thread_pool journal_thread{1};
  const std::optional<SharedModel> model;  // nullopt: each agent opens its own

  // Opened when it is first asked for. On the journal thread, or before anything runs there.
  memory::Journal& journal();
  // What runs on the threads comes to its end, what waits for them never begins.
  void finish();

 private:
  std::unique_ptr<memory::Journal> journal_;
};

}  // namespace corvid::runtime
