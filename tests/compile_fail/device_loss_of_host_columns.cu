// message: a loss on a device must be trivially copyable.*device_column.*device_policy<ppo_clip>
#include <emend/cuda/kernels.cuh>
#include <emend/losses/ppo_clip.hpp>

#include <vector>

cudaError_t use(const emend::cuda::row_problem<float>& p, const std::vector<float>& old_log_prob,
                const std::vector<float>& advantage, const float* old_there, const float* advantage_there) {
#ifdef REPAIRED
  const emend::cuda::device_policy<emend::ppo_clip> loss{
      .policy = {.clip_high = 0.28}, .old_log_prob = {old_there}, .advantage = {advantage_there}};
#else
  const emend::ppo_clip loss{.old_log_prob = old_log_prob, .advantage = advantage, .clip_high = 0.28};
#endif
  return emend::cuda::launch_loss(p, loss, nullptr);
}
