// emend::loss where nothing returns to the host: the loss once over tensors of all tokens, against the same loss token
// by token; and on torch's meta device, whose tensors have no numbers that anybody could read.
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/algorithms.hpp>
#include <emend/losses/cispo.hpp>
#include <emend/losses/covariance.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/dppo.hpp>
#include <emend/losses/dro.hpp>
#include <emend/losses/entropy.hpp>
#include <emend/losses/ipo_mask.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/reinforce.hpp>
#include <emend/losses/sapo.hpp>
#include <emend/losses/unlikelihood.hpp>

#include "other_device.hpp"
#include "throws.hpp"

#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/rand_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/tensor.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>

namespace {

using emend::tensor_column;
constexpr double infinite = std::numeric_limits<double>::infinity();

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }

/// Largest difference; infinite where one has a NaN and the other not.
double distance(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.detach().cpu().to(at::kDouble), y = b.detach().cpu().to(at::kDouble);
  if (!x.isnan().equal(y.isnan())) return infinite;
  return at::where(x == y, at::zeros_like(x), (x - y).abs()).nan_to_num(0.0, infinite).max().item().toDouble();
}

/// Any loss, behind one type, so that emend::loss is compiled once; counts who calls it.
struct any_loss {
  std::function<double(const emend::token<double>&)> value;
  std::function<emend::token_dual(const emend::token<emend::token_dual>&)> derivative;
  std::function<emend::tensor_dual(const emend::token<emend::tensor_dual>&)> of_all;
  std::function<void(emend::index)> checks;
  int* calls_for_all;
  int* calls_for_one;

  template <class Loss>
  any_loss(const Loss& loss, int& for_all, int& for_one)
      : value([=](const auto& t) -> double { return loss(t); }),
        derivative([=](const auto& t) -> emend::token_dual { return loss(t); }),
        of_all([=](const auto& t) -> emend::tensor_dual { return loss(t); }),
        checks([=]([[maybe_unused]] emend::index n) {
          if constexpr (requires { loss.check(n); }) loss.check(n);
        }),
        calls_for_all(&for_all),
        calls_for_one(&for_one) {}
  double operator()(const emend::token<double>& t) const { return ++*calls_for_one, value(t); }
  emend::token_dual operator()(const emend::token<emend::token_dual>& t) const {
    return ++*calls_for_one, derivative(t);
  }
  emend::tensor_dual operator()(const emend::token<emend::tensor_dual>& t) const { return ++*calls_for_all, of_all(t); }
  void check(emend::index n) const { checks(n); }
};
struct loss_calls {
  int for_all = 0, for_one = 0;
  template <class Loss>
  any_loss of(const Loss& loss) {
    return {loss, for_all, for_one};
  }
};

struct problem {
  at::Tensor x, targets;
  emend::tensor_loss_options options = {};
};

/// Value, gradient and the losses of the tokens: by tensors of all tokens, and token by token.
template <class Loss>
void compare(const std::string& name, const Loss& loss, const problem& p, double tolerance = 1e-12,
             bool is_for_all = true) {
  CAPTURE(name);
  loss_calls calls;
  const any_loss any = calls.of(loss);
  const at::Tensor a = p.x.clone().requires_grad_(), b = p.x.clone().requires_grad_();
  at::Tensor losses_a, losses_b;
  emend::tensor_loss_options options = p.options;
  options.per_token = &losses_a;
  const at::Tensor got = emend::loss(any, emend::device_scores{there(a)}, p.targets, options);
  CHECK(calls.for_all == (is_for_all ? 2 : 1));  // once over no tokens, to see whether it can be called so
  CHECK((calls.for_one == 0) == is_for_all);
  options.per_token = &losses_b;
  const at::Tensor expected = emend::loss(any, b, p.targets, options);
  const double scale = std::max(1.0, std::abs(expected.item().toDouble()));
  CHECK(distance(got, expected) <= tolerance * (std::isfinite(scale) ? scale : 1));
  const double largest = losses_b.abs().nan_to_num(0, 0, 0).max().item().toDouble();
  CHECK(distance(losses_a, losses_b) <= (tolerance + 1e-7) * std::max(1.0, largest));  // both in float
  got.backward();
  expected.backward();
  CHECK(distance(a.grad(), b.grad()) <= tolerance);
}

