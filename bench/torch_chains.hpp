#pragma once

// What trainers write in torch for the log-probability of a target, the entropy of a row and a policy loss over them,
// on any device.

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/min.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include <vector>

namespace bench {

struct columns {
  at::Tensor log_prob, entropy;
};

/// selective_log_softmax and entropy_from_logits of TRL.
inline at::Tensor trl_log_prob(const at::Tensor& logits, const at::Tensor& ids) {
  std::vector<at::Tensor> each;
  for (const at::Tensor& sequence : logits.unbind()) each.push_back(at::logsumexp(sequence, -1));
  return logits.gather(-1, ids.unsqueeze(-1)).squeeze(-1) - at::stack(each);
}
inline columns trl(const at::Tensor& logits, const at::Tensor& ids) {
  std::vector<at::Tensor> each;
  for (const at::Tensor& chunk : logits.view({-1, logits.size(-1)}).split(128)) {
    const at::Tensor all = at::log_softmax(chunk, -1);
    each.push_back(-(all.exp() * all).sum(-1));
  }
  return {trl_log_prob(logits, ids), at::cat(each).view(ids.sizes())};
}
/// logprobs_from_logits_v2 and entropy_from_logits of verl.
inline columns verl(const at::Tensor& logits, const at::Tensor& ids) {
  return {trl_log_prob(logits, ids), at::logsumexp(logits, -1) - (at::softmax(logits, -1) * logits).sum(-1)};
}

/// Clipped surrogate less an entropy bonus, summed.
inline at::Tensor chain_loss(const columns& c, const at::Tensor& old_log_prob, const at::Tensor& advantage) {
  const at::Tensor ratio = (c.log_prob - old_log_prob).exp();
  return (-at::min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage) - 0.01 * c.entropy).sum();
}

}  // namespace bench
