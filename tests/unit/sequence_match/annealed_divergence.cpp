#include <emend/sequence_match/annealed_divergence.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

TEST_CASE("annealing: from maximum likelihood to the divergence, as a phi and as a number") {
  using annealed = annealed_divergence<continued<divergences::forward_kl>>;
  const continued<divergences::forward_kl> kl{{}, 0.1};
  for (const double x : {-3.0, -0.5, 0.0, 2.0}) {
    CHECK(annealed{kl, 1}.phi(x) == x);
    CHECK(annealed{kl, 0}.phi(x) == kl.phi(x));
    CHECK(annealed{kl, 0.25}.phi(x) == doctest::Approx(0.25 * x + 0.75 * kl.phi(x)));
    CHECK(annealed{kl, 0.25}.derivative(x) == doctest::Approx(0.25 + 0.75 * kl.derivative(x)));
  }
  CHECK(annealed{kl, 1}.phi(-detail::infinity) == -detail::infinity);
  CHECK(annealed{kl, 0.5}.is_outside(-2.0));
  CHECK(!annealed{kl, 1}.is_outside(-2.0));
  CHECK_THROWS_NAMING((annealed{kl, 1.5}.check()), "share");
  CHECK_THROWS_NAMING((annealed{{{}, 0}, 0.5}.check()), "epsilon");
}

}  // namespace
