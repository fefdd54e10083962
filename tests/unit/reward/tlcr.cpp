#include <emend/reward/tlcr.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "../gradient_differences.hpp"
#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

TEST_CASE("TLCR: what the reviser took away is bad, what it brought is good") {
  const std::vector<int> source{1, 2, 3, 4}, revised{1, 9, 3, 4, 5}, same{1, 2};
  const tlcr_labels labels = tlcr_labels_of(source, revised);
  CHECK(labels.source == std::vector<index>{-1, 0, -1, -1});
  CHECK(labels.revised == std::vector<index>{-1, 1, -1, -1, 1});
  CHECK(tlcr_labels_of(same, same).source == std::vector<index>{-1, -1});
  CHECK(tlcr_labels_of(same, {}).source == std::vector<index>{0, 0});
  CHECK(tlcr_labels_of({}, same).revised == std::vector<index>{1, 1});
  const numbers logit{0.5, -2, 30, -700};
  const std::vector<int> label{1, 0, -1, 0}, none{-1, -1, -1, -1}, wrong{2, 0, 0, 0};
  const auto loss = tlcr_loss(logit, label);
  CHECK(loss.value == doctest::Approx((std::log1p(std::exp(-0.5)) + std::log1p(std::exp(-2.0))) / 3));
  check_gradient(loss.gradient,
                 central_differences(logit, [&](const numbers& x) { return tlcr_loss(x, label).value; }));
  CHECK(tlcr_loss(logit, label, 6).value == doctest::Approx(loss.value / 2));
  CHECK(tlcr_loss(logit, none).value == 0);
  CHECK_THROWS_NAMING(tlcr_loss(logit, wrong), "label");
  CHECK_THROWS_NAMING(tlcr_loss(logit, same), "label");
  const numbers reward = tlcr_rewards(logit, padded(1, 4));
  CHECK(reward[0] == doctest::Approx(2 / (1 + std::exp(-0.5)) - 1));
  CHECK(reward[3] == -1);
  CHECK_THROWS_NAMING(tlcr_rewards(logit, padded(1, 3)), "logit");
}

}  // namespace