/// any_loss with the metrics of the loss, up to six of them.
struct any_measured_loss : any_loss {
  std::function<std::array<double, 6>(const emend::token<double>&)> of_one;
  std::function<std::array<emend::tensor_dual, 6>(const emend::token<emend::tensor_dual>&)> of_every;

  template <class Loss>
  any_measured_loss(const Loss& loss, int& for_all, int& for_one)
      : any_loss(loss, for_all, for_one),
        of_one([=](const auto& t) { return padded(loss.metrics(t)); }),
        of_every([=](const auto& t) { return padded(loss.metrics(t)); }) {}
  std::array<double, 6> metrics(const emend::token<double>& t) const { return of_one(t); }
  std::array<emend::tensor_dual, 6> metrics(const emend::token<emend::tensor_dual>& t) const { return of_every(t); }

 private:
  template <class R, std::size_t M>
  static std::array<R, 6> padded(const std::array<R, M>& given) {
    std::array<R, 6> all{};
    for (std::size_t k = 0; k < M; ++k) all[k] = given[k];
    return all;
  }
};

/// The means of a loss's metrics, by tensors of all tokens and token by token.
template <class Loss>
void compare_metrics(const std::string& name, const Loss& loss, const problem& p) {
  CAPTURE(name);
  static_assert(emend::detail::metrics_of_all_tokens<Loss>);
  loss_calls calls;
  const any_measured_loss any(loss, calls.for_all, calls.for_one);
  at::Tensor a, b;
  emend::tensor_loss_options options = p.options;
  options.metrics = &a;
  emend::loss(any, emend::device_scores{there(p.x)}, p.targets, options);
  CHECK(calls.for_one == 0);
  options.metrics = &b;
  emend::loss(any, p.x, p.targets, options);
  CHECK((a.scalar_type() == at::kFloat));
  CHECK(distance(a, b) <= 1e-6 * std::max(1.0, b.abs().nan_to_num(0, 0, 0).max().item().toDouble()));
}

/// Scores as real ones are, and as none should be: -inf, certain rows, rows of nothing but -inf, ties.
at::Tensor scores_with_edges() {
  const at::Tensor x = at::randn({4, 6, 13}, of(at::kDouble)) * 3;
  x.select(0, 0).select(0, 1).narrow(0, 3, 5).fill_(-infinite);
  x.select(0, 1).select(0, 2).fill_(-infinite);
  x.select(0, 1).select(0, 3).narrow(0, 1, 12).fill_(-infinite);
  x.select(0, 2).select(0, 0).fill_(1.5);
  x.select(0, 2).select(0, 4).select(0, 7).fill_(900);
  return x;
}

struct policy_columns {
  at::Tensor old, reference, advantage, weight, mask;
  explicit policy_columns(const problem& p) {
    const at::Tensor log_prob = emend::statistics(p.x, p.targets).log_prob.nan_to_num(0, 0, -3);
    old = log_prob + 0.5 * at::randn_like(log_prob);
    old.view({-1})[3] = -900.0;  // a ratio that overflows
    reference = log_prob + 0.3 * at::randn_like(log_prob);
    reference.view({-1})[5] = std::numeric_limits<double>::quiet_NaN();
    advantage = at::randn_like(log_prob);
    advantage.view({-1})[3] = 0.0;  // .. where it must not matter
    advantage.view({-1})[11] = 0.0;
    weight = at::rand_like(log_prob);
    weight.view({-1})[8] = 0.0;
    mask = at::rand_like(log_prob) < 0.7;
  }
};

