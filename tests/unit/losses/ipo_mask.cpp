#include <emend/losses/ipo_mask.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "policy_batch.hpp"

namespace {

using namespace emend;

TEST_CASE("ipo_mask: a token whose probability moved beyond the bound keeps the pull alone") {
  const policy_batch b;
  check_slopes(ipo_mask{.old_log_prob = b.old, .advantage = b.advantage, .bound = 0.2, .tau = 0.1}, [&](std::size_t i) {
    const double pull = 0.2 * (b.log_prob[i] - b.old[i]);
    return pull - (std::abs(b.moved(i)) <= 0.2 ? b.ratio(i) * b.advantage[i] : 0);
  });
}

}  // namespace
