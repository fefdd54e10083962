#pragma once

#include <emend/libtorch/algorithms.hpp>
#include <emend/libtorch_cuda/loss.hpp>

#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <c10/util/StringUtil.h>

#include <string>
#include <utility>

namespace emend::cuda {

// What emend/libtorch/algorithms.hpp does by many operations, by one or two kernels on torch's current stream.
// Inputs are made contiguous and of float where they are not; results lie on the device. Wrong shapes, types and
// devices throw std::invalid_argument; numbers that only the device knows (an id out of range, NaN) show in the
// results, as each says.

namespace detail {

inline at::Tensor on_device(const char* argument, const at::Tensor& x, at::ScalarType type) {
  if (!x.defined() || !x.is_cuda())
    emend::detail::fail(argument, "a tensor on a device of CUDA", x.defined() ? x.device().str() : "none");
  emend::detail::require_constant(argument, x);
  return x.detach().to(type).contiguous();
}
/// Of the shape and on the device of `of`, or undefined.
inline at::Tensor beside(const char* argument, const at::Tensor& x, at::ScalarType type, at::IntArrayRef shape,
                         const at::Device& device) {
  if (!x.defined()) return x;
  if (x.sizes() != shape || x.device() != device)
    emend::detail::fail(argument, c10::str("a tensor of shape ", shape, " on ", device),
                        c10::str(x.sizes(), " on ", x.device()));
  emend::detail::require_constant(argument, x);
  return x.detach().to(type).contiguous();
}
template <class T>
const T* pointer_of(const at::Tensor& x) {
  return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
}
template <class T>
T* writable_of(const at::Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}
inline cudaStream_t stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

}  // namespace detail

/// `gae` of rows [.., T]. mask: the same or undefined; bootstrap: [..] or undefined, in place of options.bootstrap,
/// which is the host's.
inline advantage_tensors gae(const at::Tensor& reward, const at::Tensor& value, const at::Tensor& mask,
                             const at::Tensor& bootstrap = {}, const gae_options& options = {}) {
  const at::Tensor rewards = detail::on_device("reward", reward, at::kFloat);
  const c10::cuda::CUDAGuard guard(rewards.device());
  if (rewards.dim() < 1) emend::detail::fail("reward", "[.., T]", "a scalar");
  if (options.bootstrap.is_given())
    emend::detail::fail("options.bootstrap", "the tensor argument instead", "a column of the host");
  emend::detail::check(options);
  const at::Tensor values = detail::beside("value", value, at::kFloat, rewards.sizes(), rewards.device()),
                   counted = detail::beside("mask", mask, at::kBool, rewards.sizes(), rewards.device());
  const at::Tensor after =
      detail::beside("bootstrap", bootstrap, at::kFloat,
                     rewards.sizes().slice(0, static_cast<std::size_t>(rewards.dim()) - 1), rewards.device());
  if (!values.defined()) emend::detail::fail("value", "a tensor of the rewards' shape", "none");
  advantage_tensors result{at::empty_like(rewards), at::empty_like(rewards)};
  const index tokens = rewards.size(-1);
  detail::require_launched(launch_gae({.reward = detail::pointer_of<float>(rewards),
                                       .value = detail::pointer_of<float>(values),
                                       .mask = detail::pointer_of<bool>(counted),
                                       .bootstrap = detail::pointer_of<float>(after),
                                       .rows = tokens == 0 ? 0 : rewards.numel() / tokens,
                                       .tokens = tokens,
                                       .gamma = options.gamma,
                                       .lambda = options.lambda,
                                       .value_lambda = options.value_lambda,
                                       .length_adaptive_alpha = options.length_adaptive_alpha,
                                       .holes = options.holes,
                                       .advantage = detail::writable_of<float>(result.advantage),
                                       .returns = detail::writable_of<float>(result.returns)},
                                      detail::stream()));
  return result;
}

/// `whiten` of values of any shape; mask: the same or undefined.
inline at::Tensor whiten(const at::Tensor& values, const at::Tensor& mask, const whiten_options& options = {}) {
  const at::Tensor x = detail::on_device("values", values, at::kFloat);
  const c10::cuda::CUDAGuard guard(x.device());
  emend::detail::check(options);
  const at::Tensor counted = detail::beside("mask", mask, at::kBool, x.sizes(), x.device()), out = at::empty_like(x);
  const at::Tensor scratch = at::empty({whiten_scratch_bytes(x.numel())}, x.options().dtype(at::kByte));
  detail::require_launched(launch_whiten({.values = detail::pointer_of<float>(x),
                                          .mask = detail::pointer_of<bool>(counted),
                                          .count = x.numel(),
                                          .options = options,
                                          .out = detail::writable_of<float>(out)},
                                         scratch.mutable_data_ptr(), detail::stream()));
  return out;
}

/// Options of `sample_rows` on a device; see `sample_problem`.
struct sample_tensor_options {
  double temperature = 1;
  index top_k = 0;  ///< 0: all
  double top_p = 1, min_p = 0;
  at::Tensor streams = {};  ///< int64 [..]: the number of each row's stream; undefined: the row's own number
};

/// Drawn ids int64 [..], and their log-probabilities in double.
struct drawn_tensors {
  at::Tensor ids, log_prob;
};

/// One id for every row of scores [.., V], of float, bfloat16 or half and any strides: see `sample_problem`; -1 where
/// none can be drawn.
inline drawn_tensors sample_rows(const at::Tensor& scores, const counter_random& random, std::uint64_t step,
                                 const sample_tensor_options& options = {}) {
  emend::detail::require_score_tensor("scores", scores);
  if (!scores.is_cuda() || scores.scalar_type() == at::kDouble)
    emend::detail::fail("scores", "a tensor of float, bfloat16 or half on a device of CUDA", scores.toString());
  if (scores.size(-1) < 1 || scores.size(-1) >= index{1} << 24)
    emend::detail::fail("scores", "a vocabulary of 1 to 2^24 - 1", std::to_string(scores.size(-1)));
  emend::detail::require_positive("temperature", options.temperature);
  if (options.top_k < 0) emend::detail::fail("top_k", "0 for all, or a number above it", std::to_string(options.top_k));
  if (!(options.top_p > 0 && options.top_p <= 1))
    emend::detail::fail("top_p", "a number in (0, 1]", std::to_string(options.top_p));
  if (!(options.min_p >= 0 && options.min_p <= 1))
    emend::detail::fail("min_p", "a number in [0, 1]", std::to_string(options.min_p));
  const c10::cuda::CUDAGuard guard(scores.device());
  const auto shape = scores.sizes().slice(0, static_cast<std::size_t>(scores.dim()) - 1);
  const at::Tensor rows = scores.detach().reshape({-1, scores.size(-1)}),
                   streams = detail::beside("streams", options.streams, at::kLong, shape, scores.device());
  drawn_tensors result{at::empty(shape, scores.options().dtype(at::kLong)),
                       at::empty(shape, scores.options().dtype(at::kDouble))};
  emend::detail::with_storage_of(scores.scalar_type(), [&]<class T>(T*) {
    if constexpr (!std::is_same_v<T, double>)
      detail::require_launched(
          launch_sample(sample_problem<T>{.scores = static_cast<const T*>(rows.const_data_ptr()),
                                          .rows = rows.size(0),
                                          .vocab = rows.size(1),
                                          .row_stride = rows.stride(0),
                                          .vocab_stride = rows.stride(1),
                                          .temperature = options.temperature,
                                          .top_k = options.top_k,
                                          .top_p = options.top_p,
                                          .min_p = options.min_p,
                                          .random = random,
                                          .step = step,
                                          .streams = detail::pointer_of<std::int64_t>(streams),
                                          .ids = detail::writable_of<std::int64_t>(result.ids),
                                          .log_prob = detail::writable_of<double>(result.log_prob)},
                        detail::stream()));
  });
  return result;
}

namespace detail {

inline at::Tensor parents_of(const at::Tensor& parent) {
  if (!parent.defined() || !parent.is_cuda() || parent.dim() != 1 || !at::isIntegralType(parent.scalar_type(), false))
    emend::detail::fail(
        "parent", "ids, [N], on a device of CUDA",
        parent.defined() ? c10::str(parent.sizes(), " of ", parent.scalar_type(), " on ", parent.device()) : "none");
  return parent.detach().to(at::kLong).contiguous();
}

}  // namespace detail

/// The attention mask of a packed forest, bool [N, N]: see `write_attention_mask`. parent: int64 [N]; one that is not
/// earlier counts as none.
inline at::Tensor attention_mask(const at::Tensor& parent) {
  const at::Tensor parents = detail::parents_of(parent);
  const c10::cuda::CUDAGuard guard(parents.device());
  const at::Tensor mask = at::empty({parents.numel(), parents.numel()}, parents.options().dtype(at::kBool));
  detail::require_launched(
      launch_ancestors({.parent = detail::pointer_of<std::int64_t>(parents), .nodes = parents.numel()},
                       detail::writable_of<bool>(mask), true, false, detail::stream()));
  return mask;
}

/// Position of each node of a packed forest, int64 [N].
inline at::Tensor position_ids(const at::Tensor& parent) {
  const at::Tensor parents = detail::parents_of(parent);
  const c10::cuda::CUDAGuard guard(parents.device());
  const at::Tensor position = at::empty_like(parents);
  detail::require_launched(launch_ancestors<bool>({.parent = detail::pointer_of<std::int64_t>(parents),
                                                   .nodes = parents.numel(),
                                                   .position = detail::writable_of<std::int64_t>(position)},
                                                  nullptr, true, false, detail::stream()));
  return position;
}

/// `extract_rewards` of x: [B, T, V], any strides; response: int64 [B, T]; mask: the same or undefined. A response id
/// outside [0, V) makes its row's log-probability NaN. options: reference_log_prob is the tensor argument here, in
/// double [B, T]; no soft cap and no temperature of each row; whitening is done by operations of torch.
inline seq2seq_reward_tensors extract_rewards(const at::Tensor& x, const at::Tensor& response, const at::Tensor& mask,
                                              const seq2seq_reward_options& options = {},
                                              const at::Tensor& reference_log_prob = {}) {
  emend::detail::require_score_tensor("scores", x);
  if (x.dim() != 3 || !x.is_cuda())
    emend::detail::fail("scores", "[B, T, V] on a device of CUDA", c10::str(x.sizes(), " on ", x.device()));
  if (options.transform.soft_cap != 0 || options.transform.temperatures.is_given())
    emend::detail::fail("transform", "a temperature and a scale alone", "a soft cap or a temperature of each row");
  emend::detail::require_positive("temperature", options.transform.temperature);
  emend::detail::require_positive("logit_scale", options.transform.logit_scale);
  emend::detail::require_bound("clip", options.clip);
  emend::detail::require_not_negative("whiten_epsilon", options.whiten_epsilon);
  if (options.reference_log_prob.is_given())
    emend::detail::fail("options.reference_log_prob", "the tensor argument instead", "a column of the host");
  if (options.has_truncation_penalty && options.end_ids.empty())
    emend::detail::fail("end_ids", "at least one id, since has_truncation_penalty is set", "none");
  if (options.mode == reward_mode::dense && !reference_log_prob.defined())
    emend::detail::fail("reference_log_prob", "a tensor of the responses' shape", "none");
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor block = x.detach();
  const auto shape = x.sizes().slice(0, 2);
  const at::Tensor ids = detail::beside("response", response, at::kLong, shape, x.device()),
                   counted = detail::beside("mask", mask, at::kBool, shape, x.device());
  const at::Tensor reference = detail::beside("reference_log_prob", reference_log_prob, at::kDouble, shape, x.device());
  if (!ids.defined()) emend::detail::fail("response", "a tensor of the scores' leading shape", "none");
  const index end_id_count = options.has_truncation_penalty ? options.end_ids.size() : 0;
  if (end_id_count > most_end_ids)
    emend::detail::fail("end_ids", c10::str("at most ", most_end_ids, " ids"), std::to_string(options.end_ids.size()));
  const auto tensor = [&](at::IntArrayRef of, at::ScalarType type) { return at::empty(of, x.options().dtype(type)); };
  seq2seq_reward_tensors result{.score = tensor(shape, at::kDouble),
                                .arg_max = tensor(shape, at::kLong),
                                .log_prob = tensor(shape, at::kDouble),
                                .divergence = tensor({x.size(0)}, at::kLong),
                                .sequence_score = tensor({x.size(0)}, at::kDouble),
                                .copy_log_likelihood = tensor({x.size(0)}, at::kDouble)};
  const at::Tensor max_log_prob = tensor(shape, at::kDouble);
  emend::detail::with_storage_of(x.scalar_type(), [&]<class T>(T*) {
    reward_problem<T> p{.scores = static_cast<const T*>(block.const_data_ptr()),
                        .sequences = block.size(0),
                        .tokens = block.size(1),
                        .vocab = block.size(2),
                        .batch_stride = block.stride(0),
                        .token_stride = block.stride(1),
                        .vocab_stride = block.stride(2),
                        .multiplier = options.transform.logit_scale / options.transform.temperature,
                        .response = detail::pointer_of<std::int64_t>(ids),
                        .mask = detail::pointer_of<bool>(counted),
                        .reference_log_prob = detail::pointer_of<double>(reference),
                        .reward = {options.mode, options.positive, options.negative, options.clip, options.neutral,
                                   options.is_neutral_positive},
                        .is_per_length = options.normalise == reward_normalisation::per_length,
                        .truncation_penalty = options.has_truncation_penalty ? options.negative : 0,
                        .log_prob = detail::writable_of<double>(result.log_prob),
                        .max_log_prob = detail::writable_of<double>(max_log_prob),
                        .score = detail::writable_of<double>(result.score),
                        .arg_max = detail::writable_of<std::int64_t>(result.arg_max),
                        .divergence = detail::writable_of<std::int64_t>(result.divergence),
                        .sequence_score = detail::writable_of<double>(result.sequence_score),
                        .copy_log_likelihood = detail::writable_of<double>(result.copy_log_likelihood)};
    p.end_id_count = end_id_count;
    for (index k = 0; k < p.end_id_count; ++k) p.end_ids[k] = options.end_ids[k];
    detail::require_launched(launch_rewards(p, detail::stream()));
  });
  if (options.normalise == reward_normalisation::whiten) {
    const at::Tensor all =
        counted.defined() ? counted : at::ones_like(result.score, result.score.options().dtype(at::kBool));
    result.score = emend::detail::over_deviation(result.score, counted, options);
    const at::Tensor length = all.sum(1).to(at::kDouble);
    result.sequence_score = at::where(length > 0, result.score.sum(1) / length.clamp_min(1), at::zeros_like(length));
  }
  return result;
}

}  // namespace emend::cuda