TEST_CASE("device loss: every loss of the library gives what it gives token by token") {
  at::manual_seed(11);
  const problem p{scores_with_edges(), at::randint(13, {4, 6}, of(at::kLong))};
  const policy_columns c(p);
  const tensor_column old(c.old), reference(c.reference), advantage(c.advantage), weight(c.weight);
  const at::Tensor mask = c.mask.clone();
  mask.select(0, 1).select(0, 2).fill_(
      false);  // the row without support has no log-probability that a ratio could take
  const problem masked{p.x, p.targets, {.mask = mask, .weight = c.weight, .normaliser = 7}};
  compare("cross entropy", emend::cross_entropy{}, masked);
  compare("entropy", emend::entropy_bonus{0.3}, p);
  compare("reinforce", emend::reinforce{advantage}, masked);
  compare("PPO", emend::ppo_clip{.old_log_prob = old, .advantage = advantage}, masked);
  compare("PPO, dual clip and caps",
          emend::ppo_clip{.old_log_prob = old,
                          .advantage = advantage,
                          .clip_low = 0.1,
                          .clip_high = 0.3,
                          .dual_clip = 1.2,
                          .ratio_cap = 2,
                          .log_ratio_bound = 20},
          masked);
  compare("CISPO", emend::cispo{.old_log_prob = old, .advantage = advantage, .ratio_low = 0.8, .ratio_high = 1.2},
          masked);
  compare("DRO", emend::dro{.old_log_prob = old, .advantage = advantage}, masked);
  compare("KL-Cov", emend::kl_cov{.old_log_prob = old, .advantage = advantage, .selected = weight}, masked);
  compare("IPO",
          emend::ipo_mask{.old_log_prob = old, .advantage = advantage, .bound = 0.05, .tau = 0.3, .ratio_cap = 2},
          masked);
  for (const auto divergence :
       {emend::probability_divergence::total_variation, emend::probability_divergence::binary_kl})
    compare(
        "DPPO",
        emend::dppo{.old_log_prob = old, .advantage = advantage, .divergence = divergence, .low = 0.02, .high = 0.01},
        masked);
  loss_calls calls;
  const at::Tensor x = p.x.clone().requires_grad_();
  const at::Tensor unasked = emend::loss(calls.of([](const auto& t) { return t.log_prob + 0.1 * t.log_sum_squares; }),
                                         emend::device_scores{there(x)}, p.targets);
  CHECK(std::isnan(unasked.item().toDouble()));  // the sum of squares, which nobody asked for
  CHECK_NOTHROW(unasked.backward());
  compare("SAPO", emend::sapo{.old_log_prob = old, .advantage = advantage}, masked);
  for (const auto kind : {emend::kl_kind::k1, emend::kl_kind::k2, emend::kl_kind::k3, emend::kl_kind::absolute,
                          emend::kl_kind::positive_part, emend::kl_kind::k1_through_k2, emend::kl_kind::k3_through_k2})
    for (const auto weighting : {emend::kl_weighting::none, emend::kl_weighting::ratio,
                                 emend::kl_weighting::unbiased_gradient, emend::kl_weighting::score_function}) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(static_cast<int>(weighting));
      compare("KL",
              emend::kl_penalty{.reference_log_prob = reference,
                                .coefficient = 0.7,
                                .kind = kind,
                                .clamps = {.input = 1, .output = 0.4},
                                .weighting = weighting,
                                .old_log_prob = old,
                                .weight_cap = 10},
              masked);
    }
  const emend::policy_objective<emend::ppo_clip> objective{.policy = {.old_log_prob = old, .advantage = advantage},
                                                           .weight = weight,
                                                           .kl = {.reference_log_prob = reference, .coefficient = 0.1},
                                                           .entropy_coefficient = 0.01};
  compare("the whole objective", objective, {p.x, p.targets, {.mask = mask}});
  std::vector<char> is_unwanted(24);
  for (std::size_t i = 0; i < 24; i += 3) is_unwanted[i] = 1;
  compare("unlikelihood", emend::unlikelihood{.is_unwanted = is_unwanted, .alpha = 0.5, .clamp_min = 1e-5}, masked);
  const auto own = [](const auto& t) {
    return emend::log1p(emend::exp(t.log_sum_squares)) * emend::sigmoid(t.log_prob) +
           emend::tanh(emend::square(t.entropy)) / (2 + emend::cos(t.log_z)) -
           0.25 * emend::max(emend::abs(t.log_z), emend::sqrt(1 + emend::square(t.score)));
  };
  problem own_problem = masked;
  own_problem.options.with_log_sum_squares = true;
  compare("a lambda of every statistic", own, own_problem, 1e-11);
  compare("a constant", [](const auto&) { return 3.0; }, masked);
  compare("a column", [&](const auto& t) { return t(advantage) * t(weight); }, masked);
}

