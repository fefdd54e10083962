// A step over tensors on a device of CUDA by torch's operations, as without nvcc: the numbers are the host's, and
// nothing waits for the device.
#include <emend/libtorch.hpp>
#include <emend/losses/policy_objective.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>

#include "tensor_checks.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace {

using emend::tensor_column;

/// Everything that a step computes, over tensors of one device.
struct step {
  at::Tensor log_prob, entropy, rewards, advantage, returns, white, kl, weight, value, gradient, of_sequences, metrics,
      d_hidden, d_weight, allowed, position, score, divergence;

  explicit step(const std::vector<at::Tensor>& of) {
    const at::Tensor logits = of[0].detach().clone().requires_grad_(), ids = of[1], mask = of[2], scores = of[3],
                     reference = of[4], critic = of[5], parent = of[6];
    const at::Tensor hidden = of[7].detach().clone().requires_grad_(), head = of[8].detach().clone().requires_grad_();
    const auto columns = emend::statistics(logits, ids);
    log_prob = columns.log_prob;
    entropy = columns.entropy;
    const auto extracted = emend::extract_rewards(logits, ids, mask, {.mode = emend::reward_mode::margin});
    score = extracted.score;
    divergence = extracted.divergence;
    const at::Tensor old = log_prob + 0.1 * reference;
    rewards = emend::token_rewards(scores, old, reference, mask, {.kl_coefficient = 0.1});
    const auto got = emend::gae(rewards, critic, mask);
    advantage = got.advantage;
    returns = got.returns;
    white = emend::whiten(advantage, mask);
    kl = emend::kl_estimate(emend::kl_kind::k3, log_prob - reference);
    weight = emend::token_weights(mask, emend::aggregation::token_mean);
    const tensor_column of_old(old), of_advantage(white), of_reference(reference), of_weight(weight);
    const emend::ppo_clip ppo{.old_log_prob = of_old, .advantage = of_advantage, .clip_high = 0.28};
    const emend::policy_objective<emend::ppo_clip> objective{
        .policy = ppo,
        .weight = of_weight,
        .kl = {.reference_log_prob = of_reference, .coefficient = 0.1},
        .entropy_coefficient = 0.01};
    value = emend::loss(objective, logits, ids, {.mask = mask, .metrics = &metrics});
    value.backward();
    gradient = logits.grad();
    of_sequences =
        emend::loss(emend::sequence_level<emend::ppo_clip>{ppo}, logits, ids, emend::tensor_layout(ids, mask));
    emend::loss(objective, emend::linear_scores{hidden, head}, ids, {.mask = mask}).backward();
    d_hidden = hidden.grad();
    d_weight = head.grad();
    allowed = emend::attention_mask(parent);
    position = emend::position_ids(parent);
  }
};

TEST_CASE("a step on a device by operations: the numbers of the host, and no waiting") {
  at::manual_seed(7);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor mask = at::arange(9).expand({4, 9}) < at::tensor({9, 5, 1, 7}).unsqueeze(1),
                     logits = (at::randn({4, 9, 700}) * 2).to(type);
    const std::vector<at::Tensor> here{logits,
                                       at::randint(700, {4, 9}, at::TensorOptions().dtype(at::kLong)),
                                       mask,
                                       at::randn({4, 9}),
                                       -at::rand({4, 9}) * 3,
                                       at::randn({4, 9}),
                                       at::tensor({-1, 0, 0, 2, 3, -1, 5}),
                                       at::randn({4, 9, 16}).to(type),
                                       (at::randn({700, 16}) * 0.3).to(type)};
    std::vector<at::Tensor> there;
    for (const at::Tensor& x : here) there.push_back(x.cuda());
    const step expected(here);
    step warm(there);
    const auto strict = [&] {
      const no_waiting no;
      return step(there);
    };
    const step got = strict();
    const double tolerance = type == at::kBFloat16 ? 2e-2 : 1e-5;
    int number = 0;
    for (const auto member :
         {&step::log_prob, &step::entropy, &step::rewards, &step::advantage, &step::returns, &step::white, &step::kl,
          &step::weight, &step::value, &step::gradient, &step::of_sequences, &step::metrics, &step::d_hidden,
          &step::d_weight, &step::allowed, &step::position, &step::score, &step::divergence}) {
      CAPTURE(number++);
      CAPTURE(c10::toString(type));
      CHECK((got.*member).is_cuda());
      const at::Tensor& of_host = expected.*member;
      CHECK(distance(got.*member, of_host) <
            tolerance * std::max(1.0, of_host.detach().to(at::kDouble).abs().max().item().toDouble()));
    }
  }
}

TEST_CASE("a step on a device by operations: the test can fail") {
  const at::Tensor x = at::ones({2}).cuda();
  const no_waiting strict;
  CHECK_THROWS(x.sum().item());
}

}  // namespace
