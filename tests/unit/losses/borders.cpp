// Losses where probabilities are 0, divergences infinite, coefficients 0, and columns of the wrong length.
#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using numbers = std::vector<double>;

const double infinite = detail::infinity, not_known = std::nan("");

/// Two tokens over three ids: the target of the first has probability 0, that of the second 1/2.
const matrix<double> scores(2, 3, {-infinite, 1, 0, std::log(2.0), 0, 0});
const std::vector<int> targets{0, 0};
const numbers advantage{2, -3};

template <class Loss>
auto run(const Loss& loss) {
  if constexpr (token_loss<Loss>)
    return evaluate(loss, scores, targets);
  else
    return evaluate_sequences(loss, scores, targets, padded(2, 1));
}

template <class Loss>
void check_finite(const Loss& loss, double value) {
  const auto got = run(loss);
  CHECK(got.value == doctest::Approx(value));
  for (index i = 0; i < 6; ++i) CHECK(std::isfinite(got.gradient.data()[i]));
  for (const double metric : got.metrics) CHECK(!std::isnan(metric));
}
/// The first token's row has no gradient.
template <class Loss>
void check_constant(const Loss& loss, double value) {
  check_finite(loss, value);
  const auto got = run(loss);
  for (index j = 0; j < 3; ++j) CHECK(got.gradient(0, j) == 0);
}

TEST_CASE("a token to which both policies give the probability 0 has the ratio 1 and no gradient") {
  const numbers old{-infinite, std::log(0.5)};
  check_constant(ppo_clip{old, advantage}, -2 + 3);
  check_constant(ppo_clip{.old_log_prob = old, .advantage = advantage, .dual_clip = 3, .log_ratio_bound = 20}, 1);
  check_constant(sapo{old, advantage}, -2 * 2 + 3 * 4 / 1.05 / 2);
  check_constant(kl_cov{old, advantage, numbers{1, 1}}, -2 + 3);
  check_constant(sequence_level<ppo_clip>{{old, advantage}}, -2 + 3);
  check_constant(sequence_level<ppo_clip>{.loss = {old, advantage}, .gradient = ratio_gradient::token}, -2 + 3);
  check_constant(gmpo{old, advantage}, -2 + 3);
  check_constant(a_star_po{old, advantage}, 4 + 9);
  for (const kl_kind kind : {kl_kind::k1, kl_kind::k2, kl_kind::k3, kl_kind::absolute, kl_kind::positive_part,
                             kl_kind::k1_through_k2, kl_kind::k3_through_k2}) {
    CAPTURE(kind);
    check_constant(kl_penalty{.reference_log_prob = old, .kind = kind}, 0);
    check_constant(sampled_distillation{.teacher_log_prob = old, .estimate = kind}, 0);
    for (const kl_weighting weighting :
         {kl_weighting::ratio, kl_weighting::unbiased_gradient, kl_weighting::score_function})
      check_constant(kl_penalty{.reference_log_prob = old, .kind = kind, .weighting = weighting, .old_log_prob = old},
                     0);
  }
  // Losses of the log-probability itself: the ratio is 1, and the loss as infinite as that of REINFORCE.
  for (const double value :
       {run(cispo{old, advantage}).value, run(reinforce{advantage}).value, run(ipo_mask{old, advantage}).value,
        run(dro{old, advantage}).value, run(dppo{old, advantage}).value, run(vespo{old, advantage}).value})
    CHECK(value == infinite);
  // Beside a whole objective.
  check_constant(
      policy_objective<ppo_clip>{
          .policy = {old, advantage}, .weight = numbers{1, 1}, .kl = {.reference_log_prob = old, .coefficient = 0.1}},
      1);
}

