#pragma once

#include <emend/cuda.hpp>
#include <emend/cuda/kernels.cuh>
#include <emend/libtorch/loss/autograd_node.hpp>
#include <emend/libtorch/tensor/backend.hpp>
#include <emend/libtorch/head/statistics.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/sum.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/StringUtil.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace emend::cuda {

/// Options of `emend::cuda::loss`; tensors on the logits' device, of the targets' shape.
struct device_loss_options {
  at::Tensor mask = {};    ///< bool; false: the token is not evaluated, its row not read
  at::Tensor weight = {};  ///< float, default 1; a constant
  /// A target that stands for "none": its token is as a masked one. The field's -100; by default no id is one.
  std::optional<index> ignore_id = {};
  double normaliser = 1;
  double temperature = 1, logit_scale = 1;
  bool is_in_place = false;        ///< as in `tensor_loss_options`
  index chunk_rows = 2048;         ///< of linear scores: how many rows' scores are stored at a time
  at::Tensor* log_prob = nullptr;  ///< receive numbers in double, of the targets' shape
  at::Tensor* entropy = nullptr;
};

/// Options of `emend::cuda::statistics`.
struct device_statistics_options {
  at::Tensor mask = {};                 ///< bool, of the targets' shape and device; false: the row is not read
  std::optional<index> ignore_id = {};  ///< as of device_loss_options
  double temperature = 1, logit_scale = 1;
};

/// A column of a loss on the device, from a contiguous tensor there, [rows] entries of T; the tensor must live until
/// the loss's work on the stream is done, as the allocator of torch sees to for work on its own stream.
template <class T>
device_column<T> column_of(const at::Tensor& values) {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
  if (!values.is_cuda() || values.scalar_type() != c10::CppTypeToScalarType<T>::value || !values.is_contiguous())
    emend::detail::fail("a column on the device", "a contiguous tensor there, of the column's type", values.toString());
  emend::detail::require_constant("a column on the device", values);
  return {static_cast<const T*>(values.const_data_ptr())};
}

namespace detail {

/// A tensor beside the targets, checked, as a pointer; null where it is undefined.
template <class T>
const T* beside(const char* argument, const at::Tensor& x, at::ScalarType type, const at::Tensor& targets) {
  if (!x.defined()) return nullptr;
  if (x.scalar_type() != type || x.device() != targets.device() || x.sizes() != targets.sizes() || !x.is_contiguous())
    emend::detail::fail(argument,
                        std::string("a contiguous tensor of the targets' shape and device, of ") + c10::toString(type),
                        x.toString());
  emend::detail::require_constant(argument, x);
  return static_cast<const T*>(x.const_data_ptr());
}

/// What launches say, as an exception.
inline void require_launched(cudaError_t error) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("emend: launch on the device: ") + cudaGetErrorString(error));
}

/// Scores, targets and what stands beside them, checked, as the kernel takes them; without gradient and results. block:
/// the scores as [B, T, V].
template <class T>
row_problem<T> problem_of(const at::Tensor& block, const at::Tensor& targets, const at::Tensor& mask,
                          std::optional<index> ignore_id, double multiplier) {
  return {.scores = static_cast<const T*>(block.const_data_ptr()),
          .rows = block.size(0) * block.size(1),
          .vocab = block.size(2),
          .tokens = block.size(1) > 0 ? block.size(1) : 1,
          .batch_stride = block.stride(0),
          .token_stride = block.stride(1),
          .vocab_stride = block.stride(2),
          .targets = static_cast<const std::int64_t*>(targets.const_data_ptr()),
          .has_ignore_id = ignore_id.has_value(),
          .ignore_id = ignore_id.value_or(0),
          .mask = beside<bool>("mask", mask, at::kBool, targets),
          .multiplier = multiplier};
}
/// Of scores [.., V], or of states [.., D] and V: what their rows are called with.
inline void check_rows(const char* argument, const at::Tensor& rows, index vocab, const at::Tensor& targets,
                       double temperature, double logit_scale) {
  emend::detail::require_score_tensor(argument, rows);
  if (!rows.is_cuda()) emend::detail::fail(argument, "a tensor on a device of CUDA", rows.device().str());
  if (targets.device() != rows.device() || targets.scalar_type() != at::kLong || !targets.is_contiguous())
    emend::detail::fail("targets", "a contiguous tensor of int64 on the device of the scores", targets.toString());
  if (targets.sizes() != rows.sizes().slice(0, static_cast<std::size_t>(rows.dim()) - 1))
    emend::detail::fail("targets", c10::str("the leading shape of ", argument, ' ', rows.sizes()),
                        c10::str(targets.sizes()));
  if (vocab < 1) emend::detail::fail("scores", "a vocabulary of at least 1", "0");
  emend::detail::require_positive("temperature", temperature);
  emend::detail::require_positive("logit_scale", logit_scale);
}
inline double* written(const at::Tensor& x) {
  return x.defined() ? static_cast<double*>(x.mutable_data_ptr()) : nullptr;
}

/// The factor that comes back to a loss is 1 but in rare cases, which the device alone knows.
struct scaling_by_kernel {
  static void scale(at::Tensor& gradient, const at::Tensor& factor) {
    if (!gradient.is_cuda() || factor.device() != gradient.device() || !gradient.is_non_overlapping_and_dense())
      return static_cast<void>(gradient.mul_(factor));
    const c10::cuda::CUDAGuard guard(gradient.device());
    emend::detail::with_storage_of(gradient.scalar_type(), [&]<class T>(T*) {
      T* const values = static_cast<T*>(gradient.mutable_data_ptr());
      const at::Tensor of_type = factor.to(gradient.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
      require_launched(launch_scale(values, gradient.numel(),
                                    static_cast<const arithmetic<T>*>(of_type.const_data_ptr()),
                                    c10::cuda::getCurrentCUDAStream().stream()));
    });
  }
};

struct no_loss {
  template <class R>
  constexpr R operator()(const token<R>&) const {
    return R(0.0);
  }
};

}  // namespace detail

