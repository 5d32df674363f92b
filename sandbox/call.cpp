#include "sandbox/call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

constexpr std::chrono::milliseconds kGrace{1000};
constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kErrorBytes = 4 * 1024;
constexpr std::size_t kDrainBytes = 1 << 20;  // at most so much before others get their turn
constexpr std::size_t kMaxUnwrittenBytes = 1 << 20;
constexpr std::size_t kLastDrainBytes = 4 << 20;  // more than a pipe holds

Descriptor no_file() {
  Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!nothing) throw SandboxError("cannot open /dev/null");
  return nothing;
}

Descriptor input_file(const std::string& bytes) {
  Descriptor file(::memfd_create("stdin", MFD_CLOEXEC));
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = ::write(file.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw SandboxError("cannot hold the input of a command: out of memory");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace

Call::Call(asio::any_io_executor executor, ProcessSpec spec)
    : spec_(std::move(spec)),
      kept_(spec_.head_bytes, spec_.tail_bytes, spec_.spill),
      kept_errors_(0, kErrorBytes, {}),
      output_(executor),
      errors_(executor),
      status_(executor),
      input_(executor),
      deadline_(executor),
      changed_(executor, asio::steady_timer::time_point::max()) {}

// What the command gets as stdin.
Descriptor Call::input() {
  if (spec_.terminal) return no_file();
  if (spec_.input_fd >= 0) return Descriptor(::fcntl(spec_.input_fd, F_DUPFD_CLOEXEC, 3));
  if (!spec_.open_input) return spec_.input.empty() ? no_file() : input_file(spec_.input);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw SandboxError("out of descriptors");
  Descriptor its(ends[0]);
  input_.assign(ends[1]);
  input_.native_non_blocking(true);
  return its;
}

void Call::start(int control, const wire::Fields& order) {
  DescriptorPair output;
  if (spec_.terminal) {
    output.second = no_file();  // until the terminal is there
  } else {
    output = make_pipe();
    ::fcntl(output.first.get(), F_SETPIPE_SZ, kPipeBytes);  // fewer wake-ups; may be refused
  }
  DescriptorPair status = make_socket_pair();
  const Descriptor input = this->input();
  std::vector<int> passed{status.second.get(), output.second.get(), input.get()};
  DescriptorPair errors;
  if (spec_.errors_apart) {
    errors = make_pipe();
    passed.push_back(errors.second.get());
  }
  started_ = std::chrono::steady_clock::now();
  if (!wire::send(control, wire::Kind::run, order, passed)) {
    throw SandboxError("sandbox: the process that starts commands has ended unexpectedly");
  }
  if (output.first) output_.assign(output.first.release());
  if (errors.first) errors_.assign(errors.first.release());
  status_.assign(status.first.release());
  deadline_.expires_after(spec_.deadline);
  deadline_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->done_) return;
    self->result_.timed_out = true;
    self->end();
  });
  if (output_.is_open()) watch_output();
  if (errors_.is_open()) watch_errors();
  watch_status();
}

void Call::take_terminal(wire::Packet packet) {
  if (packet.descriptors.empty() || output_.is_open()) return;
  Descriptor both = std::move(packet.descriptors[0]);
  input_.assign(::fcntl(both.get(), F_DUPFD_CLOEXEC, 3));
  output_.assign(both.release());
  watch_output();
  feed();
}

bool Call::write(std::string_view bytes) {
  const bool takes = spec_.terminal || input_.is_open();
  if (done_ || !takes || input_ends_ || bytes.size() > kMaxUnwrittenBytes - unwritten_.size()) {
    return false;
  }
  unwritten_ += bytes;
  feed();
  return true;
}

void Call::close_input() {
  input_ends_ = true;
  feed();
}

// As much as it takes now, the rest when it takes more.
void Call::feed() {
  if (feeding_ || !input_.is_open()) return;
  while (!unwritten_.empty()) {
    const ssize_t n = ::write(input_.native_handle(), unwritten_.data(), unwritten_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) input_ends_ = true;  // nobody will read it any more
    unwritten_.erase(0, n < 0 ? unwritten_.size() : static_cast<std::size_t>(n));
  }
  boost::system::error_code ignored;
  if (unwritten_.empty() && input_ends_) input_.close(ignored);
  if (unwritten_.empty()) return;
  feeding_ = true;
  input_.async_wait(asio::posix::stream_descriptor::wait_write,
                    [self = shared_from_this()](boost::system::error_code error) {
                      self->feeding_ = false;
                      if (!error && !self->done_) self->feed();
                    });
}

void Call::interrupt() {
  if (done_ || result_.timed_out || result_.interrupted) return;
  result_.interrupted = true;
  end();
}

