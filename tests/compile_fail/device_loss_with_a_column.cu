// message: a loss on a device must be trivially copyable.*device_column
#include <emend/cuda/kernels.cuh>

#ifdef REPAIRED
using column = emend::cuda::device_column<float>;
#else
using column = emend::column;
#endif

struct own_loss {
  column advantage;
  template <class R>
  constexpr R operator()(const emend::token<R>& t) const {
#ifdef REPAIRED
    return -advantage(t) * t.log_prob;
#else
    return -t.number(advantage) * t.log_prob;
#endif
  }
};

cudaError_t use(const emend::cuda::row_problem<float>& p, const column& advantage) {
  return emend::cuda::launch_loss(p, own_loss{advantage}, nullptr);
}