/// Statistics of the rows by one kernel, in double, of the targets' shape: log_prob, log_z and entropy, the rest
/// undefined. 0 where masked. logits: [.., V] on a device of CUDA, float, double, bfloat16 or half, any strides;
/// targets: int64, its leading shape; a counted id outside [0, V) makes its numbers NaN. Nothing comes back to the
/// host, which does not wait. Cost: one reading of the counted rows. The last bits may differ from those that `loss`
/// takes with a gradient. Throws std::invalid_argument on what does not fit, std::runtime_error if the launch fails.
inline statistics_tensors statistics(const at::Tensor& logits, const at::Tensor& targets,
                                     const device_statistics_options& options = {}) {
  emend::detail::require_score_tensor("scores", logits);
  detail::check_rows("scores", logits, logits.size(-1), targets, options.temperature, options.logit_scale);
  const c10::cuda::CUDAGuard guard(logits.device());
  const at::Tensor block = emend::detail::in_three_dimensions(logits.detach()),
                   all = at::empty({4, targets.numel()}, logits.options().dtype(at::kDouble));
  const auto column = [&](std::int64_t k) { return all.select(0, k).view(targets.sizes()); };
  statistics_tensors result{.log_prob = column(0), .log_z = column(1), .entropy = column(2)};
  emend::detail::with_storage_of(logits.scalar_type(), [&]<class T>(T*) {
    row_problem<T> p = detail::problem_of<T>(block, targets, options.mask, options.ignore_id,
                                             options.logit_scale / options.temperature);
    p.values = detail::written(column(3));
    p.log_prob = detail::written(result.log_prob);
    p.log_z = detail::written(result.log_z);
    p.entropy = detail::written(result.entropy);
    detail::require_launched(launch_loss(p, detail::no_loss{}, c10::cuda::getCurrentCUDAStream().stream()));
  });
  return result;
}

/// `emend::loss` by one kernel of our own: statistics, loss and gradient of a row while it is on the chip; nothing
/// comes back to the host, which does not wait. For sources that nvcc compiles.
///   value = (1 / normaliser) sum_i weight_i loss(token_i)
/// loss: a `device_loss`, see `launch_loss`: its columns are `device_column`s. logits: [.., V] on a device of CUDA,
/// float, double, bfloat16 or half, any strides; targets: int64, its leading shape. The work is on torch's current
/// stream of that device, and deterministic. links, rows, kept sets and soft caps: use emend::loss. A counted id
/// outside [0, V) makes the value NaN. backward() multiplies the gradient by the outer factor, which the host does not
/// know: a launch that does nothing where it is 1, else one more read and write. Gradients of half are rounded to it
/// before that: what a scaler would multiply by is better taken out of the normaliser. Throws std::invalid_argument on
/// what does not fit, std::runtime_error if the launch fails.
template <class Loss>
at::Tensor loss(const Loss& l, const at::Tensor& logits, const at::Tensor& targets,
                const device_loss_options& options = {}) {
  detail::require_device_loss<Loss>();
  emend::detail::require_score_tensor("scores", logits);
  detail::check_rows("scores", logits, logits.size(-1), targets, options.temperature, options.logit_scale);
  emend::detail::require_positive("normaliser", options.normaliser);
  const at::TensorList inputs(logits);
  const bool is_wanted = emend::detail::wants_gradient(inputs);
  return emend::detail::basic_loss_function<detail::scaling_by_kernel>::apply(
      inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
        const c10::cuda::CUDAGuard guard(logits.device());
        const at::Tensor x = logits.detach();
        if (is_wanted) gradients[0] = options.is_in_place ? x : backend<at::Tensor>::like(x);
        const at::Tensor block = emend::detail::in_three_dimensions(x),
                         values = at::empty(targets.sizes(), x.options().dtype(at::kDouble));
        at::Tensor out = is_wanted ? emend::detail::writable(gradients[0]) : at::Tensor();
        // A fresh gradient is contiguous wherever the scores are not dense.
        if (is_wanted && out.sizes() != block.sizes()) out = out.view(block.sizes());
        const at::Tensor log_prob = options.log_prob ? at::empty_like(values) : at::Tensor();
        const at::Tensor entropy = options.entropy ? at::empty_like(values) : at::Tensor();
        emend::detail::with_storage_of(x.scalar_type(), [&]<class T>(T*) {
          row_problem<T> p = detail::problem_of<T>(block, targets, options.mask, options.ignore_id,
                                                   options.logit_scale / options.temperature);
          if (out.defined()) {
            p.gradient = static_cast<T*>(out.mutable_data_ptr());
            p.gradient_batch_stride = out.stride(0);
            p.gradient_token_stride = out.stride(1);
            p.gradient_vocab_stride = out.stride(2);
          }
          p.weight = detail::beside<float>("weight", options.weight, at::kFloat, targets);
          p.normaliser = options.normaliser;
          p.values = detail::written(values);
          p.log_prob = detail::written(log_prob);
          p.entropy = detail::written(entropy);
          detail::require_launched(launch_loss(p, l, c10::cuda::getCurrentCUDAStream().stream()));
        });
        if (options.log_prob) *options.log_prob = log_prob;
        if (options.entropy) *options.entropy = entropy;
        return values.sum().to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
      });
}

}  // namespace emend::cuda
