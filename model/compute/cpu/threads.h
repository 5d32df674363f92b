// A team of threads that shares out the pieces of one operation after another.
//
// each(n, f) calls f(i, thread) once for every i in [0, n), on the calling thread and on helpers,
// and returns when all calls have returned. Pieces are handed out as threads come for them, so a
// helper that the scheduler holds back delays only the piece it has in hand, never the start. Idle
// helpers spin briefly, then sleep on a futex. One caller at a time; f must not throw or call each.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace corvid::model {

class Team {
 public:
  explicit Team(int threads);  // the caller counts as one
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return static_cast<int>(helpers_.size()) + 1; }

  template <class F>
  void each(int n, const F& f) {
    if (n <= 1 || helpers_.empty()) {
      for (int i = 0; i < n; ++i) f(i, 0);
      return;
    }
    run(
        n,
        [](const void* object, int i, int thread) { (*static_cast<const F*>(object))(i, thread); },
        &f);
  }

 private:
  using Call = void (*)(const void* object, int i, int thread);

  void run(int n, Call call, const void* object);
  void work(std::uint32_t job, int thread);
  void help(int thread);

  // The job in progress. A ticket is (job number, next piece): a helper may use the fields below
  // only for as long as a ticket that it took belongs to the job it read them for.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::uint32_t> job_{0};
  std::atomic<int> pieces_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> object_{nullptr};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<std::uint32_t> done_{0};
  std::vector<std::thread> helpers_;
};

// The lengths of the pieces that units of work are cut into for a team, in the order to take them.
class Pieces {
 public:
  static Pieces even(int grain) { return Pieces(0, 0, grain); }
  // Of `n` units in all: the first pieces are long, so that each is read in one go, the last are
  // short, so that all threads end together.
  static Pieces shrinking(int n, int threads, int least) { return Pieces(n, threads, least); }

  // Of at most `most` units. What a shrinking piece lacks of its length then comes next.
  int next(int most);

 private:
  Pieces(int left, int threads, int least) : left_(left), threads_(threads), least_(least) {}

  int left_, threads_, least_, piece_ = 0;
};

}  // namespace corvid::model
