// emend::loss as a node of autograd: against torch's own operations, through a model, in place, and where it refuses.
#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/head/statistics.hpp>
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
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

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

/// The message of what a call throws, or a sentence that nothing was thrown.
template <class F>
std::string message_of(const F& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}
/// What a second derivative must say, however it is asked for.
template <class F>
void check_refuses_second(const F& call) {
  const std::string message = message_of(call);
  CHECK_MESSAGE(message.find("expected a first derivative, got a second one") != std::string::npos, message);
}

TEST_CASE("loss: the error of a second derivative lies on every way back from the gradient") {
  at::manual_seed(17);
  using torch::autograd::grad;
  const at::Tensor x = leaf({4, 6}, at::kDouble), targets = ids({4}, 6);
  for (const bool is_by_chain : {false, true}) {
    const at::Tensor value = is_by_chain ? emend::loss(emend::cross_entropy{}, emend::device_scores{x}, targets)
                                         : emend::loss(emend::cross_entropy{}, x, targets);
    const at::Tensor gradient = grad({value}, {x}, {}, true, true)[0];
    CHECK(gradient.grad_fn());
    check_refuses_second([&] { grad({gradient.sum()}, {x}, {}, true, false, true); });
    check_refuses_second([&] { grad({gradient[0][0]}, {x}, {}, true, true, true); });  // as the rows of a Hessian
  }
  // Through what made the logits, and through a part of them.
  const at::Tensor weight = leaf({6, 5}, at::kDouble), states = at::randn({4, 5}, of(at::kDouble));
  const at::Tensor through = emend::loss(emend::cross_entropy{}, at::matmul(states, weight.t()), targets);
  const at::Tensor of_weight = grad({through}, {weight}, {}, true, true)[0];
  check_refuses_second([&] { grad({of_weight.square().sum()}, {weight}, {}, true, false, true); });
  // A factor: the first derivative is there, with respect to the factor, too; what depends on both is refused.
  const at::Tensor factor = at::full({}, 3.0, of(at::kDouble)).requires_grad_();
  const at::Tensor value = emend::loss(emend::cross_entropy{}, x, targets), scaled = factor * value;
  const auto first = grad({scaled}, {x, factor}, {}, true, true);
  CHECK(largest_difference(first[0], 3 * grad({value}, {x}, {}, true)[0]) < 1e-14);
  CHECK(value_of(first[1]) == value_of(value));
  check_refuses_second([&] { grad({first[0].sum()}, {factor}, {}, true, false, true); });
  check_refuses_second([&] { grad({first[0].sum()}, {x}, {}, true, false, true); });
  // With respect to the factor alone, x gives its first derivative.
  CHECK(largest_difference(grad({first[1]}, {x}, {}, true)[0], grad({value}, {x}, {}, true)[0]) == 0);
  // The loss of a square: what is left of the second derivative without the loss's own would be wrong.
  const at::Tensor square = emend::square(2.0) * value * value;
  const at::Tensor of_square = grad({square}, {x}, {}, true, true)[0];
  check_refuses_second([&] { grad({of_square.sum()}, {x}, {}, true, false, true); });

  const at::Tensor hidden = leaf({4, 5}, at::kDouble), head = leaf({6, 5}, at::kDouble);
  for (const bool is_by_chain : {false, true}) {
    const emend::device_scores a{hidden}, b{head};
    const at::Tensor product = is_by_chain
                                   ? emend::loss(emend::cross_entropy{}, emend::linear_scores{a, b}, targets)
                                   : emend::loss(emend::cross_entropy{}, emend::linear_scores{hidden, head}, targets);
    const auto both = grad({product}, {hidden, head}, {}, true, true);
    for (const at::Tensor& g : both)
      for (const at::Tensor& by : {hidden, head})
        check_refuses_second([&] { grad({g.sum()}, {by}, {}, true, false, true); });
  }
  // One factor alone wants a gradient.
  const at::Tensor frozen = head.detach();
  const at::Tensor half = emend::loss(emend::cross_entropy{}, emend::linear_scores{hidden, frozen}, targets);
  const at::Tensor of_hidden = grad({half}, {hidden}, {}, true, true)[0];
  check_refuses_second([&] { grad({of_hidden.sum()}, {hidden}, {}, true, false, true); });
}