TEST_CASE("device loss: metrics are means over what counts, on the device") {
  at::manual_seed(17);
  const problem p{scores_with_edges(), at::randint(13, {4, 6}, of(at::kLong))};
  const policy_columns c(p);
  const tensor_column old(c.old), reference(c.reference), advantage(c.advantage), weight(c.weight);
  const at::Tensor mask = c.mask.clone();
  mask.select(0, 1).select(0, 2).fill_(false);
  mask.view({-1})[3] = false;  // its ratio overflows
  const problem masked{p.x, p.targets, {.mask = mask, .weight = c.weight, .normaliser = 7}};
  compare_metrics("PPO", emend::ppo_clip{.old_log_prob = old, .advantage = advantage}, masked);
  compare_metrics("IPO", emend::ipo_mask{.old_log_prob = old, .advantage = advantage, .bound = 0.05}, masked);
  const emend::policy_objective<emend::ppo_clip> objective{.policy = {.old_log_prob = old, .advantage = advantage},
                                                           .weight = weight,
                                                           .kl = {.reference_log_prob = reference, .coefficient = 0.1}};
  compare_metrics("the whole objective", objective, {p.x, p.targets, {.mask = mask}});
  compare_metrics("nothing counts", emend::ppo_clip{.old_log_prob = old, .advantage = advantage},
                  {p.x, p.targets, {.mask = at::zeros({4, 6})}});
}

struct with_numbers {
  emend::column weight;
  auto operator()(const auto& t) const { return -t.log_prob; }
  auto metrics(const auto& t) const { return std::array{t.number(weight)}; }
};

TEST_CASE("device loss: metrics that are plain numbers") {
  const at::Tensor x = at::randn({4, 5}), weight = at::rand({4});
  const tensor_column numbers(weight);
  at::Tensor metrics;
  emend::loss(with_numbers{numbers}, emend::device_scores{there(x)}, at::randint(5, {4}), {.metrics = &metrics});
  CHECK(distance(metrics, weight.mean().view({1})) < 1e-6);
}

TEST_CASE("device loss: the small ones' metrics") {
  at::manual_seed(18);
  const at::Tensor x = at::randn({1100, 7}), targets = at::randint(7, {1100}, of(at::kLong)),
                   old = -at::rand({1100}) * 3, advantage = at::randn({1100});
  const tensor_column q(old), a(advantage);
  const problem p{x, targets};
  compare_metrics("CISPO", emend::cispo{.old_log_prob = q, .advantage = a, .ratio_low = 0.8, .ratio_high = 1.2}, p);
  compare_metrics("SAPO", emend::sapo{.old_log_prob = q, .advantage = a}, p);
  compare_metrics("DRO", emend::dro{.old_log_prob = q, .advantage = a}, p);
  compare_metrics("DPPO", emend::dppo{.old_log_prob = q, .advantage = a}, p);
  compare_metrics("KL", emend::kl_penalty{.reference_log_prob = q}, p);
}

