#include <emend/core/executor.hpp>
#include <emend/core/thread_pool.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <stdexcept>
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
