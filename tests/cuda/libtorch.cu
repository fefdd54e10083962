// emend::cuda::loss over tensors, for a loss of the library and a lambda's like. Compiled, not run.
#include <emend/libtorch_cuda.hpp>
#include <emend/losses/ppo_clip.hpp>

at::Tensor policy_loss(const at::Tensor& logits, const at::Tensor& ids, const at::Tensor& old_log_prob,
                       const at::Tensor& advantage, const at::Tensor& mask) {
  using emend::cuda::column_of;
  const emend::cuda::device_policy<emend::ppo_clip> ppo{
      .policy = {.old_log_prob = {}, .advantage = {}, .clip_high = 0.28},
      .old_log_prob = column_of<float>(old_log_prob),
      .advantage = column_of<float>(advantage),
      .entropy_coefficient = 0.01};
  at::Tensor log_prob, entropy;
  return emend::cuda::loss(
      ppo, logits, ids,
      {.mask = mask, .normaliser = 4, .is_in_place = true, .log_prob = &log_prob, .entropy = &entropy});
}

at::Tensor other_algorithms(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask,
                            const at::Tensor& logits, const at::Tensor& ids, const at::Tensor& parent) {
  namespace device = emend::cuda;
  const auto [advantage, returns] = device::gae(reward, value, mask, {}, {.gamma = 0.99, .lambda = 0.95});
  const auto [drawn, log_prob] =
      device::sample_rows(logits, {7}, 0, {.temperature = 0.8, .top_k = 50, .top_p = 0.95, .min_p = 0.01});
  const auto rewards = device::extract_rewards(logits, ids, mask, {.normalise = emend::reward_normalisation::whiten});
  return device::whiten(advantage, mask) + log_prob.sum() + rewards.score.sum() + device::attention_mask(parent).sum() +
         device::position_ids(parent).sum() + drawn.sum() + returns.sum();
}