TEST_CASE("loss: an ignored target is a masked token, on the host and by operations") {
  at::manual_seed(18);
  const at::Tensor targets = ids({2, 4}, 7), counted = at::tensor({1, 1, 0, 1, 0, 1, 1, 1}).view({2, 4});
  const at::Tensor labels = targets.masked_fill(counted == 0, -100);
  const at::Tensor weight = at::rand({2, 4}, of(at::kDouble)),
                   other = at::tensor({1, 0, 1, 1, 1, 1, 1, 1}).view({2, 4});
  const auto mine = [](const auto& t) { return emend::square(t.log_prob) - 0.2 * t.entropy; };
  const auto compare = [&](const auto& value_over, std::int64_t last) {
    const at::Tensor a = leaf({2, 4, last}, at::kDouble), b = a.detach().clone().requires_grad_();
    at::Tensor per_token, per_token_masked, metrics, metrics_masked;
    const at::Tensor got = value_over(a, labels,
                                      emend::tensor_loss_options{.mask = other,
                                                                 .weight = weight,
                                                                 .ignore_id = -100,
                                                                 .normaliser = 3,
                                                                 .per_token = &per_token,
                                                                 .metrics = &metrics});
    const at::Tensor expected = value_over(b, targets,
                                           emend::tensor_loss_options{.mask = other * counted,
                                                                      .weight = weight,
                                                                      .normaliser = 3,
                                                                      .per_token = &per_token_masked,
                                                                      .metrics = &metrics_masked});
    CHECK(value_of(got) == doctest::Approx(value_of(expected)).epsilon(1e-14));
    CHECK(value_of(expected) != 0);
    got.backward();
    expected.backward();
    CHECK(largest_difference(a.grad(), b.grad()) < 1e-15);
    CHECK(largest_difference(a.grad()[0][2], at::zeros({last})) == 0);
    CHECK(largest_difference(a.grad(), at::zeros_like(a)) > 0);
    CHECK(largest_difference(per_token, per_token_masked) < 1e-6);
    CHECK(largest_difference(metrics, metrics_masked) < 1e-6);
  };
  compare([&](const at::Tensor& x, const at::Tensor& y, const auto& o) { return emend::loss(mine, x, y, o); }, 7);
  compare([&](const at::Tensor& x, const at::Tensor& y,
              const auto& o) { return emend::loss(mine, emend::device_scores{x}, y, o); },
          7);
  const at::Tensor head = at::randn({7, 5}, of(at::kDouble));
  compare([&](const at::Tensor& x, const at::Tensor& y,
              const auto& o) { return emend::loss(mine, emend::linear_scores{x, head}, y, o); },
          5);
  compare(
      [&](const at::Tensor& x, const at::Tensor& y, const auto& o) {
        const emend::device_scores states{x}, rows{head};
        return emend::loss(mine, emend::linear_scores{states, rows}, y, o);
      },
      5);
  const at::Tensor old = at::randn({2, 4}, of(at::kDouble)) - 2, advantage = at::randn({2, 4}, of(at::kDouble));
  const emend::ppo_clip ppo{.old_log_prob = tensor_column(old), .advantage = tensor_column(advantage)};
  const emend::sequence_level<emend::ppo_clip> sequence{ppo};
  const emend::tensor_layout layout(targets, at::tensor({1, 1, 1, 1, 1, 1, 1, 0}).view({2, 4}));
  compare(
      [&](const at::Tensor& x, const at::Tensor& y, const auto& o) { return emend::loss(sequence, x, y, layout, o); },
      7);
  compare([&](const at::Tensor& x, const at::Tensor& y,
              const auto& o) { return emend::loss(sequence, emend::device_scores{x}, y, layout, o); },
          7);
  compare([&](const at::Tensor& x, const at::Tensor& y, const auto& o) { return emend::loss(ppo, x, y, o); }, 7);
  compare([&](const at::Tensor& x, const at::Tensor& y,
              const auto& o) { return emend::loss(ppo, emend::device_scores{x}, y, o); },
          7);
  // Only that id: any other that is none is an error, and -100 is one where nothing says otherwise.
  const at::Tensor x = at::randn({2, 4, 7});
  CHECK_THROWS_NAMING(emend::loss(mine, x, labels), "targets");
  CHECK_THROWS_NAMING(emend::loss(mine, x, labels, {.ignore_id = -1}), "targets");
  CHECK_THROWS_NAMING(emend::loss(mine, emend::device_scores{x}, labels, {.ignore_id = -1}), "targets");
  // An id of the vocabulary may be the one.
  const std::int64_t padding = targets[0][0].item().toLong();
  for (const bool is_by_chain : {false, true}) {
    const auto value = [&](const emend::tensor_loss_options& options) {
      return value_of(is_by_chain ? emend::loss(mine, emend::device_scores{x}, targets, options)
                                  : emend::loss(mine, x, targets, options));
    };
    CHECK(value({.ignore_id = padding}) == doctest::Approx(value({.mask = targets != padding})).epsilon(1e-14));
  }
  // Statistics of an ignored row are those of a masked one.
  const emend::statistics_tensors host = emend::statistics(x, labels, {.ignore_id = -100, .with_arg_max = true}),
                                  chain = emend::detail::statistics_on_device(
                                      {x}, labels, {.ignore_id = -100, .with_arg_max = true});
  for (const emend::statistics_tensors* of : {&host, &chain}) {
    CHECK(value_of(of->log_prob[0][2]) == 0);
    CHECK(value_of(of->entropy[1][0]) == 0);
    CHECK(of->arg_max[0][2].item().toLong() == -1);
    CHECK(value_of(of->log_prob[0][3]) < 0);
  }
  CHECK(largest_difference(host.log_prob, chain.log_prob) < 1e-6);
}

