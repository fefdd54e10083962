// emend::loss as a node of autograd: against torch's own operations, through a model, in place, and where it refuses.
#include <emend/libtorch/loss.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include "throws.hpp"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/min.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>

#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

namespace {

using emend::tensor_column;

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }
at::Tensor leaf(at::IntArrayRef shape, at::ScalarType type) {
  return (at::randn(shape, of(at::kDouble)) * 2).to(type).requires_grad_();
}
at::Tensor ids(at::IntArrayRef shape, std::int64_t vocab) { return at::randint(vocab, shape, of(at::kLong)); }
double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item().toDouble();
}
double value_of(const at::Tensor& x) { return x.item().toDouble(); }

/// Log-probabilities of the targets and entropies, as the op chains of the peers write them.
struct peer_columns {
  at::Tensor log_prob, entropy;
};
peer_columns peer(const at::Tensor& logits, const at::Tensor& targets) {
  const at::Tensor all = at::log_softmax(logits.to(logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat), -1);
  return {all.gather(-1, targets.unsqueeze(-1)).squeeze(-1), -(all.exp() * all).sum(-1)};
}

TEST_CASE("loss: leading dimensions that two strides do not describe") {
  at::manual_seed(3);
  const at::Tensor x = leaf({4, 3, 2, 7}, at::kDouble), turned = x.permute({2, 1, 0, 3}), targets = ids({2, 3, 4}, 7);
  const at::Tensor y = x.detach().clone().requires_grad_(), plain = y.permute({2, 1, 0, 3}).contiguous();
  const auto mine = [](const auto& t) { return emend::square(t.log_prob) - t.entropy; };
  const at::Tensor got = emend::loss(mine, turned, targets), expected = emend::loss(mine, plain, targets);
  got.backward();
  expected.backward();
  CHECK(value_of(got) == value_of(expected));
  CHECK(x.grad().equal(y.grad()));
  CHECK_THROWS_NAMING(emend::loss(mine, turned, targets, {.is_in_place = true}), "gradient");
}

TEST_CASE("loss: value and gradient are those of torch's own autograd, for every dtype and leading shape") {
  at::manual_seed(1);
  const auto mine = [](const auto& t) { return 0.5 * emend::square(t.log_prob) - 0.1 * t.entropy; };
  std::vector<std::pair<std::vector<std::int64_t>, bool>> all_shapes;
  for (const std::vector<std::int64_t>& lead : {std::vector<std::int64_t>{}, {5}, {2, 3}, {2, 1, 3}, {0}, {1}})
    for (const bool is_by_chain : {false, true}) all_shapes.emplace_back(lead, is_by_chain);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (const auto& [lead, is_by_chain] : all_shapes) {
      std::vector<std::int64_t> shape = lead;
      shape.push_back(11);
      const at::Tensor x = leaf(shape, type), y = x.detach().clone().requires_grad_(), targets = ids(lead, 11);
      const at::Tensor got = is_by_chain ? emend::loss(mine, emend::device_scores{x}, targets, {.normaliser = 3})
                                         : emend::loss(mine, x, targets, {.normaliser = 3});
      CHECK(got.dim() == 0);
      CHECK((got.scalar_type() == (type == at::kDouble ? at::kDouble : at::kFloat)));
      const peer_columns columns = peer(y, targets);
      const at::Tensor expected = (0.5 * columns.log_prob.square() - 0.1 * columns.entropy).sum() / 3;
      CHECK(value_of(got) == doctest::Approx(value_of(expected)).epsilon(type == at::kDouble ? 1e-12 : 1e-5));
      got.backward();
      expected.backward();
      REQUIRE(x.grad().defined());
      CHECK(x.grad().sizes() == x.sizes());
      CHECK((x.grad().scalar_type() == type));
      CHECK(largest_difference(x.grad(), y.grad()) <= (type == at::kDouble ? 1e-12 : type == at::kFloat ? 2e-6 : 1e-2));
    }
}

