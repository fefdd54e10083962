#pragma once

// What the step by kernels of backends/README.md speaks of. Compiled, not run.
#include <emend/libtorch_cuda.hpp>

namespace snippets::cuda_step {

extern const at::Tensor logits, ids, hidden, weight, mask, reward, value, response, parent, old_log_prob, advantage;
extern const double count;
extern const std::uint64_t seed, step;

}  // namespace snippets::cuda_step