TEST_CASE("a ratio of 0 takes the token out of the losses that weigh a log-probability") {
  // The old policy could draw what the new one cannot.
  const numbers old{-1, std::log(0.5)};
  const double rest = -3 * std::log(2.0);  // of the second token: -A log p
  const auto is_right = [&](const auto& got) {
    CHECK(got.value == doctest::Approx(rest));
    for (index j = 0; j < 3; ++j) CHECK(got.gradient(0, j) == 0);
    for (index j = 0; j < 3; ++j) CHECK(std::isfinite(got.gradient(1, j)));
  };
  is_right(run(cispo{.old_log_prob = old, .advantage = advantage, .log_ratio_bound = infinite}));
  is_right(run(ipo_mask{.old_log_prob = old, .advantage = advantage, .bound = 1}));
  is_right(run(dppo{.old_log_prob = old, .advantage = advantage, .low = 1, .high = 1, .log_ratio_bound = infinite}));
  check_constant(ppo_clip{old, advantage}, 0 + 3);
}

TEST_CASE("a coefficient of 0 leaves its term out, however infinite it is") {
  const numbers finite{-1, std::log(0.5)}, unknown{not_known, not_known};
  check_constant(kl_penalty{.reference_log_prob = finite, .coefficient = 0}, 0);
  check_constant(kl_penalty{.reference_log_prob = unknown, .coefficient = 0}, 0);
  CHECK(run(kl_penalty{.reference_log_prob = finite, .kind = kl_kind::k1}).value == -infinite);
  CHECK(run(kl_penalty{.reference_log_prob = finite, .clamps = {.output = 10}}).value == doctest::Approx(10));
  for (const kl_kind kind : {kl_kind::k1_through_k2, kl_kind::k3_through_k2}) {
    const auto bounded = run(kl_penalty{.reference_log_prob = finite, .kind = kind, .clamps = {.output = 10}});
    CHECK(std::abs(bounded.value) == doctest::Approx(10));
  }
  check_constant(
      kl_penalty{.reference_log_prob = finite, .weighting = kl_weighting::score_function, .old_log_prob = finite}, 0);
  check_constant(policy_objective<ppo_clip>{.policy = {finite, advantage},
                                            .weight = numbers{1, 1},
                                            .kl = {.reference_log_prob = unknown, .coefficient = 0}},
                 3);
  check_constant(kl_cov{finite, advantage, numbers{1, 1}, 0}, 3);
  CHECK(run(kl_cov{finite, advantage, numbers{1, 1}, 0.1}).value == infinite);
  CHECK(run(dro{finite, numbers{0, -3}, 0}).value == doctest::Approx(-3 * std::log(2.0)));
  // An entropy that nobody knows.
  CHECK(evaluate_log_probs(entropy_bonus{0}, finite).value == 0);
  CHECK(std::isnan(evaluate_log_probs(entropy_bonus{1}, finite).value));
  const numbers certain{0};
  CHECK(evaluate_log_probs(unlikelihood{.is_unwanted = numbers{1}, .alpha = 0}, certain).value == 0);
  CHECK(evaluate_log_probs(unlikelihood{.is_unwanted = numbers{1}, .alpha = 1}, certain).value == infinite);
  // Critics.
  const numbers far{infinite};
  CHECK(evaluate_values(value_clip{.old_value = numbers{0}, .returns = numbers{0}, .factor = 0}, far).value == 0);
  // Preferences: a hopeless pair, and responses that both policies exclude.
  const numbers zero{0}, none{-infinite};
  CHECK(dpo_loss(zero, none, zero, zero).value == 0);
  CHECK(dpo_loss(zero, none, zero, zero, {.label_smoothing = 0.1}).value == infinite);
  CHECK(dpo_loss(none, none, none, none).value == doctest::Approx(std::log(2.0)));
  // Future divergences that do not count.
  CHECK(future_kl_weights(numbers{-1, -infinite}, numbers{-1, -2}, padded(1, 2), {.gamma = 0}) == numbers{1, 0.8});
  CHECK(future_kl_weights(numbers{-1, -infinite}, numbers{-1, -infinite}, padded(1, 2)) == numbers{1, 1});
  CHECK(remaining_share_weights(numbers{infinite, 1}, padded(1, 2), 0) == numbers{1, 1});
  const numbers task{5, 6};
  CHECK(distillation_advantage(none, zero, padded(1, 1), {.coefficient = 0, .clamp = infinite}) == numbers{0});
  CHECK(distillation_advantage(numbers{-infinite, -1}, numbers{-infinite, -1}, padded(1, 2),
                               {.task_advantage = task}) == task);
}

