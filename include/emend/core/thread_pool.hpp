#pragma once

#include <emend/core/executor.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace emend {

/// A fixed number of threads that share the ranges of `for_each_chunk`; the caller's thread is one of them.
///
/// [0, n) is cut into at most `chunks_per_thread` ranges a thread, which idle threads take in turn. Calls from inside a
/// running chunk, and calls while another thread uses the pool, run on the calling thread alone. The first exception of
/// a chunk is rethrown after all chunks have ended. Construction with `threads` < 1 uses one thread.
class thread_pool {
 public:
  explicit thread_pool(int threads = static_cast<int>(std::thread::hardware_concurrency())) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    {
      std::lock_guard lock(mutex_);
      is_closing_ = true;
    }
    work_arrived_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  /// Number of threads that run chunks, the caller's included.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  template <class F>
  void for_each_chunk(index n, F&& f) {
    if (n <= 0) return;
    const ownership owner(is_owned_);
    if (workers_.empty() || n == 1 || !owner.is_ours) {
      f(index{0}, n);
      return;
    }
    using callable = std::remove_reference_t<F>;
    job work{.context = const_cast<void*>(static_cast<const void*>(&f)),
             .run = [](void* context, index begin, index end) { (*static_cast<callable*>(context))(begin, end); },
             .size = n,
             .chunks = n < chunks_per_thread * threads() ? n : chunks_per_thread * threads()};
    {
      std::lock_guard lock(mutex_);
      job_ = &work;
      ++generation_;
    }
    work_arrived_.notify_all();
    take_chunks(work);
    std::unique_lock lock(mutex_);
    work_done_.wait(lock, [&] { return work.done == work.chunks && work.users == 0; });
    job_ = nullptr;
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
    index next = 0, done = 0;
    int users = 0;
    std::exception_ptr error = nullptr;
  };

  void serve() {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      work_arrived_.wait(lock, [&] { return is_closing_ || (job_ && generation_ != seen); });
      if (is_closing_) return;
      seen = generation_;
      job& work = *job_;
      ++work.users;
      lock.unlock();
      take_chunks(work);
      lock.lock();
      --work.users;
      work_done_.notify_all();
    }
  }

  void take_chunks(job& work) {
    while (true) {
      index chunk;
      {
        std::lock_guard lock(mutex_);
        if (work.next == work.chunks) return;
        chunk = work.next++;
      }
      std::exception_ptr error;
      try {
        work.run(work.context, work.size * chunk / work.chunks, work.size * (chunk + 1) / work.chunks);
      } catch (...) {
        error = std::current_exception();
      }
      std::lock_guard lock(mutex_);
      if (error && !work.error) work.error = error;
      if (++work.done == work.chunks) work_done_.notify_all();
    }
  }

  std::vector<std::thread> workers_;
  std::atomic<bool> is_owned_ = false;
  std::mutex mutex_;
  std::condition_variable work_arrived_, work_done_;
  job* job_ = nullptr;
  std::uint64_t generation_ = 0;
  bool is_closing_ = false;
};

static_assert(executor<thread_pool>);

}  // namespace emend