TEST_CASE("loss: a mask or weight of one number a sequence holds at each of its tokens") {
  at::manual_seed(19);
  const at::Tensor targets = ids({2, 3}, 5), x = at::randn({2, 3, 5}, of(at::kDouble)),
                   weight = at::tensor({2.0, -0.5}, of(at::kDouble)), mask = at::tensor({0, 1});
  const auto mine = [](const auto& t) { return -t.log_prob; };
  for (const bool is_by_chain : {false, true}) {
    const auto value = [&](const emend::tensor_loss_options& options) {
      return value_of(is_by_chain ? emend::loss(mine, emend::device_scores{x}, targets, options)
                                  : emend::loss(mine, x, targets, options));
    };
    const double expected =
        value({.weight = at::tensor({2.0, 2.0, 2.0, -0.5, -0.5, -0.5}, of(at::kDouble)).view({2, 3})});
    CHECK(value({.weight = weight}) == expected);
    CHECK(value({.weight = weight.view({2, 1})}) == expected);
    CHECK(value({.weight = at::tensor({2.0, 2.0, 2.0, -0.5, -0.5, -0.5}, of(at::kDouble))}) == expected);  // in order
    CHECK(value({.weight = at::tensor({2.0, 3.0, 2.0, -0.5, -0.5, -0.5}, of(at::kDouble)).view({2, 3})}) != expected);
    const double second = value({.mask = at::tensor({0, 0, 0, 1, 1, 1}).view({2, 3})});
    CHECK(value({.mask = mask}) == second);
    CHECK(value({.mask = mask.view({2, 1})}) == second);
    for (const at::Tensor& wrong :
         {at::ones({3}), at::ones({1, 3}), at::ones({3, 2}), at::ones({2, 3, 1}), at::ones({1})})
      CHECK_THROWS_NAMING(value({.weight = wrong}), "weight");
    CHECK_THROWS_NAMING(value({.mask = at::ones({3})}), "mask");
  }
  // Of as many sequences as tokens, [2] could be meant by position.
  const at::Tensor square = ids({2, 2}, 5), y = at::randn({2, 2, 5}, of(at::kDouble));
  CHECK_THROWS_NAMING(emend::loss(mine, y, square, {.weight = weight}), "weight");
  CHECK(value_of(emend::loss(mine, y, square, {.weight = weight.view({2, 1})})) ==
        value_of(emend::loss(mine, y, square,
                             {.weight = at::tensor({2.0, 2.0, -0.5, -0.5}, of(at::kDouble)).view({2, 2})})));
  const at::Tensor one = ids({1, 3}, 5), z = at::randn({1, 3, 5}, of(at::kDouble));
  CHECK(value_of(emend::loss(mine, z, one, {.weight = at::full({1}, 2.0)})) == 2 * value_of(emend::loss(mine, z, one)));
  // [2, 3] sequences of 4 tokens.
  const at::Tensor deep = ids({2, 3, 4}, 5), of_deep = at::randn({2, 3, 4, 5}, of(at::kDouble)),
                   number = at::rand({2, 3}, of(at::kDouble));
  CHECK(value_of(emend::loss(mine, of_deep, deep, {.weight = number})) ==
        value_of(emend::loss(mine, of_deep, deep, {.weight = number.unsqueeze(-1).expand({2, 3, 4}).contiguous()})));
  // Inside a loss the caller says it.
  const at::Tensor old = at::randn({2, 3}, of(at::kDouble)) - 2;
  const emend::ppo_clip of_sequences{.old_log_prob = tensor_column(old),
                                     .advantage = tensor_column(emend::per_sequence(weight, targets))},
      of_tokens{.old_log_prob = tensor_column(old),
                .advantage = tensor_column(at::tensor({2.0, 2.0, 2.0, -0.5, -0.5, -0.5}, of(at::kDouble)))};
  CHECK(value_of(emend::loss(of_sequences, x, targets)) == value_of(emend::loss(of_tokens, x, targets)));
  const emend::ppo_clip without{.old_log_prob = tensor_column(old), .advantage = tensor_column(weight)};
  CHECK_THROWS_NAMING(emend::loss(without, x, targets), "advantage");
}

