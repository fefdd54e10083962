// emend::cuda::loss over tensors, for a loss of the library and a lambda's like. Compiled, not run.
#include <emend/libtorch_cuda.hpp>
#include <emend/losses/ppo_clip.hpp>

at::Tensor policy_loss(const at::Tensor& logits, const at::Tensor& ids, const at::Tensor& old_log_prob, const at::Tensor& advantage,
                       const at::Tensor& mask) {
  using emend::cuda::column_of;
  const emend::cuda::device_policy<emend::ppo_clip> ppo{
      .policy = {.old_log_prob = {}, .advantage = {}, .clip_high = 0.28}, .old_log_prob = column_of<float>(old_log_prob),
      .advantage = column_of<float>(advantage), .entropy_coefficient = 0.01};
  at::Tensor log_prob, entropy;
  return emend::cuda::loss(ppo, logits, ids, {.mask = mask, .normaliser = 4, .is_in_place = true, .log_prob = &log_prob, .entropy = &entropy});
}