TEST_CASE("loss: transposed, sliced and expanded logits, and gradients that flow into what made them") {
  at::manual_seed(2);
  const auto compare = [](const at::Tensor& weight, const auto& logits_of, const at::Tensor& targets) {
    const at::Tensor a = weight.clone().requires_grad_(), b = weight.clone().requires_grad_();
    emend::loss(emend::cross_entropy{}, logits_of(a), targets).backward();
    (-peer(logits_of(b), targets).log_prob.sum()).backward();
    CHECK(largest_difference(a.grad(), b.grad()) < 1e-11);
  };
  const at::Tensor x = at::randn({2, 4, 9}, of(at::kDouble));
  compare(x, [](const at::Tensor& w) { return w.transpose(0, 1); }, ids({4, 2}, 9));
  compare(x, [](const at::Tensor& w) { return w.slice(1, 0, 3); }, ids({2, 3}, 9));
  compare(x, [](const at::Tensor& w) { return w.slice(2, 0, 9, 2); }, ids({2, 4}, 5));
  compare(x, [](const at::Tensor& w) { return w.transpose(1, 2); }, ids({2, 9}, 4));
  compare(x, [](const at::Tensor& w) { return w.select(0, 1).unsqueeze(0).expand({3, 4, 9}); }, ids({3, 4}, 9));
  compare(x, [](const at::Tensor& w) { return w.slice(1, 1, 2).expand({2, 6, 9}); }, ids({2, 6}, 9));
  compare(x, [](const at::Tensor& w) { return w.slice(2, 3, 4).expand({2, 4, 6}); }, ids({2, 4}, 6));
  compare(
      at::randn({2, 3, 4, 5}, of(at::kDouble)),
      [](const at::Tensor& w) { return w.permute({2, 0, 1, 3}).slice(1, 0, 2); }, ids({4, 2, 3}, 5));
  // A model: two layers and a soft cap.
  const at::Tensor states = at::randn({6, 7}, of(at::kDouble)), last = at::randn({7, 13}, of(at::kDouble));
  compare(
      at::randn({7, 7}, of(at::kDouble)),
      [&](const at::Tensor& w) { return 3 * at::tanh(at::matmul(at::tanh(at::matmul(states, w)), last) / 3); },
      ids({6}, 13));
}

TEST_CASE("loss: PPO's clip with tensors for columns, mask and weight, in the dtypes that trainers keep them in") {
  at::manual_seed(3);
  const at::Tensor x = leaf({3, 4, 17}, at::kFloat), y = x.detach().clone().requires_grad_(), targets = ids({3, 4}, 17);
  const at::Tensor mask = at::tensor({1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1}).view({3, 4}).to(at::kBool),
                   weight = at::randn({4, 3}, of(at::kFloat)).t();
  const at::Tensor old = (peer(x.detach(), targets).log_prob + 0.4 * at::randn({3, 4})).to(at::kBFloat16),
                   advantage = at::randn({3, 4}, of(at::kHalf));
  const tensor_column old_log_prob(old, "old_log_prob"), advantages(advantage, "advantage");
  at::Tensor per_token, metrics;
  const emend::ppo_clip ppo{.old_log_prob = old_log_prob, .advantage = advantages};
  const at::Tensor got = emend::loss(
      ppo, x, targets, {.mask = mask, .weight = weight, .normaliser = 7, .per_token = &per_token, .metrics = &metrics});
  const at::Tensor ratio = (peer(y, targets).log_prob - old.to(at::kFloat)).exp(), a = advantage.to(at::kFloat);
  const at::Tensor each = -at::min(ratio * a, ratio.clamp(0.8, 1.2) * a);
  const at::Tensor expected = (each * weight * mask.to(at::kFloat)).sum() / 7;
  CHECK(value_of(got) == doctest::Approx(value_of(expected)).epsilon(1e-5));
  CHECK(largest_difference(per_token, each.masked_fill(mask.logical_not(), 0)) < 1e-5);
  CHECK(metrics.numel() == 5);
  got.backward();
  expected.backward();
  CHECK(largest_difference(x.grad(), y.grad()) < 2e-6);
  for (int i = 0; i < 12; ++i)
    if (!mask.view({-1})[i].item().toBool()) CHECK(x.grad().view({12, 17})[i].abs().sum().item().toDouble() == 0);
}

TEST_CASE("loss: outer factors, accumulation, a graph that is kept") {
  at::manual_seed(4);
  const at::Tensor targets = ids({5}, 9), x = leaf({5, 9}, at::kDouble);
  emend::loss(emend::cross_entropy{}, x, targets).backward();
  const at::Tensor once = x.grad().clone();
  const auto gradient = [&](const auto& run) {
    x.mutable_grad() = at::Tensor();
    run();
    return x.grad();
  };
  CHECK(largest_difference(gradient([&] { (3 * emend::loss(emend::cross_entropy{}, x, targets)).backward(); }),
                           3 * once) < 1e-13);
  CHECK(largest_difference(gradient([&] {
                             emend::loss(emend::cross_entropy{}, x, targets, {.normaliser = 2}).backward();
                             (emend::loss(emend::cross_entropy{}, x, targets) * -0.25).backward();
                           }),
                           0.25 * once) < 1e-13);
  CHECK(largest_difference(gradient([&] {
                             const at::Tensor value = emend::loss(emend::cross_entropy{}, x, targets);
                             value.backward({}, true);
                             value.backward({}, true);
                             value.backward();
                           }),
                           3 * once) < 1e-13);
  const at::Tensor value = emend::loss(emend::cross_entropy{}, x, targets);
  value.backward();
  CHECK_THROWS(value.backward());  // the graph is gone, as any of torch's
}