TEST_CASE(
    "device loss: temperature, scale and soft cap, every dtype, strided and expanded scores, one token, vocabulary 1") {
  at::manual_seed(12);
  const auto mine = [](const auto& t) { return emend::square(t.log_prob) - 0.1 * t.entropy + t.log_z; };
  const problem p{scores_with_edges(), at::randint(13, {4, 6}, of(at::kLong))};
  at::Tensor finite = at::randn({4, 6, 13}, of(at::kDouble));
  compare("transform", mine, {finite, p.targets, {.transform = {.temperature = 0.7, .logit_scale = 1.3}}}, 1e-11);
  compare("soft cap", mine,
          {finite * 5, p.targets, {.transform = {.temperature = 0.7, .logit_scale = 1.3, .soft_cap = 4}}}, 1e-11);
  compare("strides", mine, {finite.permute({1, 0, 2}), p.targets.t()}, 1e-11);
  compare("expanded", mine, {finite.select(0, 0).unsqueeze(0).expand({4, 6, 13}), p.targets}, 1e-11);
  compare("one token", mine, {finite.select(0, 0).select(0, 0), p.targets[0][0]}, 1e-11);
  compare("vocabulary 1", mine, {finite.narrow(2, 0, 1), at::zeros({4, 6}, of(at::kLong))}, 1e-11);
  compare("float", mine, {finite.to(at::kFloat), p.targets}, 1e-5);
  compare("bfloat16", mine, {finite.to(at::kBFloat16), p.targets}, 0.1);
  compare("half", mine, {finite.to(at::kHalf), p.targets}, 0.02);
  // Several chunks of rows.
  compare("chunks", mine,
          {at::randn({700, 5003}),
           at::randint(5003, {700}, of(at::kLong)),
           {.mask = at::randint(2, {700}), .normaliser = 700}},
          1e-6);
}

TEST_CASE(
    "device loss: what is masked is not looked at, what is unknown is NaN, wrong ids that the host can see are named") {
  at::manual_seed(13);
  const at::Tensor x = at::randn({3, 9}, of(at::kDouble)), targets = at::tensor({2, -100, 4});
  x.select(0, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  const at::Tensor mask = at::tensor({1, 0, 1});
  compare("masked", emend::cross_entropy{}, {x, targets, {.mask = mask}});
  compare("unknown", emend::cross_entropy{}, {x, at::tensor({2, 3, 4})});
  x.select(0, 1).fill_(1).select(0, 3).fill_(infinite);
  compare("infinite", emend::cross_entropy{}, {x, at::tensor({2, 3, 4})});
  const emend::device_scores elsewhere{there(x)};
  loss_calls calls;
  const any_loss likelihood = calls.of(emend::cross_entropy{});
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, targets), "targets");
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, at::tensor({1.0, 2.0, 3.0})), "targets");
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, at::tensor({1, 2})), "targets");
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, at::tensor({1, 2, 3}), {.mask = at::tensor({1})}), "mask");
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, at::tensor({1, 2, 3}), {.normaliser = 0}), "normaliser");
  CHECK_THROWS_NAMING(emend::loss(likelihood, elsewhere, at::tensor({1, 2, 3}), {.transform = {.temperature = -1}}),
                      "temperature");
  const std::vector<double> two = {1, 2};
  CHECK_THROWS_NAMING(emend::loss(calls.of(emend::reinforce{}), elsewhere, at::tensor({1, 2, 3})), "advantage");
  CHECK_THROWS_NAMING(emend::loss(calls.of(emend::reinforce{two}), elsewhere, at::tensor({1, 2, 3})), "advantage");
  CHECK_THROWS_NAMING(
      emend::loss(calls.of([&](const auto& t) { return t(two) * t.log_prob; }), elsewhere, at::tensor({1, 2, 3})),
      "a column read by the loss");
}

