// Losses of whole sequences where nothing returns to the host: once over tensors of all tokens, against the same token
// by token; and on the meta device.
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/head/statistics.hpp>
#include <emend/losses/a_star_po.hpp>
#include <emend/losses/gmpo.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sapo.hpp>
#include <emend/losses/sequence_level.hpp>
#include <emend/losses/vespo.hpp>

#include "other_device.hpp"
#include "throws.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace {

using emend::tensor_column;

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }

double distance(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  const at::Tensor x = a.detach().cpu().to(at::kDouble), y = b.detach().cpu().to(at::kDouble);
  if (!x.isnan().equal(y.isnan())) return std::numeric_limits<double>::infinity();
  return at::where(x == y, at::zeros_like(x), (x - y).abs()).nan_to_num(0.0, 1e300).max().item().toDouble();
}

/// Any loss of sequences behind one type, so that emend::loss is compiled once; counts who calls it.
struct any_loss {
  template <class R, class Length>
  struct calls {
    std::function<R(const emend::token<R>&)> summand;
    std::function<R(const emend::token<R>&, const R&, const Length&)> loss;
    std::function<std::array<R, 6>(const emend::token<R>&, const R&, const Length&)> metrics;
    template <class Loss>
    explicit calls(const Loss& l)
        : summand([l](const auto& t) -> R { return l.summand(t); }),
          loss([l](const auto& t, const R& s, const Length& n) -> R { return l(t, s, n); }),
          metrics([l]([[maybe_unused]] const auto& t, [[maybe_unused]] const R& s, [[maybe_unused]] const Length& n) {
            std::array<R, 6> all{};
            static_cast<void>(l);
            if constexpr (requires { l.metrics(t, s, n); }) {
              const auto some = l.metrics(t, s, n);
              for (std::size_t k = 0; k < some.size(); ++k) all[k] = some[k];
            }
            return all;
          }) {}
  };
  calls<double, emend::index> value;
  calls<emend::sequence_dual, emend::index> derivative;
  calls<emend::tensor_sequence_dual, emend::tensor_count> of_all;
  int* for_one;

  template <class Loss>
  any_loss(const Loss& l, int& count) : value(l), derivative(l), of_all(l), for_one(&count) {}
  double summand(const emend::token<double>& t) const { return ++*for_one, value.summand(t); }
  emend::sequence_dual summand(const emend::token<emend::sequence_dual>& t) const {
    return ++*for_one, derivative.summand(t);
  }
  emend::tensor_sequence_dual summand(const emend::token<emend::tensor_sequence_dual>& t) const {
    return of_all.summand(t);
  }
  double operator()(const emend::token<double>& t, double s, emend::index n) const { return value.loss(t, s, n); }
  emend::sequence_dual operator()(const emend::token<emend::sequence_dual>& t, const emend::sequence_dual& s,
                                  emend::index n) const {
    return derivative.loss(t, s, n);
  }
  emend::tensor_sequence_dual operator()(const emend::token<emend::tensor_sequence_dual>& t,
                                         const emend::tensor_sequence_dual& s, const emend::tensor_count& n) const {
    return of_all.loss(t, s, n);
  }
  std::array<double, 6> metrics(const emend::token<double>& t, double s, emend::index n) const {
    return value.metrics(t, s, n);
  }
  std::array<emend::tensor_sequence_dual, 6> metrics(const emend::token<emend::tensor_sequence_dual>& t,
                                                     const emend::tensor_sequence_dual& s,
                                                     const emend::tensor_count& n) const {
    return of_all.metrics(t, s, n);
  }
};

struct problem {
  at::Tensor x, targets, mask;
  emend::tensor_loss_options options = {};
};

/// Value, gradient, losses of the tokens and metrics: by tensors of all tokens, and token by token.
template <class Loss>
void compare(const std::string& name, const Loss& loss, const problem& p, bool is_for_all = true) {
  CAPTURE(name);
  int for_one = 0;
  const any_loss any(loss, for_one);
  const emend::tensor_layout layout(p.targets, p.mask);
  const at::Tensor a = p.x.clone().requires_grad_(), b = p.x.clone().requires_grad_();
  at::Tensor losses_a, losses_b, metrics_a, metrics_b;
  emend::tensor_loss_options options = p.options;
  options.per_token = &losses_a;
  options.metrics = &metrics_a;
  const at::Tensor got = emend::loss(any, emend::device_scores{there(a)}, p.targets, layout, options);
  CHECK((for_one == 0) == is_for_all);
  options.per_token = &losses_b;
  options.metrics = &metrics_b;
  const at::Tensor expected = emend::loss(any, b, p.targets, layout, options);
  CHECK(distance(got, expected) <= 1e-12);
  CHECK(distance(losses_a, losses_b) <= 1e-6);
  CHECK(distance(metrics_a, metrics_b) <= 1e-6);
  got.backward();
  expected.backward();
  CHECK(distance(a.grad(), b.grad()) <= 1e-12);
  CHECK(b.grad().abs().sum().item().toDouble() > 0);
}