TEST_CASE("loss: without a gradient wanted, none is there") {
  at::manual_seed(5);
  const at::Tensor x = at::randn({5, 9}), targets = ids({5}, 9);
  CHECK(!emend::loss(emend::cross_entropy{}, x, targets).requires_grad());
  const at::Tensor y = x.clone().requires_grad_();
  {
    const at::NoGradGuard no_graph;
    CHECK(!emend::loss(emend::cross_entropy{}, y, targets).requires_grad());
  }
  CHECK(value_of(emend::loss(emend::cross_entropy{}, x, targets)) ==
        value_of(emend::loss(emend::cross_entropy{}, y, targets)));
}

TEST_CASE(
    "loss: in place the gradient takes the logits' memory, has the same bits, and autograd refuses what was saved") {
  at::manual_seed(6);
  const at::Tensor states = at::randn({6, 5}), targets = ids({6}, 50), weight = at::randn({5, 50});
  const at::Tensor a = weight.clone().requires_grad_(), b = weight.clone().requires_grad_();
  emend::loss(emend::cross_entropy{}, at::matmul(states, a), targets).backward();
  const at::Tensor logits = at::matmul(states, b);
  const at::Tensor value = emend::loss(emend::cross_entropy{}, logits, targets, {.is_in_place = true});
  CHECK(largest_difference(logits.detach().sum(-1), at::zeros({6})) < 1e-5);  // a gradient's rows sum to 0
  value.backward();
  CHECK(a.grad().equal(b.grad()));
  // tanh keeps its output for its own derivative.
  const at::Tensor c = weight.clone().requires_grad_(), capped = at::tanh(at::matmul(states, c));
  const at::Tensor overwritten = emend::loss(emend::cross_entropy{}, capped, targets, {.is_in_place = true});
  CHECK_THROWS(overwritten.backward());
  CHECK_THROWS_NAMING(emend::loss(emend::cross_entropy{}, at::randn({1, 50}).requires_grad_().expand({6, 50}), targets,
                                  {.is_in_place = true}),
                      "gradient");
}

TEST_CASE("loss: a second derivative is refused, the first under create_graph is not") {
  at::manual_seed(7);
  const at::Tensor x = leaf({4, 6}, at::kDouble), targets = ids({4}, 6);
  const at::Tensor value = emend::loss(emend::cross_entropy{}, x, targets);
  const at::Tensor gradient = torch::autograd::grad({value}, {x}, {}, true, true)[0];
  CHECK(gradient.requires_grad());
  CHECK(largest_difference(gradient, torch::autograd::grad({value}, {x})[0]) == 0);
  std::string message;
  try {
    gradient.square().sum().backward();
  } catch (const std::exception& error) {
    message = error.what();
  }
  CHECK_MESSAGE(message.find("expected a first derivative, got a second one") != std::string::npos, message);
}

TEST_CASE("loss over hidden states and weight: both gradients") {
  at::manual_seed(8);
  for (const auto& [type, is_by_chain] : {std::pair{at::kFloat, false},
                                          {at::kDouble, false},
                                          {at::kBFloat16, false},
                                          {at::kFloat, true},
                                          {at::kDouble, true},
                                          {at::kBFloat16, true}}) {
    const at::Tensor hidden = leaf({2, 3, 8}, type), weight = leaf({19, 8}, type), targets = ids({2, 3}, 19);
    const at::Tensor other_hidden = hidden.detach().clone().requires_grad_(),
                     other_weight = weight.detach().clone().requires_grad_();
    const auto mine = [](const auto& t) { return -t.log_prob - 0.3 * t.entropy; };
    const emend::device_scores states{hidden}, rows{weight};
    const at::Tensor got = is_by_chain ? emend::loss(mine, emend::linear_scores{states, rows}, targets)
                                       : emend::loss(mine, emend::linear_scores{hidden, weight}, targets);
    const auto columns = peer(at::matmul(other_hidden.to(at::kDouble), other_weight.to(at::kDouble).t()), targets);
    const at::Tensor expected = -columns.log_prob.sum() - 0.3 * columns.entropy.sum();
    const double bar = type == at::kDouble ? 1e-10 : type == at::kFloat ? 1e-4 : 2e-1;
    CHECK(std::abs(value_of(got) - value_of(expected)) < bar);
    (2 * got).backward();
    (2 * expected).backward();
    CHECK(hidden.grad().sizes() == hidden.sizes());
    CHECK(largest_difference(hidden.grad(), other_hidden.grad()) < bar);
    CHECK(largest_difference(weight.grad(), other_weight.grad()) < bar);
  }
  const at::Tensor hidden = leaf({3, 8}, at::kDouble), frozen = at::randn({19, 8}, of(at::kDouble)),
                   targets = ids({3}, 19);
  emend::loss(emend::cross_entropy{}, emend::linear_scores{hidden, frozen}, targets).backward();
  const emend::device_scores states{hidden}, misfit{at::randn({19, 7}, of(at::kDouble))};
  CHECK_THROWS_NAMING(emend::loss(emend::cross_entropy{}, emend::linear_scores{states, misfit}, targets),
                      "linear_scores");
  CHECK(hidden.grad().defined());
  CHECK(!frozen.grad().defined());
}