TEST_CASE("device loss: a loss that branches on a number or asks for its position goes through the host") {
  at::manual_seed(14);
  const at::Tensor x = at::randn({5, 7}, of(at::kDouble)), targets = at::randint(7, {5}, of(at::kLong));
  const std::vector<double> own = {1, 2, 3, 4, 5};
  const problem p{x, targets};
  compare("a branch", [](const auto& t) { return t.log_prob < -2 ? 2 * t.log_prob : t.entropy; }, p, 1e-12, false);
  compare(
      "a position", [&](const auto& t) { return own[static_cast<std::size_t>(t.position)] * t.log_prob; }, p, 1e-12,
      false);
  const auto on_number = [](const auto& t) {
    const double now = emend::value_of(t.log_prob);
    return std::floor(now) * t.log_prob;
  };
  compare("a number", on_number, p, 1e-12, false);
  // A column that is there in no case asks the host, which knows that it is not read.
  const emend::column none;
  compare(
      "a column that may be missing", [&](const auto& t) { return none.empty() ? t.log_prob : t(none) * t.log_prob; },
      p);
  compare(
      "the same by an operator",
      [&](const auto& t) { return emend::select(!none.empty() && t.number(none) == 0, t.entropy, t.log_prob); }, p,
      1e-12, false);
  // What a token of tensors cannot stand in.
  const at::Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
  const auto exotic = [](const auto& t) { return (t.log_prob < -2) * t.entropy; };
  emend::loss(emend::per_token(exotic), emend::device_scores{there(a)}, targets).backward();
  emend::loss(emend::per_token(exotic), b, targets).backward();
  CHECK(distance(a.grad(), b.grad()) < 1e-12);
  const auto calm = [](const auto& t) noexcept { return t.log_prob < -2 ? t.log_prob : t.entropy; };
  a.mutable_grad() = b.mutable_grad() = at::Tensor();
  emend::loss(calm, emend::device_scores{there(a)}, targets).backward();
  emend::loss(calm, b, targets).backward();
  CHECK(distance(a.grad(), b.grad()) < 1e-12);
}

TEST_CASE("device loss: linear scores, a mask that only the device knows, gradients of both factors") {
  at::manual_seed(15);
  const at::Tensor hidden = at::randn({1100, 6}, of(at::kDouble)), weight = at::randn({29, 6}, of(at::kDouble)),
                   targets = at::randint(29, {1100}, of(at::kLong));
  const tensor_column advantage(at::randn({1100}, of(at::kDouble)));
  const auto loss = [&](const auto& t) { return t(advantage) * t.log_prob - 0.1 * t.entropy; };
  const at::Tensor a = hidden.clone().requires_grad_(), v = weight.clone().requires_grad_(),
                   b = hidden.clone().requires_grad_(), w = weight.clone().requires_grad_();
  const at::Tensor row_weight = at::rand({1100}, of(at::kDouble));
  const emend::linear_scores product{emend::device_scores{there(a)}, emend::device_scores{there(v)}};
  loss_calls calls;
  const any_loss any = calls.of(loss);
  const at::Tensor got = emend::loss(any, product, targets, {.weight = row_weight, .normaliser = 9});
  CHECK(calls.for_one == 0);
  const at::Tensor expected =
      emend::loss(any, emend::linear_scores{b, w}, targets, {.weight = row_weight, .normaliser = 9});
  CHECK(distance(got, expected) < 1e-11);
  got.backward();
  expected.backward();
  CHECK(distance(a.grad(), b.grad()) < 1e-11);
  CHECK(distance(v.grad(), w.grad()) < 1e-11);
}

