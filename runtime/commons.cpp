#include "runtime/commons.h"

#include "runtime/folders.h"

namespace corvid::runtime {

Commons::Commons(const asio::any_io_executor& io, std::optional<SharedModel> model)
    : io(io), model(std::move(model)) {}

Commons::~Commons() {
  finish();
}

memory::Journal& Commons::journal() {
  if (!journal_) journal_ = memory::Journal::open(sessions_file());
  return *journal_;
}

void Commons::finish() {
  workers.stop();
  journal_thread.join();  // every step gets there
  workers.join();
}

}  // namespace corvid::runtime