/// Four responses of seven tokens: with a hole, short, of one token, and none at all.
struct responses {
  at::Tensor x, targets, mask, old, advantage, weight;
  responses() {
    at::manual_seed(31);
    x = at::randn({4, 7, 13}, of(at::kDouble)) * 2;
    targets = at::randint(13, {4, 7}, of(at::kLong));
    mask = at::arange(7).expand({4, 7}) < at::tensor({7, 4, 1, 0}).unsqueeze(1);
    mask.select(0, 0).select(0, 2).fill_(false);
    const at::Tensor log_prob = emend::statistics(x, targets).log_prob;
    old = log_prob + 0.05 * at::randn({4, 7}, of(at::kDouble));
    advantage = at::randn({4, 1}, of(at::kDouble)).expand({4, 7}).contiguous();
    weight = at::rand({4, 7}, of(at::kDouble));
    weight.select(0, 1).select(0, 1).fill_(0);  // no loss of its own, but a say in its sequence
    // What is masked is nobody's business.
    x.select(0, 0).select(0, 2).fill_(std::numeric_limits<double>::quiet_NaN());
    targets.select(0, 3).fill_(-100);
  }
};

TEST_CASE("device sequences: every loss of sequences gives what it gives token by token") {
  const responses r;
  const tensor_column old(r.old), advantage(r.advantage), weight(r.weight);
  const problem masked{r.x, r.targets, r.mask, {.weight = r.weight, .normaliser = 3}};
  const emend::ppo_clip ppo{.old_log_prob = old, .advantage = advantage, .clip_low = 0.02, .clip_high = 0.03};
  for (const auto ratio : {emend::sequence_ratio::mean, emend::sequence_ratio::sum})
    for (const auto gradient : {emend::ratio_gradient::sequence, emend::ratio_gradient::token})
      compare("GSPO", emend::sequence_level<emend::ppo_clip>{ppo, ratio, gradient, 0.04, 1e-8}, masked);
  compare("sequence-level SAPO", emend::sequence_level<emend::sapo>{{.old_log_prob = old, .advantage = advantage}},
          masked);
  compare("GMPO",
          emend::gmpo{
              .old_log_prob = old, .advantage = advantage, .clip_low = 0.03, .clip_high = 0.04, .length_epsilon = 1e-8},
          masked);
  compare("GMPO of own advantages",
          emend::gmpo{.old_log_prob = old, .advantage = weight, .sequence_advantage = advantage}, masked);
  for (const auto weighting : {emend::kl_weighting::none, emend::kl_weighting::ratio})
    compare("the whole objective",
            emend::policy_objective<emend::sequence_level<emend::ppo_clip>>{
                .policy = {ppo},
                .weight = weight,
                .kl = {.reference_log_prob = old, .coefficient = 0.1, .weighting = weighting, .old_log_prob = old},
                .entropy_coefficient = 0.01},
            {r.x, r.targets, r.mask});
  compare("VESPO", emend::vespo{.old_log_prob = old, .advantage = advantage}, masked);
  compare("A*-PO", emend::a_star_po{.reference_log_prob = old, .advantage = advantage}, masked);
  // A mask of the call beside the layout's.
  compare("two masks", emend::sequence_level<emend::ppo_clip>{ppo},
          {r.x, r.targets, r.mask, {.mask = at::rand({4, 7}) < 0.7}});
  compare("the call's mask", emend::sequence_level<emend::ppo_clip>{ppo}, {r.x, r.targets, {}, {.mask = r.mask}});
}