TEST_CASE("device loss: linear scores in bfloat16, and a state that is no number in a token of weight 0") {
  at::manual_seed(19);
  const at::Tensor hidden = at::randn({1100, 6}, of(at::kDouble)), weight = at::randn({29, 6}, of(at::kDouble)),
                   targets = at::randint(29, {1100}, of(at::kLong));
  const at::Tensor counts = at::ones({1100}, of(at::kDouble));
  counts[7] = 0.0;
  hidden.select(0, 7).fill_(std::numeric_limits<double>::quiet_NaN());
  loss_calls calls;
  const any_loss likelihood = calls.of(emend::cross_entropy{});
  for (const auto& [type, tolerance] : {std::pair(at::kDouble, 1e-12), {at::kFloat, 1e-5}, {at::kBFloat16, 0.02}}) {
    const auto leaf = [&, to = type](const at::Tensor& x) { return x.to(to, false, true).requires_grad_(); };
    const at::Tensor a = leaf(hidden), v = leaf(weight), b = leaf(hidden), w = leaf(weight);
    emend::loss(likelihood, emend::linear_scores{emend::device_scores{there(a)}, emend::device_scores{there(v)}},
                targets, {.weight = counts, .normaliser = 1100})
        .backward();
    CHECK(calls.for_one == 0);
    emend::loss(likelihood, emend::linear_scores{b, w}, targets, {.weight = counts, .normaliser = 1100}).backward();
    calls.for_one = 0;
    CHECK(!v.grad().isnan().any().item().toBool());
    CHECK(a.grad().select(0, 7).abs().sum().item().toDouble() == 0);
    CHECK(distance(a.grad(), b.grad()) <= tolerance);
    CHECK(distance(v.grad(), w.grad()) <= tolerance);
  }
}

TEST_CASE("device loss: in place, over several chunks of rows") {
  at::manual_seed(20);
  const at::Tensor x = at::randn({700, 5003}), targets = at::randint(5003, {700}, of(at::kLong));
  loss_calls calls;
  const any_loss loss = calls.of([](const auto& t) { return t.log_prob * t.log_prob - 0.1 * t.entropy; });
  const auto gradient = [&](bool is_in_place) {
    const at::Tensor leaf = x.clone().requires_grad_(), logits = leaf * 1;
    emend::loss(loss, emend::device_scores{there(logits)}, targets, {.is_in_place = is_in_place}).backward();
    return leaf.grad();
  };
  CHECK(gradient(true).equal(gradient(false)));
  CHECK(calls.for_one == 0);
}

TEST_CASE("device loss: token by token keeps what a loss says of itself") {
  at::manual_seed(21);
  const at::Tensor x = at::randn({3, 7}, of(at::kDouble)), targets = at::tensor({1, 2, 3});
  const std::vector<double> old = {-1, -2, -3}, advantage = {1, -1, 2}, two = {1, 2};
  at::Tensor metrics;
  const emend::ppo_clip ppo{.old_log_prob = old, .advantage = advantage};
  emend::loss(emend::per_token(ppo), emend::device_scores{there(x)}, targets, {.metrics = &metrics});
  CHECK(metrics.numel() == 5);
  CHECK_THROWS_NAMING(emend::loss(emend::per_token(emend::ppo_clip{.old_log_prob = old, .advantage = two}),
                                  emend::device_scores{there(x)}, targets),
                      "advantage");
}