TEST_CASE("unlikelihood of no term is 0, and terms of different lengths are refused") {
  const matrix<double> x(3, 4, {0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 1, 1});
  const std::vector<int> text{1, 2, 3};  // no repeat
  const auto terms = sequence_unlikelihood_terms(text, padded(1, 3), 2);
  CHECK(terms.id.empty());
  const auto result = unlikelihood_loss(x, terms);
  CHECK(result.value == 0);
  CHECK(result.likelihood == 0);
  CHECK(result.unlikelihood == 0);
  for (index i = 0; i < 12; ++i) CHECK(result.gradient.data()[i] == 0);
  CHECK(unlikelihood_loss(matrix<double>(0, 4), terms).value == 0);
  CHECK(unlikelihood_loss(x, token_unlikelihood_terms({}, padded(0, 0))).value == 0);
  CHECK_THROWS_NAMING(unlikelihood_loss(x, {.id = {0, 1, 2}, .row = {}, .is_unwanted = {1, 1, 1}}), "terms.row");
  CHECK_THROWS_NAMING(unlikelihood_loss(x, {.id = {0}, .row = {0}, .is_unwanted = {}}), "terms.is_unwanted");
  CHECK_THROWS_NAMING(unlikelihood_loss(x, {.id = {}, .row = {0}, .is_unwanted = {}}), "terms.row");
  CHECK_THROWS_NAMING(token_unlikelihood_terms(text, padded(1, 3), {.ids = text}), "prefixes.offsets");
}

TEST_CASE("every column of every loss has one entry a token") {
  const numbers two{-1, -1}, three{-1, -1, -1};
  const auto refuses = [&](const auto& loss, const char* name) { CHECK_THROWS_NAMING(run(loss), name); };
  for (const numbers& wrong : {numbers{-1}, three}) {
    refuses(ppo_clip{wrong, two}, "old_log_prob");
    refuses(ppo_clip{two, wrong}, "advantage");
    refuses(cispo{wrong, two}, "old_log_prob");
    refuses(sapo{two, wrong}, "advantage");
    refuses(dppo{wrong, two}, "old_log_prob");
    refuses(dro{two, wrong}, "advantage");
    refuses(ipo_mask{wrong, two}, "old_log_prob");
    refuses(reinforce{wrong}, "advantage");
    refuses(kl_cov{two, two, wrong}, "selected");
    refuses(vespo{wrong, two}, "old_log_prob");
    refuses(gmpo{two, two, wrong}, "sequence_advantage");
    refuses(sequence_level<ppo_clip>{{two, wrong}}, "advantage");
    refuses(a_star_po{wrong, two}, "reference_log_prob");
    refuses(a_star_po{two, wrong}, "advantage");
    refuses(kl_penalty{.reference_log_prob = wrong}, "reference_log_prob");
    refuses(kl_penalty{.reference_log_prob = two, .old_log_prob = wrong}, "old_log_prob");
    refuses(sampled_distillation{wrong}, "teacher_log_prob");
    refuses(
        policy_objective<ppo_clip>{
            .policy = {two, two}, .weight = two, .kl = {.reference_log_prob = wrong, .coefficient = 0}},
        "reference_log_prob");
    CHECK_THROWS_NAMING(evaluate_values(value_clip{.old_value = wrong, .returns = two, .clip = infinite}, two),
                        "old_value");
    CHECK_THROWS_NAMING(evaluate_values(value_clip{two, wrong}, two), "returns");
    CHECK_THROWS_NAMING(select_clip_cov(ppo_clip{wrong, two}, two, padded(1, 2)), "old_log_prob");
    CHECK_THROWS_NAMING(select_clip_cov(ppo_clip{two, wrong}, two, padded(1, 2)), "advantage");
  }
}

