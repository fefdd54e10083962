// Tensors on a device of CUDA through kernels of our own, against the library over the same tensors on the host.
#include <emend/libtorch.hpp>
#include <emend/libtorch_cuda.hpp>
#include <emend/losses/cispo.hpp>
#include <emend/losses/dro.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sapo.hpp>

#include "tensor_checks.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace {

namespace device = emend::cuda;
using emend::tensor_column;

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }

struct own_loss {
  device::device_column<double> advantage;
  template <class R>
  constexpr R operator()(const emend::token<R>& t) const {
    return -advantage(t) * emend::tanh(t.log_prob) - 0.01 * t.entropy + 0.1 * emend::square(t.log_z) +
           emend::exp(t.log_sum_squares);
  }
};

struct columns {
  at::Tensor old, advantage, mask, weight;
  explicit columns(const at::Tensor& x, const at::Tensor& ids) {
    const at::Tensor log_prob = emend::statistics(x, ids).log_prob.to(at::kFloat);
    old = log_prob + 0.3 * at::randn(ids.sizes());
    advantage = at::randn(ids.sizes());
    mask = at::rand(ids.sizes()) < 0.7;
    weight = at::rand(ids.sizes());
  }
};

template <class On, class At>
void compare(const std::string& name, const On& on_host, const At& on_device, const at::Tensor& x,
             const at::Tensor& ids, const columns& c, double tolerance) {
  CAPTURE(name);
  const at::Tensor there = ids.cuda().contiguous(), mask = c.mask.cuda(), weight = c.weight.cuda();
  for (const bool is_in_place : {false, true})
    for (const double outer : {1.0, -0.5}) {
      const at::Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
      const at::Tensor expected = emend::loss(on_host, a, ids,
                                              {.mask = c.mask,
                                               .weight = c.weight,
                                               .normaliser = 9,
                                               .transform = {.temperature = 0.8, .logit_scale = 1.1},
                                               .with_log_sum_squares = true});
      (expected * outer).backward();
      // Of the same strides as on the host; autograd brings the gradient back to it.
      const at::Tensor moved = b.cuda() * 1;
      at::Tensor got, log_prob, entropy;
      {
        const no_waiting strict;
        got = device::loss(on_device, moved, there,
                           {.mask = mask,
                            .weight = weight,
                            .normaliser = 9,
                            .temperature = 0.8,
                            .logit_scale = 1.1,
                            .is_in_place = is_in_place,
                            .log_prob = &log_prob,
                            .entropy = &entropy});
      }
      CHECK(got.is_cuda());
      (got * outer).backward();
      CHECK(distance(got, expected) <= tolerance * std::max(1.0, std::abs(expected.item().toDouble())));
      CHECK(distance(b.grad(), a.grad()) <= tolerance);
      CHECK(log_prob.sizes() == ids.sizes());
    }
}

TEST_CASE("device loss over tensors: losses of the library and own, every dtype, strides, in place, outer factors") {
  at::manual_seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (const auto& [batch, length, vocab] : {std::array{3, 5, 13}, {2, 4, 2500}, {1, 2, 50257}})
      for (const bool is_turned : {false, true}) {
        CAPTURE(c10::toString(type));
        CAPTURE(vocab);
        at::Tensor x = (at::randn({batch, length, vocab}, of(at::kDouble)) * 2).to(type),
                   ids = at::randint(vocab, {batch, length}, of(at::kLong));
        if (is_turned) x = x.transpose(0, 1), ids = ids.t().contiguous();
        const columns c(x, ids);
        const at::Tensor old = c.old.cuda(), advantage = c.advantage.cuda(), wide = advantage.to(at::kDouble);
        const tensor_column old_here(c.old), advantage_here(c.advantage);
        const double tolerance = type == at::kDouble ? 1e-6 : type == at::kFloat ? 2e-6 : 4e-3;  // columns are floats
        const auto both = [&]<class Policy>(const std::string& name, Policy policy) {
          Policy here = policy;
          here.old_log_prob = old_here, here.advantage = advantage_here;
          compare(
              name, [&](const auto& t) { return here(t) - 0.01 * t.entropy; },
              device::device_policy<Policy>{.policy = policy,
                                            .old_log_prob = device::column_of<float>(old),
                                            .advantage = device::column_of<float>(advantage),
                                            .entropy_coefficient = 0.01},
              x, ids, c, tolerance);
        };
        both("PPO", emend::ppo_clip{.old_log_prob = {}, .advantage = {}, .clip_high = 0.28, .dual_clip = 3});
        both("CISPO", emend::cispo{.old_log_prob = {}, .advantage = {}});
        both("SAPO", emend::sapo{.old_log_prob = {}, .advantage = {}});
        both("DRO", emend::dro{.old_log_prob = {}, .advantage = {}});
        compare(
            "own",
            [&](const auto& t) {
              return -t(advantage_here) * emend::tanh(t.log_prob) - 0.01 * t.entropy + 0.1 * emend::square(t.log_z) +
                     emend::exp(t.log_sum_squares);
            },
            own_loss{device::column_of<double>(wide)}, x, ids, c, tolerance * 4);
      }
}