TEST_CASE("device statistics: what the host gives, every column, with edges, masks and transforms") {
  at::manual_seed(16);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const at::Tensor x = scores_with_edges().to(type), targets = at::randint(13, {4, 6}, of(at::kLong)),
                     mask = at::rand({4, 6}) < 0.7;
    x.select(0, 3).select(0, 1).select(0, 2).fill_(std::numeric_limits<double>::quiet_NaN());
    x.select(0, 3).select(0, 2).select(0, 2).fill_(infinite);
    const tensor_column counted(mask);
    for (const bool is_masked : {false, true}) {
      emend::statistics_options options{.transform = {.temperature = 0.8, .logit_scale = 1.5},
                                        .with_log_sum_squares = true,
                                        .with_mean_score = true,
                                        .with_arg_max = true};
      if (is_masked) options.mask = counted;
      const auto got = emend::detail::statistics_on_device({there(x)}, targets, options),
                 expected = emend::statistics(x, targets, options);
      for (const auto member :
           {&emend::statistics_tensors::log_prob, &emend::statistics_tensors::log_z, &emend::statistics_tensors::score,
            &emend::statistics_tensors::entropy, &emend::statistics_tensors::log_sum_squares,
            &emend::statistics_tensors::mean_score, &emend::statistics_tensors::max_log_prob}) {
        const at::Tensor &a = got.*member, &b = expected.*member;
        CHECK((a.scalar_type() == b.scalar_type()));
        CHECK(distance(a, b) <= (type == at::kDouble ? 1e-12 : 1e-3));
      }
      CHECK(got.arg_max.cpu().equal(expected.arg_max));
      CHECK(got.is_arg_max.cpu().equal(expected.is_arg_max));
    }
    CHECK_THROWS_NAMING(emend::detail::statistics_on_device({x}, targets + 13, {}), "targets");
    CHECK_THROWS_NAMING(emend::detail::statistics_on_device({x}, targets.narrow(1, 0, 2), {}), "targets");
    CHECK(!emend::detail::statistics_on_device({x}, targets, {}).arg_max.defined());
  }
}

TEST_CASE("device loss: on the meta device, where there is nothing to bring back") {
  const auto meta = [](at::ScalarType type) { return at::TensorOptions().dtype(type).device(at::kMeta); };
  const at::Tensor x = at::empty({3, 4, 11}, meta(at::kBFloat16)).requires_grad_(),
                   targets = at::empty({3, 4}, meta(at::kLong));
  const at::Tensor number = at::empty({3, 4}, meta(at::kFloat)), mask = at::empty({3, 4}, meta(at::kBool));
  const tensor_column old(number), advantage(number), weight(number);
  const emend::policy_objective<emend::ppo_clip> objective{
      .policy = {.old_log_prob = old, .advantage = advantage, .dual_clip = 3},
      .weight = weight,
      .kl = {.reference_log_prob = old, .coefficient = 0.1},
      .entropy_coefficient = 0.01};
  loss_calls calls;
  const any_loss any = calls.of(objective);
  at::Tensor per_token, metrics;
  emend::loss(any_measured_loss(objective, calls.for_all, calls.for_one), x, targets,
              {.mask = mask, .metrics = &metrics});
  CHECK(metrics.is_meta());
  CHECK(metrics.numel() == 6);
  const at::Tensor value = emend::loss(
      any, x, targets, {.mask = mask, .weight = number, .transform = {.soft_cap = 30}, .per_token = &per_token});
  CHECK(value.is_meta());
  CHECK(value.dim() == 0);
  CHECK(per_token.sizes() == targets.sizes());
  value.backward();
  CHECK(x.grad().is_meta());
  CHECK(x.grad().sizes() == x.sizes());
  const at::Tensor hidden = at::empty({3, 4, 5}, meta(at::kFloat)).requires_grad_(),
                   head = at::empty({11, 5}, meta(at::kFloat)).requires_grad_();
  emend::loss(any, emend::linear_scores{hidden, head}, targets, {.mask = mask}).backward();
  CHECK(hidden.grad().sizes() == hidden.sizes());
  CHECK(head.grad().is_meta());
  const auto columns =
      emend::statistics(x, targets, {.mask = weight, .with_log_sum_squares = true, .with_arg_max = true});
  CHECK(columns.log_prob.sizes() == targets.sizes());
  CHECK(columns.is_arg_max.is_meta());
  // The test can fail: here a number is asked for.
  CHECK_THROWS(
      emend::loss(calls.of([](const auto& t) { return t.log_prob < 0 ? t.log_prob : 0 * t.log_prob; }), x, targets));
}

}  // namespace