TEST_CASE("loss: options of temporaries, and options that require grad") {
  at::manual_seed(20);
  const at::Tensor x = at::randn({3, 5}, of(at::kDouble)), targets = ids({3}, 5);
  const auto mine = [](const auto& t) { return -t.log_prob; };
  const auto flags = [] { return std::vector<char>{1, 0, 1}; };
  const emend::tensor_loss_options options{.mask = flags(), .weight = {2.0, 1.0, 0.5}, .rows = {2, 1, 0}};
  const std::vector<double> mask{1, 0, 1}, weight{2, 1, 0.5};
  const std::vector<int> rows{2, 1, 0};
  const double expected = value_of(emend::loss(mine, x, targets, {.mask = mask, .weight = weight, .rows = rows}));
  CHECK(value_of(emend::loss(mine, x, targets, options)) == expected);
  const at::Tensor wanted = at::rand({3}).requires_grad_();
  CHECK_THROWS_NAMING(emend::loss(mine, x, targets, {.weight = tensor_column(wanted, "weight")}), "weight");
  CHECK_THROWS_NAMING(emend::loss(mine, x, targets, {.weight = wanted}), "weight");
  CHECK_THROWS_NAMING(emend::loss(mine, emend::device_scores{x}, targets, {.mask = wanted * 2}), "mask");
  CHECK_THROWS_NAMING((emend::ppo_clip{.old_log_prob = tensor_column(wanted), .advantage = {}}), "a column");
  CHECK(value_of(emend::loss(mine, x, targets, {.weight = wanted.detach()})) > 0);
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