TEST_CASE(
    "device loss over linear scores: one chunk and several, masks, states that are no number where they do not count") {
  at::manual_seed(5);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (const std::int64_t chunk : {4, 7, 2048}) {
      CAPTURE(c10::toString(type));
      CAPTURE(chunk);
      const at::Tensor hidden = at::randn({3, 6, 5}, of(at::kDouble)).to(type),
                       weight = at::randn({301, 5}, of(at::kDouble)).to(type),
                       ids = at::randint(301, {3, 6}, of(at::kLong));
      const columns c(at::matmul(hidden, weight.t()), ids);
      hidden.masked_fill_(c.mask.logical_not().unsqueeze(-1), std::numeric_limits<double>::quiet_NaN());
      const tensor_column old_here(c.old), advantage_here(c.advantage);
      const at::Tensor old = c.old.cuda(), advantage = c.advantage.cuda(), there = ids.cuda(), mask = c.mask.cuda(),
                       weights = c.weight.cuda();
      const emend::ppo_clip here{.old_log_prob = old_here, .advantage = advantage_here, .clip_high = 0.28};
      const at::Tensor a = hidden.clone().requires_grad_(), w = weight.clone().requires_grad_();
      const at::Tensor expected =
          emend::loss([&](const auto& t) { return here(t) - 0.01 * t.entropy; }, emend::linear_scores{a, w}, ids,
                      {.mask = c.mask, .weight = c.weight, .normaliser = 9});
      expected.backward();
      const at::Tensor b = hidden.cuda().requires_grad_(), v = weight.cuda().requires_grad_();
      at::Tensor got, log_prob;
      {
        const no_waiting strict;
        got = device::loss(
            device::device_policy<emend::ppo_clip>{.policy = {.old_log_prob = {}, .advantage = {}, .clip_high = 0.28},
                                                   .old_log_prob = device::column_of<float>(old),
                                                   .advantage = device::column_of<float>(advantage),
                                                   .entropy_coefficient = 0.01},
            emend::linear_scores{b, v}, there,
            {.mask = mask, .weight = weights, .normaliser = 9, .chunk_rows = chunk, .log_prob = &log_prob});
      }
      got.backward();
      const double tolerance = type == at::kDouble ? 1e-6 : type == at::kFloat ? 1e-5 : 3e-2;
      CHECK(distance(got, expected) < tolerance);
      CHECK(distance(b.grad(), a.grad()) < tolerance);
      CHECK(distance(v.grad(), w.grad()) < tolerance);
      CHECK((v.grad().scalar_type() == type));
      CHECK(!log_prob.isnan().any().item().toBool());
    }
}

TEST_CASE("device statistics over tensors") {
  at::manual_seed(3);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf})
    for (const std::int64_t vocab : {1, 50, 3001}) {
      const at::Tensor x = (at::randn({4, 3, vocab}, of(at::kDouble)) * 3).to(type),
                       ids = at::randint(vocab, {4, 3}, of(at::kLong)), mask = at::rand({4, 3}) < 0.6;
      const tensor_column counted(mask);
      const auto expected = emend::statistics(x, ids, {.mask = counted, .transform = {.temperature = 0.5}});
      const at::Tensor there = x.cuda(), ids_there = ids.cuda(), mask_there = mask.cuda();
      emend::statistics_tensors got;
      {
        const no_waiting strict;
        got = device::statistics(there, ids_there, {.mask = mask_there, .temperature = 0.5});
      }
      const double tolerance = type == at::kDouble ? 1e-12 : 1e-5;
      CHECK(distance(got.log_prob, expected.log_prob) < tolerance);
      CHECK(distance(got.log_z, expected.log_z) < tolerance);
      CHECK(distance(got.entropy, expected.entropy) < tolerance);
    }
}

