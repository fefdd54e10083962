#include <emend/core/executor.hpp>
#include <emend/core/thread_pool.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using emend::index;
using emend::thread_pool;

namespace {

/// Every position of [0, n) is given exactly once.
template <class E>
void check_coverage(E& executor, index n) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
  executor.for_each_chunk(n, [&](index begin, index end) {
    CHECK(begin < end);
    for (index i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  for (const auto& count : seen) REQUIRE(count == 1);
}

}  // namespace

TEST_CASE("every position is given once, for any number of threads") {
  emend::sequential alone;
  for (index n : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
    check_coverage(alone, n);
    for (int threads : {-1, 0, 1, 2, 3, 5}) {
      thread_pool pool(threads);
      CHECK(pool.threads() == (threads < 1 ? 1 : threads));
      for (int again = 0; again < 3; ++again) check_coverage(pool, n);
    }
  }
}

TEST_CASE("a negative size calls nothing") {
  thread_pool pool(2);
  pool.for_each_chunk(-3, [](index, index) { FAIL("called"); });
  emend::sequential{}.for_each_chunk(-3, [](index, index) { FAIL("called"); });
}

TEST_CASE("several threads take part, the caller among them") {
  thread_pool pool(3);
  std::mutex mutex;
  std::condition_variable all_here;
  std::set<std::thread::id> ids;
  pool.for_each_chunk(12, [&](index, index) {
    std::unique_lock lock(mutex);
    ids.insert(std::this_thread::get_id());
    all_here.notify_all();
    all_here.wait_for(lock, std::chrono::seconds(20), [&] { return ids.size() == 3; });
  });
  CHECK(ids.size() == 3);
  CHECK(ids.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("an exception reaches the caller after all chunks, and the pool goes on") {
  for (int threads : {1, 2, 3}) {
    thread_pool pool(threads);
    std::atomic<index> done = 0;
    try {
      pool.for_each_chunk(100, [&](index begin, index end) {
        if (begin == 0) throw std::runtime_error("from a chunk");
        done += end - begin;
      });
      FAIL("no exception");
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()) == "from a chunk");
    }
    CHECK(done <= 100);
    check_coverage(pool, 100);
  }
}

TEST_CASE("every chunk throws: one exception arrives") {
  thread_pool pool(3);
  for (int again = 0; again < 20; ++again)
    CHECK_THROWS_AS(pool.for_each_chunk(50, [](index, index) { throw std::logic_error("each"); }), std::logic_error);
  check_coverage(pool, 50);
}

TEST_CASE("calls from inside a chunk run where they are") {
  thread_pool pool(3);
  std::atomic<index> total = 0;
  pool.for_each_chunk(40, [&](index begin, index end) {
    for (index i = begin; i < end; ++i) {
      const auto self = std::this_thread::get_id();
      pool.for_each_chunk(10, [&](index first, index last) {
        CHECK(std::this_thread::get_id() == self);
        total += last - first;
      });
    }
  });
  CHECK(total == 400);
}

TEST_CASE("several callers share one pool") {
  thread_pool pool(2);
  std::atomic<index> total = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int again = 0; again < 50; ++again)
        pool.for_each_chunk(20, [&](index begin, index end) { total += end - begin; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(total == 4 * 50 * 20);
}

TEST_CASE("pools come and go without work") {
  for (int i = 0; i < 50; ++i) thread_pool pool(3);
}

TEST_CASE("of several exceptions the one of the lowest positions arrives, for any number of threads") {
  for (int threads : {1, 2, 3, 5}) {
    thread_pool pool(threads);
    for (int again = 0; again < 50; ++again) {
      std::string message;
      try {
        pool.for_each_chunk(1000, [](index begin, index end) {
          for (index i = begin; i < end; ++i)
            if (i >= 700 && i % 3 == 0) throw std::runtime_error(std::to_string(i));
        });
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      REQUIRE(message == "702");
    }
  }
}

TEST_CASE("sizes near the largest index are cut without a gap") {
  thread_pool pool(3);
  constexpr index most = std::numeric_limits<index>::max();
  for (const index n : {most, most - 1, most / 12 + 1}) {
    std::mutex mutex;
    std::set<std::pair<index, index>> ranges;
    pool.for_each_chunk(n, [&](index begin, index end) {
      const std::lock_guard lock(mutex);
      ranges.insert({begin, end});
    });
    index next = 0;
    for (const auto& [begin, end] : ranges) {
      REQUIRE(begin == next);
      REQUIRE(end > begin);
      next = end;
    }
    CHECK(next == n);
    CHECK(ranges.size() == 12);
  }
}

TEST_CASE("a pool inside a chunk of another pool, and back again") {
  thread_pool outer(3), inner(2);
  std::atomic<index> total = 0;
  outer.for_each_chunk(30, [&](index begin, index end) {
    for (index i = begin; i < end; ++i)
      inner.for_each_chunk(20, [&](index first, index last) {
        for (index k = first; k < last; ++k)
          outer.for_each_chunk(3, [&](index low, index high) { total += high - low; });
      });
  });
  CHECK(total == 30 * 20 * 3);
}

namespace {

/// The exit status of a forked process that runs `body` and ends; -1 if it ended by a signal, as it does after 20 s.
template <class F>
int status_of_child(F&& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(body());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// 0 if the pool runs whole ranges on the calling thread.
int use_in_child(thread_pool& pool) {
  if (pool.threads() != 1) return 1;
  index calls = 0, covered = 0;
  const auto self = std::this_thread::get_id();
  bool is_elsewhere = false;
  pool.for_each_chunk(100, [&](index begin, index end) {
    ++calls;
    covered += end - begin;
    is_elsewhere = is_elsewhere || std::this_thread::get_id() != self;
  });
  if (calls != 1 || covered != 100 || is_elsewhere) return 2;
  try {
    pool.for_each_chunk(5, [](index, index) { throw std::runtime_error("in the child"); });
    return 3;
  } catch (const std::runtime_error&) {
  }
  return 0;
}

}  // namespace

TEST_CASE("a forked child runs the pool's work on its own thread, and can destroy the pool") {
  auto pool = std::make_unique<thread_pool>(3);
  for (int again = 0; again < 5; ++again) {
    check_coverage(*pool, 50);
    CHECK(status_of_child([&] {
            const int result = use_in_child(*pool);
            pool.reset();
            return result;
          }) == 0);
    CHECK(pool->threads() == 3);
  }
  check_coverage(*pool, 50);
}

TEST_CASE("a child forked while another thread uses the pool, and one forked inside a chunk") {
  auto pool = std::make_unique<thread_pool>(3);
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    while (!is_over) pool->for_each_chunk(30, [](index, index) {});
  });
  for (int again = 0; again < 10; ++again)
    CHECK(status_of_child([&] {
            const int result = use_in_child(*pool);
            pool.reset();
            return result;
          }) == 0);
  is_over = true;
  other.join();
  std::atomic<int> failures = 0;
  pool->for_each_chunk(4, [&](index, index) {
    if (status_of_child([&] { return use_in_child(*pool); }) != 0) ++failures;
  });
  CHECK(failures == 0);
}