// First asks, then forces, then abandons it to the stub.
void Call::end() {
  ++patience_;
  if (patience_ == 1) wire::send(status_.native_handle(), wire::Kind::terminate, {});
  if (patience_ == 2) wire::send(status_.native_handle(), wire::Kind::kill, {});
  if (patience_ == 3) {
    result_.signal = SIGKILL;
    return finish();
  }
  deadline_.expires_after(kGrace);
  deadline_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error && !self->done_) self->end();
  });
}

void Call::watch_output() {
  output_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (error || self->done_) return;
                       if (self->drain(kDrainBytes)) self->watch_output();
                     });
}

void Call::watch_errors() {
  errors_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (error || self->done_) return;
                       if (self->drain_errors()) self->watch_errors();
                     });
}

bool Call::drain_errors() {
  std::array<char, 16 * 1024> buffer;
  for (std::size_t drained = 0; drained < kDrainBytes;) {
    const ssize_t n = ::read(errors_.native_handle(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    kept_errors_.add(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    drained += static_cast<std::size_t>(n);
  }
  return true;
}

void Call::watch_status() {
  status_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (error || self->done_) return;
                       auto packet = wire::receive(self->status_.native_handle(), false);
                       if (packet) {
                         self->hear(std::move(*packet));
                       } else if (errno != EAGAIN) {
                         self->failure_ = "sandbox: the process that starts commands has ended";
                         self->finish();
                       }
                       if (!self->done_) self->watch_status();
                     });
}

bool Call::drain(std::size_t max_bytes) {
  std::array<char, 64 * 1024> buffer;
  for (std::size_t drained = 0; drained < max_bytes;) {
    const ssize_t n = ::read(output_.native_handle(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
    kept_.add(bytes);
    if (spec_.on_output) spec_.on_output(bytes);
    drained += bytes.size();
  }
  return true;
}

void Call::hear(wire::Packet packet) {
  if (packet.kind == wire::Kind::terminal) {
    take_terminal(std::move(packet));
  } else if (packet.kind == wire::Kind::failed) {
    failure_ = packet.fields.take_text();
  } else if (packet.kind == wire::Kind::exited) {
    const auto status = static_cast<int>(packet.fields.take_number());
    if (WIFEXITED(status)) result_.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result_.signal = WTERMSIG(status);
    const std::string notice = packet.fields.take_text();
    if (!notice.empty()) result_.notices.push_back(notice);
  } else if (packet.kind == wire::Kind::finished) {
    for (std::string& notice : packet.fields.take_texts()) {
      result_.notices.push_back(std::move(notice));
    }
    if (news_) {
      for (std::string& notice : news_()) result_.notices.push_back(std::move(notice));
    }
    finish();
  }
}

void Call::finish() {
  if (done_) return;
  done_ = true;
  if (output_.is_open()) drain(kLastDrainBytes);
  if (errors_.is_open()) drain_errors();
  if (!result_.exit_code && !result_.signal) result_.signal = SIGKILL;  // its keeper was killed
  result_.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started_);
  close();
  changed_.cancel();
}

void Call::close() {
  boost::system::error_code ignored;
  output_.close(ignored);
  errors_.close(ignored);
  input_.close(ignored);
  status_.close(ignored);
  deadline_.cancel();
}

void Call::abandon() {
  if (std::exchange(done_, true)) return;
  spec_.on_output = nullptr;
  news_ = nullptr;
  close();
}

ProcessResult Call::take() {
  if (!failure_.empty()) throw SandboxError(failure_);
  ProcessResult result = result_;
  Output::Kept kept = kept_.take();
  result.output = std::move(kept.head);
  result.tail = std::move(kept.tail);
  result.output_bytes = kept.bytes;
  result.spill_is_cut = kept.spill_is_cut;
  const Output::Kept errors = kept_errors_.take();
  result.errors = errors.head + errors.tail;
  if (!done_) {  // how it ended shows when all of it has
    result.exit_code.reset();
    result.signal.reset();
    result.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started_);
  }
  return result;
}

Process::Process(std::shared_ptr<Call> call) : call_(std::move(call)) {}

Process::~Process() {
  if (call_) call_->abandon();
}

Process& Process::operator=(Process&& other) noexcept {
  if (call_ && call_ != other.call_) call_->abandon();
  call_ = std::move(other.call_);
  return *this;
}

bool Process::ended() const {
  return call_->done();
}

asio::awaitable<void> Process::wait(std::chrono::steady_clock::time_point until) {
  if (ended()) co_return;
  boost::system::error_code woken;
  call_->changed().expires_at(until);
  co_await call_->changed().async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

bool Process::write(std::string_view bytes) {
  return call_->write(bytes);
}

void Process::close_input() {
  call_->close_input();
}

void Process::end() {
  call_->interrupt();
}

ProcessResult Process::take() {
  return call_->take();
}

}  // namespace corvid::sandbox
