// A program of two sources that both include the kernels links.
#include <emend/cuda/kernels.cuh>

cudaError_t again(const emend::cuda::gae_problem& gae, const emend::cuda::whiten_problem& whiten, void* scratch,
                  cudaStream_t stream) {
  if (const cudaError_t error = launch_gae(gae, stream)) return error;
  return launch_whiten(whiten, scratch, stream);
}
