#pragma once

#include <emend/core/executor.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#if __has_include(<unistd.h>)
#include <unistd.h>
#endif

namespace emend {

/// A fixed number of threads that share the ranges of `for_each_chunk`; the caller's thread is one of them.
///
/// [0, n) is cut into at most `chunks_per_thread` ranges a thread, which idle threads take in turn. Calls from inside a
/// running chunk, and calls while another thread uses the pool, run on the calling thread alone.
///
/// Exceptions: every chunk is run to its end. If chunks throw, the exception of the chunk with the lowest positions is
/// rethrown after all chunks have ended, so that the caller sees the same one as without threads.
///
/// Fork: a child process has none of the pool's threads. In a child `threads()` is 1, `for_each_chunk` runs on the
/// calling thread, and the destructor waits for nobody. A child that was forked inside a chunk must not return from
/// that chunk; it ends by `exec` or `_exit`. One system call (`getpid`) a call of `for_each_chunk` tells the two apart.
///
/// The pool must outlive every call, and is not destroyed from inside one of its own chunks. It is no part of what a
/// signal handler may use. Its threads take over the signal mask of the thread that constructs it.
class thread_pool {
 public:
  /// `threads` < 1 is taken as 1. Throws std::system_error if the system refuses a thread; the threads that were made
  /// have ended by then, and nothing is left behind.
  explicit thread_pool(int threads = static_cast<int>(std::thread::hardware_concurrency()))
      : state_(std::make_unique<state>()) {
    try {
      for (int i = 1; i < threads; ++i) state_->workers.emplace_back([shared = state_.get()] { shared->serve(); });
    } catch (const std::system_error& error) {
      const std::size_t made = state_->workers.size();
      state_->close();
      throw std::system_error(error.code(), "emend: thread_pool: expected " + std::to_string(threads) +
                                                " threads, got " + std::to_string(made + 1));
    } catch (...) {
      state_->close();
      throw;
    }
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    if (is_in_own_process())
      state_->close();
    else
      // The handles are of threads that a child process does not have, and a condition variable that they waited for
      // cannot be destroyed there: both are left as they are.
      static_cast<void>(state_.release());
  }

  /// Number of threads that run chunks, the caller's included.
  int threads() const { return is_in_own_process() ? state_->threads() : 1; }

  template <class F>
  void for_each_chunk(index n, F&& f) {
    if (n <= 0) return;
    const ownership owner(state_->is_owned);
    if (state_->workers.empty() || n == 1 || !owner.is_ours || !is_in_own_process()) {
      f(index{0}, n);
      return;
    }
    using callable = std::remove_reference_t<F>;
    const index most = chunks_per_thread * state_->threads();
    job work{.context = const_cast<void*>(static_cast<const void*>(&f)),
             .run = [](void* context, index begin, index end) { (*static_cast<callable*>(context))(begin, end); },
             .size = n,
             .chunks = n < most ? n : most};
    state_->run(work);
    if (work.error) std::rethrow_exception(work.error);
  }

 private:
  static constexpr index chunks_per_thread = 4;

  // Not a mutex: a call from inside a chunk asks on the thread that owns the pool, which a mutex forbids.
  struct ownership {
    std::atomic<bool>& flag;
    bool is_ours;
    explicit ownership(std::atomic<bool>& is_owned) : flag(is_owned), is_ours(!is_owned.exchange(true)) {}
    ownership(const ownership&) = delete;
    ownership& operator=(const ownership&) = delete;
    ~ownership() {
      if (is_ours) flag = false;
    }
  };

  struct job {
    void* context;
    void (*run)(void*, index, index);
    index size, chunks;
    index next = 0, done = 0, failed = chunks;
    int users = 0;
    std::exception_ptr error = nullptr;

    /// First position of a chunk: size * chunk / chunks, without the product, which a large size overflows.
    index first_position(index chunk) const { return size / chunks * chunk + size % chunks * chunk / chunks; }
  };

  struct state {
    std::vector<std::thread> workers;
    std::atomic<bool> is_owned = false;
    std::mutex mutex;
    std::condition_variable work_arrived, work_done;
    job* current = nullptr;
    std::uint64_t generation = 0;
    bool is_closing = false;

    int threads() const { return static_cast<int>(workers.size()) + 1; }

    void close() {
      {
        std::lock_guard lock(mutex);
        is_closing = true;
      }
      work_arrived.notify_all();
      for (std::thread& worker : workers) worker.join();
      workers.clear();
    }

    void run(job& work) {
      {
        std::lock_guard lock(mutex);
        current = &work;
        ++generation;
      }
      work_arrived.notify_all();
      take_chunks(work);
      std::unique_lock lock(mutex);
      work_done.wait(lock, [&] { return work.done == work.chunks && work.users == 0; });
      current = nullptr;
    }

    void serve() {
      std::uint64_t seen = 0;
      std::unique_lock lock(mutex);
      while (true) {
        work_arrived.wait(lock, [&] { return is_closing || (current && generation != seen); });
        if (is_closing) return;
        seen = generation;
        job& work = *current;
        ++work.users;
        lock.unlock();
        take_chunks(work);
        lock.lock();
        --work.users;
        work_done.notify_all();
      }
    }

    void take_chunks(job& work) {
      while (true) {
        index chunk;
        {
          std::lock_guard lock(mutex);
          if (work.next == work.chunks) return;
          chunk = work.next++;
        }
        std::exception_ptr error;
        try {
          work.run(work.context, work.first_position(chunk), work.first_position(chunk + 1));
        } catch (...) {
          error = std::current_exception();
        }
        std::lock_guard lock(mutex);
        if (error && chunk < work.failed) {
          work.failed = chunk;
          std::swap(work.error, error);  // the replaced one is destroyed outside the lock: it may be a user's type
        }
        if (++work.done == work.chunks) work_done.notify_all();
      }
    }
  };

  static long current_process() {
#if __has_include(<unistd.h>)
    return static_cast<long>(::getpid());
#else
    return 0;  // a system without fork
#endif
  }
  bool is_in_own_process() const { return current_process() == process_; }

  std::unique_ptr<state> state_;
  long process_ = current_process();
};

static_assert(executor<thread_pool>);

}  // namespace emend