TEST_CASE("bounds and coefficients that are no numbers are refused") {
  const numbers two{-1, -1};
  const auto refuses = [&](const auto& loss, const char* name) { CHECK_THROWS_NAMING(run(loss), name); };
  for (const double wrong : {not_known, -1.0}) {
    refuses(ppo_clip{.old_log_prob = two, .advantage = two, .log_ratio_bound = wrong}, "log_ratio_bound");
    refuses(ppo_clip{.old_log_prob = two, .advantage = two, .ratio_cap = wrong}, "ratio_cap");
    refuses(gmpo{.old_log_prob = two, .advantage = two, .clip_low = wrong}, "clip_low");
    refuses(gmpo{.old_log_prob = two, .advantage = two, .clip_high = wrong}, "clip_high");
    refuses(gmpo{.old_log_prob = two, .advantage = two, .length_epsilon = wrong}, "length_epsilon");
    refuses(sequence_level<ppo_clip>{.loss = {two, two}, .length_epsilon = wrong}, "length_epsilon");
    refuses(dppo{.old_log_prob = two, .advantage = two, .low = wrong}, "low");
    refuses(dppo{.old_log_prob = two, .advantage = two, .high = wrong}, "high");
    refuses(a_star_po{two, two, wrong}, "beta");
    refuses(kl_penalty{.reference_log_prob = two, .clamps = {.input = wrong}}, "clamps.input");
    refuses(kl_penalty{.reference_log_prob = two, .clamps = {.output = wrong}}, "clamps.output");
    refuses(kl_penalty{.reference_log_prob = two, .weight_cap = wrong}, "weight_cap");
    CHECK_THROWS_NAMING(pairwise_loss(two, two, {.pairs = wrong}), "pairs");
    CHECK_THROWS_NAMING(dpo_loss(two, two, two, two, {.pairs = wrong}), "pairs");
  }
  refuses(cispo{two, two, 2, 1}, "ratio_low");
  refuses(sequence_level<ppo_clip>{.loss = {two, two}, .log_ratio_cap = not_known}, "log_ratio_cap");
  refuses(kl_penalty{.reference_log_prob = two, .coefficient = not_known}, "coefficient");
  refuses(kl_cov{two, two, two, not_known}, "coefficient");
  refuses(dro{two, two, not_known}, "beta");
  refuses(ipo_mask{.old_log_prob = two, .advantage = two, .tau = not_known}, "tau");
  refuses(policy_objective<ppo_clip>{.policy = {two, two}, .weight = two, .entropy_coefficient = not_known},
          "entropy_coefficient");
  CHECK_THROWS_NAMING(evaluate_values(value_clip{.old_value = two, .returns = two, .factor = not_known}, two),
                      "factor");
  CHECK_THROWS_NAMING(future_kl_weights(two, two, padded(1, 2), {.low = 2, .high = 1}), "low");
}

TEST_CASE("GMPO clips a token's log-ratio on the side that its advantage asks for") {
  const auto loss_of = [](double log_ratio, double a) {
    const numbers old{-2}, now{-2 + log_ratio}, of{a};
    return evaluate_log_prob_sequences(gmpo{.old_log_prob = old, .advantage = of, .clip_low = 0.25, .clip_high = 0.5},
                                       now, padded(1, 1));
  };
  for (const double log_ratio : {-1.0, -0.25, -0.1, 0.1, 0.5, 1.0}) {
    CAPTURE(log_ratio);
    const double up = std::min(log_ratio, 0.5), down = std::max(log_ratio, -0.25);
    CHECK(loss_of(log_ratio, 3).value == doctest::Approx(-3 * std::exp(up)));
    CHECK(loss_of(log_ratio, -3).value == doctest::Approx(3 * std::exp(down)));
    CHECK(loss_of(log_ratio, 0).value == 0);
    // At the clip the whole gradient passes, above it none.
    CHECK(loss_of(log_ratio, 3).gradient[0] == doctest::Approx(log_ratio <= 0.5 ? -3 * std::exp(up) : 0));
    CHECK(loss_of(log_ratio, -3).gradient[0] == doctest::Approx(log_ratio >= -0.25 ? 3 * std::exp(down) : 0));
  }
}