struct centered {
  auto summand(const auto& t) const { return t.log_prob * t.entropy; }
  auto operator()(const auto& t, const auto& summary, const auto& length) const {
    return emend::square(t.log_prob - summary / emend::as_number(length)) + 0.1 * t.entropy;
  }
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
struct with_length {
  auto summand(const auto& t) const { return t.log_prob; }
  auto operator()(const auto& t, const auto& summary, const auto& length) const {
    return t.log_prob * summary / length;
  }
};
#pragma GCC diagnostic pop

struct with_index {
  auto summand(const auto& t) const { return t.log_prob; }
  auto operator()(const auto& t, const auto& summary, emend::index length) const {
    return t.log_prob * summary / static_cast<double>(length);
  }
};

struct branching {
  auto summand(const auto& t) const { return t.log_prob; }
  auto operator()(const auto& t, const auto& summary, const auto& length) const {
    return t.log_prob < -2 ? 2 * t.log_prob : summary / emend::as_number(length);
  }
};

TEST_CASE("device sequences: the user's own, and what goes through the host") {
  const responses r;
  const problem masked{r.x, r.targets, r.mask};
  compare("own", centered{}, masked);
  compare("the length itself", with_length{}, masked);
  compare("a length of the host", with_index{}, masked, false);
  compare("a branch", branching{}, masked, false);
  const at::Tensor a = r.x.clone().requires_grad_(), b = r.x.clone().requires_grad_();
  const emend::tensor_layout layout(r.targets, r.mask);
  emend::loss(emend::per_token(centered{}), emend::device_scores{there(a)}, r.targets, layout).backward();
  emend::loss(centered{}, b, r.targets, layout).backward();
  CHECK(distance(a.grad(), b.grad()) < 1e-12);
  at::Tensor metrics, expected;
  const tensor_column old(r.old), advantage(r.advantage);
  const emend::sequence_level<emend::ppo_clip> gspo{
      {.old_log_prob = old, .advantage = advantage, .clip_low = 0.02, .clip_high = 0.03}};
  emend::loss(emend::per_token(gspo), emend::device_scores{there(r.x)}, r.targets, layout, {.metrics = &metrics});
  emend::loss(gspo, r.x, r.targets, layout, {.metrics = &expected});
  CHECK(metrics.numel() == 5);
  CHECK(distance(metrics, expected) < 1e-6);
  // Layouts of the host.
  const std::vector<int> offsets{0, 5, 28};
  const at::Tensor targets = r.targets.clamp_min(0), x = r.x.nan_to_num();
  const at::Tensor c = x.clone().requires_grad_(), d = x.clone().requires_grad_();
  emend::loss(centered{}, emend::device_scores{there(c)}, targets, emend::ragged(offsets)).backward();
  emend::loss(centered{}, d, targets, emend::ragged(offsets)).backward();
  CHECK(distance(c.grad(), d.grad()) < 1e-12);
  CHECK_THROWS_NAMING(emend::loss(centered{}, emend::device_scores{there(c)}, targets, emend::padded(4, 6)), "targets");
  const std::vector<double> two{1, 2};
  CHECK_THROWS_NAMING(emend::loss(emend::gmpo{.old_log_prob = two, .advantage = two}, emend::device_scores{there(c)},
                                  targets, emend::padded(4, 7)),
                      "old_log_prob");
}

TEST_CASE("device sequences: scores that are never stored, on the host and by operations") {
  const responses r;
  at::manual_seed(33);
  const at::Tensor hidden = at::randn({4, 7, 5}, of(at::kDouble)), weight = at::randn({13, 5}, of(at::kDouble)),
                   targets = r.targets.clamp_min(0);
  const emend::tensor_layout layout(targets, r.mask);
  const tensor_column old(r.old), advantage(r.advantage);
  const emend::sequence_level<emend::ppo_clip> gspo{
      {.old_log_prob = old, .advantage = advantage, .clip_low = 30, .clip_high = 30}};
  std::vector<at::Tensor> values, of_hidden, of_weight;
  for (const int way : {0, 1, 2}) {
    const at::Tensor h = hidden.clone().requires_grad_(), w = weight.clone().requires_grad_();
    const at::Tensor value =
        way == 0 ? emend::loss(gspo, h.matmul(w.t()), targets, layout)
        : way == 1
            ? emend::loss(gspo, emend::linear_scores{h, w}, targets, layout)
            : emend::loss(gspo, emend::linear_scores{emend::device_scores{there(h)}, emend::device_scores{there(w)}},
                          targets, layout);
    value.backward();
    values.push_back(value);
    of_hidden.push_back(h.grad());
    of_weight.push_back(w.grad());
  }
  CHECK(of_weight[0].abs().max().item().toDouble() > 0);
  for (std::size_t way = 1; way < 3; ++way) {
    CHECK(distance(values[way], values[0]) < 1e-12);
    CHECK(distance(of_hidden[way], of_hidden[0]) < 1e-11);
    CHECK(distance(of_weight[way], of_weight[0]) < 1e-11);
  }
  CHECK_THROWS_NAMING(emend::loss(gspo, emend::linear_scores{hidden, weight}, targets, layout, {.is_in_place = true}),
                      "is_in_place");
}

TEST_CASE("device sequences: on the meta device, where there is nothing to bring back") {
  const auto meta = [](at::ScalarType type) { return at::TensorOptions().dtype(type).device(at::kMeta); };
  const at::Tensor x = at::empty({3, 4, 11}, meta(at::kBFloat16)).requires_grad_(),
                   targets = at::empty({3, 4}, meta(at::kLong)), number = at::empty({3, 4}, meta(at::kFloat)),
                   mask = at::empty({3, 4}, meta(at::kBool));
  const tensor_column old(number), advantage(number), weight(number);
  const emend::policy_objective<emend::sequence_level<emend::ppo_clip>> objective{
      .policy = {{.old_log_prob = old, .advantage = advantage}},
      .weight = weight,
      .kl = {.reference_log_prob = old, .coefficient = 0.1}};
  int for_one = 0;
  at::Tensor metrics;
  const at::Tensor value = emend::loss(any_loss(objective, for_one), x, targets, emend::tensor_layout(targets, mask),
                                       {.mask = mask, .metrics = &metrics});
  value.backward();
  CHECK(x.grad().is_meta());
  CHECK(metrics.is_meta());
  CHECK(for_one == 0);
}

}  // namespace
