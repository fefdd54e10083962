// A system that refuses threads, played by a pthread_create of this program's own in front of the C library's.
// The sanitizers put theirs there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EMEND_TEST_HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EMEND_TEST_HAS_SANITIZER 1
#endif
#endif

#if defined(__linux__) && !defined(EMEND_TEST_HAS_SANITIZER)

#include <emend/core/thread_pool.hpp>

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

namespace {

std::atomic<int> threads_left{-1};  // that the system still gives; negative: any number

}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) noexcept {
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_left == 0) return EAGAIN;
  if (threads_left > 0) --threads_left;
  return real(thread, attributes, start, argument);
}

TEST_CASE("a refused thread ends the construction with an error, not with a wait") {
  for (const int given : {0, 1, 2, 6}) {
    threads_left = given;
    std::string message;
    std::error_code code;
    try {
      emend::thread_pool pool(8);
    } catch (const std::system_error& error) {
      message = error.what();
      code = error.code();
    }
    threads_left = -1;
    CHECK(code == std::errc::resource_unavailable_try_again);
    CHECK(message.find("emend: thread_pool: expected 8 threads, got " + std::to_string(given + 1)) == 0);
  }
  threads_left = 7;
  emend::thread_pool pool(8);
  threads_left = -1;
  CHECK(pool.threads() == 8);
  std::atomic<emend::index> covered = 0;
  pool.for_each_chunk(100, [&](emend::index begin, emend::index end) { covered += end - begin; });
  CHECK(covered == 100);
}

#endif
