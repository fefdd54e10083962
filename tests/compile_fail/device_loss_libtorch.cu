// message: a loss on a device must be trivially copyable.*device_policy<ppo_clip>
#include <emend/libtorch_cuda.hpp>
#include <emend/losses/ppo_clip.hpp>

at::Tensor use(const at::Tensor& logits, const at::Tensor& ids, const at::Tensor& old_log_prob,
               const at::Tensor& advantage) {
#ifdef REPAIRED
  const emend::cuda::device_policy<emend::ppo_clip> loss{.policy = {.clip_high = 0.28},
                                                         .old_log_prob = emend::cuda::column_of<float>(old_log_prob),
                                                         .advantage = emend::cuda::column_of<float>(advantage)};
#else
  const emend::ppo_clip loss{.old_log_prob = emend::tensor_column(old_log_prob),
                             .advantage = emend::tensor_column(advantage),
                             .clip_high = 0.28};
#endif
  return emend::cuda::loss(loss, logits, ids);
}
