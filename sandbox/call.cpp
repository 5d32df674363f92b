#include "sandbox/call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/error.h"

namespace corvid::sandbox {
namespace {

constexpr std::chrono::milliseconds kGrace{1000};
constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kDrainBytes = 1 << 20;      // at most so much before others get their turn
constexpr std::size_t kLastDrainBytes = 4 << 20;  // more than a pipe holds

Descriptor input_file(const std::string& bytes, int open_already) {
  if (open_already >= 0) return Descriptor(::fcntl(open_already, F_DUPFD_CLOEXEC, 3));
  if (bytes.empty()) {
    Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing) throw SandboxError("cannot open /dev/null");
    return nothing;
  }
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
      output_(executor),
      status_(executor),
      deadline_(executor),
      changed_(executor, asio::steady_timer::time_point::max()) {}

void Call::start(int control, const wire::Fields& order) {
  DescriptorPair output = make_pipe();
  DescriptorPair status = make_socket_pair();
  const Descriptor input = input_file(spec_.input, spec_.input_fd);
  ::fcntl(output.first.get(), F_SETPIPE_SZ, kPipeBytes);  // fewer wake-ups; may be refused
  started_ = std::chrono::steady_clock::now();
  if (!wire::send(control, wire::Kind::run, order,
                  {status.second.get(), output.second.get(), input.get()})) {
    throw SandboxError("sandbox: the process that starts commands has ended unexpectedly");
  }
  output_.assign(output.first.release());
  status_.assign(status.first.release());
  deadline_.expires_after(spec_.deadline);
  deadline_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (error || self->done_) return;
    self->result_.timed_out = true;
    self->end();
  });
  watch_output();
  watch_status();
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
  if (packet.kind == wire::Kind::failed) {
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
    finish();
  }
}

void Call::finish() {
  if (done_) return;
  done_ = true;
  drain(kLastDrainBytes);
  if (!result_.exit_code && !result_.signal) result_.signal = SIGKILL;  // its keeper was killed
  result_.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started_);
  boost::system::error_code ignored;
  output_.close(ignored);
  status_.close(ignored);
  deadline_.cancel();
  changed_.cancel();
}

ProcessResult Call::result() {
  if (!failure_.empty()) throw SandboxError(failure_);
  result_.output = kept_.head();
  result_.tail = kept_.tail();
  result_.output_bytes = kept_.bytes();
  return std::move(result_);
}

}  // namespace corvid::sandbox
