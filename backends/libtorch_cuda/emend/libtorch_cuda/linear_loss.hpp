#pragma once

#include <emend/heads/linear.hpp>
#include <emend/libtorch_cuda/loss.hpp>

#include <ATen/ops/addmm.h>
#include <ATen/ops/logical_not.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <string>

namespace emend::cuda {

namespace detail {

/// d_scores^T states, summed over chunks: in float for 16-bit factors, unless there is one chunk alone.
class weight_gradient {
 public:
  weight_gradient(const at::Tensor& weight, bool has_one_chunk)
      : weight_(weight), is_wide_(weight.element_size() == 2 && !has_one_chunk) {}

  void add(const at::Tensor& d_scores, const at::Tensor& states) {
    const at::Tensor left = d_scores.t();
    if (!sum_.defined())
      sum_ = is_wide_ ? at::mm(left, states, at::kFloat) : at::mm(left, states);
    else if (is_wide_)
      at::addmm_out(sum_, sum_, left, states, at::kFloat);
    else
      sum_.addmm_(left, states);
  }
  at::Tensor result() const { return sum_.defined() ? sum_.to(weight_.scalar_type()) : at::zeros_like(weight_); }

 private:
  at::Tensor weight_, sum_;
  bool is_wide_;
};

}  // namespace detail

/// `emend::cuda::loss` over scores = hidden weight^T that are stored for some rows at a time: a product, the kernel in
/// place, the two products back, so that no score is computed twice.
///   d_hidden = d_scores weight,   d_weight = d_scores^T hidden
/// hidden: [.., D], weight: [V, D], of one type, on a device of CUDA; targets and options as there, is_in_place apart.
/// Gradients of 16-bit factors sum in float over the chunks. Cost: the products, 6 N V D operations with gradients;
/// beside the gradients chunk_rows V scores, and for 16-bit factors V D floats, which up to chunk_rows + 2 D rows are
/// the scores of all of them instead. Throws std::invalid_argument on what does not fit, std::runtime_error if a launch
/// fails.
template <class Loss>
at::Tensor loss(const Loss& l, const linear_scores<at::Tensor, at::Tensor>& scores, const at::Tensor& targets,
                const device_loss_options& options = {}) {
  detail::require_device_loss<Loss>();
  const at::Tensor &hidden = scores.hidden, &weight = scores.weight;
  emend::detail::require_score_tensor("weight", weight);
  if (weight.dim() != 2) emend::detail::fail("weight", "[V, D]", c10::str(weight.sizes()));
  emend::detail::require_score_tensor("hidden", hidden);
  detail::check_rows("hidden", hidden, weight.size(0), targets, options.temperature, options.logit_scale);
  if (weight.size(1) != hidden.size(-1) || weight.scalar_type() != hidden.scalar_type() ||
      weight.device() != hidden.device())
    emend::detail::fail("weight", c10::str("rows of ", hidden.size(-1), ", of the type and on the device of hidden"),
                        weight.toString());
  emend::detail::require_positive("normaliser", options.normaliser);
  if (options.is_in_place) emend::detail::fail("is_in_place", "logits to overwrite", "linear_scores");
  if (options.chunk_rows < 1) emend::detail::fail("chunk_rows", "a number above 0", std::to_string(options.chunk_rows));
  detail::beside<bool>("mask", options.mask, at::kBool, targets);
  detail::beside<float>("weight", options.weight, at::kFloat, targets);
  const at::Tensor both[] = {hidden, weight};
  const at::TensorList inputs(both);
  const bool is_wanted = emend::detail::wants_gradient(inputs);
  return emend::detail::basic_loss_function<detail::scaling_by_kernel>::apply(
      inputs, [&, is_wanted](std::vector<at::Tensor>& gradients) {
        const c10::cuda::CUDAGuard guard(hidden.device());
        const at::Tensor states = hidden.detach().reshape({-1, hidden.size(-1)}), head = weight.detach();
        const index rows = states.size(0);
        // Chunks of 16-bit factors want a sum in float; where all scores take no more memory than a chunk's and that,
        // they are one.
        const index at_once = options.chunk_rows + (is_wanted && states.element_size() == 2 ? 2 * states.size(1) : 0),
                    chunk = rows <= at_once ? std::max<index>(rows, 1) : options.chunk_rows;
        at::Tensor left_out;
        if (options.mask.defined()) left_out = options.mask.logical_not().view({-1, 1});
        if (options.weight.defined()) {
          const at::Tensor silent = (options.weight == 0).view({-1, 1});
          left_out = left_out.defined() ? left_out.logical_or(silent) : silent;
        }
        if (options.ignore_id) {
          const at::Tensor ignored = (targets == *options.ignore_id).view({-1, 1});
          left_out = left_out.defined() ? left_out.logical_or(ignored) : ignored;
        }
        const auto results = states.options().dtype(at::kDouble);
        const at::Tensor values = at::empty(targets.sizes(), results),
                         d_hidden = is_wanted ? at::empty_like(states) : at::Tensor();
        const at::Tensor log_prob = options.log_prob ? at::empty(targets.sizes(), results) : at::Tensor(),
                         entropy = options.entropy ? at::empty(targets.sizes(), results) : at::Tensor();
        const at::Tensor all = at::empty({chunk, head.size(0)}, states.options());
        detail::weight_gradient d_weight(head, rows <= chunk);
        for (index first = 0; first < rows; first += chunk) {
          const index count = std::min(chunk, rows - first);
          at::Tensor part = states.narrow(0, first, count), z = all.narrow(0, 0, count);
          // What stands in a state that does not count must not reach the weight's gradient, not even times 0.
          if (left_out.defined()) part = part.masked_fill(left_out.narrow(0, first, count), 0);
          at::mm_out(z, part, head.t());
          const auto from = [&](const at::Tensor& x) { return x.defined() ? x.view({-1}).narrow(0, first, count) : x; };
          emend::detail::with_storage_of(z.scalar_type(), [&]<class T>(T*) {
            row_problem<T> p = detail::problem_of<T>(z.unsqueeze(0), from(targets), from(options.mask),
                                                     options.ignore_id, options.logit_scale / options.temperature);
            p.first = first;
            if (is_wanted) {
              p.gradient = static_cast<T*>(z.mutable_data_ptr());
              p.gradient_token_stride = p.token_stride;
              p.gradient_vocab_stride = p.vocab_stride;
            }
            p.weight = detail::beside<float>("weight", from(options.weight), at::kFloat, from(targets));
            p.normaliser = options.normaliser;
            p.values = detail::written(from(values));
            p.log_prob = detail::written(from(log_prob));
            p.entropy = detail::written(from(entropy));
            detail::require_launched(launch_loss(p, l, c10::cuda::getCurrentCUDAStream().stream()));
          });
          if (!is_wanted) continue;
          at::Tensor out = d_hidden.narrow(0, first, count);
          at::mm_out(out, z, head);
          d_weight.add(z, part);
        }
        if (is_wanted) gradients = {d_hidden.view(hidden.sizes()), d_weight.result()};
        if (options.log_prob) *options.log_prob = log_prob;
        if (options.entropy) *options.entropy = entropy;
        return values.sum().to(hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
      });
}

}  // namespace emend::cuda
