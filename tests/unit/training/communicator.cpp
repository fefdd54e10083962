#include "communicators/suite.hpp"
#include "communicators/thread_ranks.hpp"

#include <doctest/doctest.h>

namespace {

static_assert(emend::communicator<thread_ranks::member>);

TEST_CASE("work over ranks is work on the whole batch: one rank to more ranks than sequences") {
  emend::single_process alone;
  for (const auto& complaint : communicator_suite::run(alone)) FAIL_CHECK(complaint);
  for (const emend::index size : {1, 2, 3, 4, 9}) {
    CAPTURE(size);
    std::vector<std::vector<std::string>> found(static_cast<std::size_t>(size));
    thread_ranks(size).run(
        [&](thread_ranks::member& own) { found[static_cast<std::size_t>(own.rank())] = communicator_suite::run(own); });
    for (const auto& of_rank : found)
      for (const auto& complaint : of_rank) FAIL_CHECK(complaint);
  }
}

}  // namespace