TEST_CASE(
    "device algorithms over tensors: advantages, whitening, draws, forests, rewards, on a stream of their own too") {
  at::manual_seed(4);
  for (const bool has_stream : {false, true}) {
    const c10::cuda::CUDAStream stream =
        has_stream ? c10::cuda::getStreamFromPool() : c10::cuda::getDefaultCUDAStream();
    const c10::cuda::CUDAStreamGuard on(stream);
    const at::Tensor reward = at::randn({5, 300}), value = at::randn({5, 300}), mask = at::rand({5, 300}) < 0.8;
    const at::Tensor r = reward.cuda(), v = value.cuda(), m = mask.cuda();
    const auto expected = emend::gae(reward, value, mask, {.gamma = 0.99, .lambda = 0.9});
    emend::advantage_tensors got;
    at::Tensor white;
    {
      const no_waiting strict;
      got = device::gae(r, v, m, {}, {.gamma = 0.99, .lambda = 0.9});
      white = device::whiten(got.advantage, m);
    }
    CHECK(distance(got.advantage, expected.advantage) < 1e-5);
    CHECK(distance(got.returns, expected.returns) < 1e-5);
    CHECK(distance(white, emend::whiten(expected.advantage, mask)) < 1e-5);

    const at::Tensor scores = at::randn({64, 3000}) * 3, there = scores.cuda();
    const auto drawn = device::sample_rows(there, {7}, 2, {.temperature = 0.8, .top_k = 50, .top_p = 0.9});
    const at::Tensor kth = std::get<0>(scores.topk(50, -1)).select(-1, 49),
                     of_drawn = scores.gather(-1, drawn.ids.cpu().unsqueeze(-1)).squeeze(-1);
    CHECK((of_drawn >= kth).all().item().toBool());
    CHECK(drawn.log_prob.lt(1e-6).all().item().toBool());
    CHECK(device::sample_rows(there, {7}, 2, {.temperature = 0.8, .top_k = 50, .top_p = 0.9}).ids.equal(drawn.ids));
    CHECK(device::sample_rows(there, {7}, 2, {.top_k = 1}).ids.cpu().equal(scores.argmax(-1)));

    const at::Tensor parent = at::tensor({-1, 0, 0, 2, 3, -1, 5}), parent_there = parent.cuda();
    CHECK(device::attention_mask(parent_there).cpu().equal(emend::attention_mask(parent)));
    CHECK(device::position_ids(parent_there).cpu().equal(emend::position_ids(parent)));

    const at::Tensor x = at::randn({4, 9, 40}),
                     response = at::where(at::rand({4, 9}) < 0.7, x.argmax(-1), at::randint(40, {4, 9})),
                     counted = at::rand({4, 9}) < 0.8;
    for (const auto normalise : {emend::reward_normalisation::none, emend::reward_normalisation::per_length,
                                 emend::reward_normalisation::whiten}) {
      const emend::seq2seq_reward_options options{.mode = emend::reward_mode::margin, .normalise = normalise};
      const auto here = emend::extract_rewards(x, response, counted, options),
                 at_device = device::extract_rewards(x.cuda(), response.cuda(), counted.cuda(), options);
      CHECK(distance(at_device.score, here.score) < 1e-5);
      CHECK(distance(at_device.sequence_score, here.sequence_score) < 1e-5);
      CHECK(distance(at_device.log_prob, here.log_prob) < 1e-5);
      CHECK(at_device.arg_max.cpu().equal(here.arg_max));
      CHECK(at_device.divergence.cpu().view({-1}).equal(here.divergence.view({-1})));
    }
  }
}

TEST_CASE("device tensors: what does not fit is named, and empty batches are") {
  const at::Tensor x = at::randn({2, 3, 5}).cuda(), ids = at::randint(5, {2, 3}, of(at::kLong)).cuda();
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  const device::detail::no_loss none;
  CHECK(message([&] { device::loss(none, x.cpu(), ids); }).find("emend: scores: expected ") == 0);
  CHECK(message([&] { device::loss(none, x, ids.cpu()); }).find("emend: targets: expected ") == 0);
  CHECK(message([&] { device::loss(none, x, ids.select(0, 0)); }).find("emend: targets: expected ") == 0);
  CHECK(message([&] { device::loss(none, x, ids, {.mask = ids}); }).find("emend: mask: expected ") == 0);
  CHECK(message([&] { device::loss(none, x, ids, {.normaliser = 0}); }).find("emend: normaliser: expected ") == 0);
  CHECK(message([&] { device::statistics(x.narrow(2, 0, 0), ids); }).find("emend: scores: expected ") == 0);
  const at::Tensor states = at::randn({2, 3, 4}).cuda(), head = at::randn({5, 4}).cuda();
  CHECK(message([&] {
          device::loss(none, emend::linear_scores{states, head.t()}, ids);
        }).find("emend: weight: expected ") == 0);
  CHECK(message([&] {
          device::loss(none, emend::linear_scores{states, head}, ids, {.is_in_place = true});
        }).find("emend: is_in_place: expected ") == 0);
  CHECK(message([&] {
          device::loss(none, emend::linear_scores{states, head}, ids, {.chunk_rows = 0});
        }).find("emend: chunk_rows: expected ") == 0);
  const at::Tensor no_rows = at::empty({0, 3, 5}, x.options()).requires_grad_(),
                   no_ids = at::empty({0, 3}, ids.options());
  const at::Tensor value = device::loss(none, no_rows, no_ids);
  value.backward();
  CHECK(value.item().toDouble() == 0);
  CHECK(device::statistics(no_rows, no_ids).log_prob.numel() == 0);
}

}  // namespace
