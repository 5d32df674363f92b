#include "model/compute/cpu/threads.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace corvid::model {
namespace {

// About 20 to 50 microseconds: longer than the gaps between operations, far shorter than a
// scheduler's time slice.
constexpr int kSpins = 1000;

constexpr std::uint32_t kNoPiece = 0x7FFFFFFF;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::uint64_t ticket_of(std::uint32_t job, std::uint32_t piece) {
  return static_cast<std::uint64_t>(job) << 32 | piece;
}

}  // namespace

Team::Team(int threads) {
  // Signals belong to the threads of the program.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { help(i); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Team::~Team() {
  stop_ = true;
  ++job_;
  job_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::run(int n, Call call, const void* object) {
  const std::uint32_t job = job_.load(std::memory_order_relaxed) + 1;
  // First void the old ticket: whoever sees a new field below cannot take an old piece with it.
  ticket_.store(ticket_of(job, kNoPiece), std::memory_order_relaxed);
  call_.store(call, std::memory_order_release);
  object_.store(object, std::memory_order_release);
  pieces_.store(n, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(ticket_of(job, 0), std::memory_order_release);
  job_.store(job, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) job_.notify_all();
  work(job, 0);
  const std::uint32_t all = static_cast<std::uint32_t>(n);
  for (int spin = 0; spin < kSpins; ++spin) {
    if (done_.load(std::memory_order_acquire) == all) return;
    pause();
  }
  for (std::uint32_t done; (done = done_.load(std::memory_order_acquire)) != all;) {
    done_.wait(done, std::memory_order_acquire);
  }
}

// Takes pieces of `job` until none is left. The compare-and-swap succeeds only while the job is
// not finished, so what was read before it still belonged to this job.
void Team::work(std::uint32_t job, int thread) {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(ticket >> 32) == job) {
    const Call call = call_.load(std::memory_order_acquire);
    const void* object = object_.load(std::memory_order_acquire);
    const int pieces = pieces_.load(std::memory_order_acquire);
    const int piece = static_cast<int>(ticket & 0xFFFFFFFF);
    if (piece >= pieces) return;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;
    }
    call(object, piece, thread);
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(pieces)) {
      done_.notify_one();
    }
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void Team::help(int thread) {
  std::uint32_t seen = 0;
  while (true) {
    std::uint32_t job = job_.load(std::memory_order_acquire);
    for (int spin = 0; job == seen && spin < kSpins; ++spin) {
      pause();
      job = job_.load(std::memory_order_acquire);
    }
    if (job == seen) {
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      job_.wait(seen, std::memory_order_seq_cst);
      sleepers_.fetch_sub(1, std::memory_order_relaxed);
      job = job_.load(std::memory_order_acquire);
    }
    if (stop_) return;
    seen = job;
    work(job, thread);
  }
}

int Pieces::next(int most) {
  if (threads_ == 0) return std::min(least_, most);
  if (piece_ == 0) piece_ = std::max(least_, 3 * left_ / (4 * threads_));
  const int n = std::min({piece_, left_, most});
  piece_ -= n;
  left_ -= n;
  return n;
}

}  // namespace corvid::model
