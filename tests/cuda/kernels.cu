// Every kernel for every storage type, over losses of the library and one of the user's own: for the generations that
// cuda_tests is not compiled for.
#include <emend/cuda/device_policy.hpp>
#include <emend/cuda/kernels.cuh>
#include <emend/losses/cispo.hpp>
#include <emend/losses/dro.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sapo.hpp>

namespace {

struct own_loss {
  emend::cuda::device_column<double> advantage;
  template <class R>
  constexpr R operator()(const emend::token<R>& t) const {
    return -advantage(t) * emend::tanh(t.log_prob) - 0.01 * t.entropy + 0.1 * emend::square(t.log_z) +
           emend::exp(t.log_sum_squares);
  }
};

}  // namespace

template <class T>
cudaError_t launch_own(const emend::cuda::row_problem<T>& p, cudaStream_t stream) {
  return launch_loss(p, own_loss{}, stream);
}
template cudaError_t launch_own(const emend::cuda::row_problem<float>&, cudaStream_t);
template cudaError_t launch_own(const emend::cuda::row_problem<double>&, cudaStream_t);
template cudaError_t launch_own(const emend::cuda::row_problem<emend::bfloat16>&, cudaStream_t);
template cudaError_t launch_own(const emend::cuda::row_problem<emend::float16>&, cudaStream_t);

cudaError_t launch_policies(const emend::cuda::row_problem<float>& p, cudaStream_t stream) {
  using emend::cuda::device_policy;
  if (const cudaError_t error = launch_loss(p, device_policy<emend::ppo_clip>{}, stream)) return error;
  if (const cudaError_t error = launch_loss(p, device_policy<emend::cispo>{}, stream)) return error;
  if (const cudaError_t error = launch_loss(p, device_policy<emend::sapo>{}, stream)) return error;
  return launch_loss(p, device_policy<emend::dro>{}, stream);
}
template cudaError_t emend::cuda::launch_scale(float*, emend::index, const float*, cudaStream_t);
template cudaError_t emend::cuda::launch_scale(emend::bfloat16*, emend::index, const float*, cudaStream_t);

template <class T>
cudaError_t launch_token_kernels(const emend::cuda::sample_problem<T>& draw,
                                 const emend::cuda::reward_problem<T>& reward, cudaStream_t stream) {
  if (const cudaError_t error = launch_sample(draw, stream)) return error;
  return launch_rewards(reward, stream);
}
template cudaError_t launch_token_kernels(const emend::cuda::sample_problem<float>&,
                                          const emend::cuda::reward_problem<float>&, cudaStream_t);
template cudaError_t launch_token_kernels(const emend::cuda::sample_problem<emend::bfloat16>&,
                                          const emend::cuda::reward_problem<emend::bfloat16>&, cudaStream_t);
template cudaError_t launch_token_kernels(const emend::cuda::sample_problem<emend::float16>&,
                                          const emend::cuda::reward_problem<emend::float16>&, cudaStream_t);
template cudaError_t emend::cuda::launch_rewards(const emend::cuda::reward_problem<double>&, cudaStream_t);

cudaError_t launch_others(const emend::cuda::gae_problem& gae, const emend::cuda::whiten_problem& whiten,
                          const emend::cuda::ancestor_problem& forest, void* scratch, bool* mask, float* bias,
                          cudaStream_t stream) {
  if (const cudaError_t error = launch_gae(gae, stream)) return error;
  if (const cudaError_t error = launch_whiten(whiten, scratch, stream)) return error;
  if (const cudaError_t error = launch_ancestors(forest, mask, true, false, stream)) return error;
  return launch_ancestors(forest, bias, 0.0f, -__builtin_inff(), stream);
}