TEST_CASE("Clip-Cov's candidates lie strictly between the bounds, and the clip has not caught them") {
  // Means of 0, so that a covariance is the product: 4, 4, 1, 1.
  const numbers a{2, -2, 1, -1}, log_prob{2, -2, 1, -1}, same = log_prob;
  const auto selected = [&](const numbers& old, double lower, double upper) {
    return select_clip_cov(ppo_clip{old, a}, log_prob, padded(1, 4), {.share = 1, .lower = lower, .upper = upper});
  };
  CHECK(selected(same, 0.5, 5) == numbers{1, 1, 1, 1});
  CHECK(selected(same, 0.99, 5) == numbers{1, 1, 1, 1});
  CHECK(selected(same, 1, 5) == numbers{1, 1, 0, 0});
  CHECK(selected(same, 1, 4) == numbers{0, 0, 0, 0});
  CHECK(selected(same, 0.5, 4) == numbers{0, 0, 1, 1});
  CHECK(selected(same, 0.5, 4.01) == numbers{1, 1, 1, 1});
  // A ratio above the clip catches a positive advantage, one below it a negative one.
  CHECK(selected({1, -2, 1, -1}, 0.5, 5) == numbers{0, 1, 1, 1});
  CHECK(selected({3, -2, 1, -1}, 0.5, 5) == numbers{1, 1, 1, 1});
  CHECK(selected({2, -1, 1, -1}, 0.5, 5) == numbers{1, 0, 1, 1});
  CHECK(selected({2, -3, 1, -1}, 0.5, 5) == numbers{1, 1, 1, 1});
}

struct five_of_its_own {
  static constexpr std::array metric_names = {"a", "b", "c", "d", "e"};
  template <class R>
  R operator()(const token<R>& t) const {
    return t.log_prob;
  }
  template <class R>
  std::array<R, 5> metrics(const token<R>& t) const {
    return {t.log_prob, R(0), R(0), R(0), R(0)};
  }
  void check(index) const {}
};

TEST_CASE("the names of an objective's metrics are those of its policy") {
  using own = policy_objective<five_of_its_own>;
  CHECK(std::string(own::metric_names[0]) == "a");
  CHECK(std::string(own::metric_names[5]) == "kl");
  CHECK(std::string(policy_objective<ppo_clip>::metric_names[1]) == "approximate_kl");
}

}  // namespace

TEST_CASE("the optimal value at any beta, large and small") {
  for (const double beta : {1e8, 1e12, 1e16, 1e18, 1e300}) CHECK(std::abs(optimal_value({0, 1}, beta) - 0.5) < 1e-8);
  CHECK(optimal_value({0, 1}, 1e-3) == doctest::Approx(1 - 1e-3 * std::log(2.0)));
  CHECK(optimal_value({0, 1}, 2) == doctest::Approx(2 * std::log((1 + std::exp(0.5)) / 2)));
  CHECK(optimal_value({3, 3, 3}, 7) == 3);
}

TEST_CASE("the mask of high entropy: infinity is an entropy like any") {
  CHECK(high_entropy_mask({1, 2, infinite}, padded(1, 3), 0.5) == numbers{0, 1, 1});
  CHECK(high_entropy_mask({1, 2, 3}, padded(1, 3), 0.5) == numbers{0, 1, 1});
}

TEST_CASE("an n of any size, and counts below the own ones") {
  const index largest = std::numeric_limits<index>::max();
  CHECK_NOTHROW(sequence_unlikelihood_terms({1, 2, 1, 2}, padded(1, 4), largest));
  CHECK_THROWS_NAMING(pairwise_loss({1, 2}, {0, 0}, {.pairs = 1}), "pairs");
  CHECK_THROWS_NAMING(dpo_loss({1, 2}, {0, 0}, {0, 0}, {0, 0}, {.pairs = 1}), "pairs");
  CHECK(pairwise_loss({1, 2}, {0, 0}, {.pairs = 2}).value == doctest::Approx(pairwise_loss({1, 2}, {0, 0}).value));
}