TEST_CASE("loss of sequences and of trajectories") {
  at::manual_seed(9);
  const at::Tensor x = leaf({2, 3, 7}, at::kDouble), targets = ids({2, 3}, 7),
                   mask = at::tensor({1, 1, 0, 1, 1, 1}).view({2, 3});
  const at::Tensor old = at::randn({2, 3}, of(at::kDouble)) - 2, advantage = at::randn({2, 3}, of(at::kDouble));
  const tensor_column old_log_prob(old), advantages(advantage);
  const emend::ppo_clip ppo{.old_log_prob = old_log_prob, .advantage = advantages};
  const emend::tensor_layout layout(targets, mask);
  const emend::sequence_level<emend::ppo_clip> sequence{ppo};
  emend::loss(sequence, x, targets, layout).backward();
  const auto expected = emend::evaluate_sequences(sequence, x.detach(), tensor_column(targets), layout);
  CHECK(largest_difference(x.grad(), expected.gradient) == 0);
  {
    const at::NoGradGuard no_graph;
    CHECK(value_of(emend::loss(sequence, x, targets, layout)) == expected.value);
  }

  const std::vector<int> offsets{0, 3, 6}, at{0, 1, 2, 3, 4, 5}, label{1, 2, -1, 0, 3, -1}, is_rollout{0, 1};
  const emend::trajectory_columns columns{.offsets = offsets, .at = at, .label = label, .is_rollout = is_rollout};
  const emend::sequence_match_objective<> objective;
  const at::Tensor y = leaf({6, 7}, at::kDouble);
  emend::trajectory_value parts;
  const at::Tensor value = emend::loss(objective, y, columns, {}, &parts);
  CHECK(value_of(value) == parts.value);
  value.backward();
  CHECK(largest_difference(y.grad(), emend::evaluate_trajectories(objective, y.detach(), columns).gradient) == 0);
}

TEST_CASE("loss: what is wrong is named") {
  at::manual_seed(10);
  const at::Tensor x = leaf({2, 3, 5}, at::kFloat), targets = ids({2, 3}, 5);
  const emend::cross_entropy loss;
  CHECK_THROWS_NAMING(emend::loss(loss, at::Tensor(), targets), "scores");
  CHECK_THROWS_NAMING(emend::loss(loss, x, at::Tensor()), "targets");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets.to(at::kFloat)), "targets");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets.t()), "targets");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets.slice(1, 0, 2)), "targets");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets + 5), "targets");
  CHECK_THROWS_NAMING(emend::loss(loss, x.detach().to(at::kLong), targets), "scores");
  CHECK_THROWS_NAMING(emend::loss(loss, x.detach().sum(), targets), "scores");
  CHECK_THROWS_NAMING(emend::loss(loss, x.detach().to_sparse(), targets), "scores");
  CHECK_THROWS_NAMING(emend::loss(loss, at::randn({6, 0}), targets.view({-1})), "scores");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets, {.mask = at::ones({3, 2})}), "mask");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets, {.weight = at::ones({7})}), "weight");
  CHECK_THROWS_NAMING(emend::loss(loss, x, targets, {.normaliser = 0}), "normaliser");
  CHECK_THROWS_NAMING(emend::loss(loss, emend::linear_scores{x, at::randn({9, 4})}, targets), "linear_scores");
  const at::Tensor weight = at::randn({9, 5});
  CHECK_THROWS_NAMING(emend::loss(loss, emend::linear_scores{x, weight}, targets, {.is_in_place = true}),
                      "is_in_place");
  const at::Tensor elsewhere = at::empty({6, 5}, at::TensorOptions().device(at::kMeta));
  CHECK_THROWS_NAMING(emend::evaluate(loss, elsewhere, std::vector<int>(6)), "scores");
}

}  // namespace
