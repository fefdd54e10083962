#pragma once

#include <emend/evaluation/options.hpp>
#include <emend/libtorch/loss/options.hpp>
#include <emend/libtorch/tensor/as_tensor.hpp>
#include <emend/libtorch/tensor/backend.hpp>

#include <ATen/ops/empty.h>

#include <span>
#include <string>
#include <vector>

namespace emend::detail {

/// A mask or weight for targets of a shape [.., T]: as it is where it has the targets' shape or number of entries; one
/// number a sequence, [..] or [.., 1], repeated over its tokens. Throws std::invalid_argument on another shape, and on
/// [..] where torch's own rule would repeat it over the sequences.
inline tensor_column beside_targets(const char* argument, const tensor_column& given, const at::Tensor& ids) {
  const at::Tensor& x = given.tensor();
  require_constant(argument, x);
  if (!x.defined() || x.sizes() == ids.sizes() || ids.dim() < 2) {
    if (x.defined()) require_shape(argument, x, ids.sizes());
    return given;
  }
  if (x.dim() == 1 && x.numel() == ids.numel()) return given;
  const at::IntArrayRef leading = ids.sizes().slice(0, static_cast<std::size_t>(ids.dim()) - 1);
  std::vector<std::int64_t> with_one = leading.vec();
  with_one.push_back(1);
  const bool is_per_sequence = x.sizes() == leading || x.sizes() == at::IntArrayRef(with_one);
  if (!is_per_sequence && x.dim() == 1) return given;  // its length is refused
  require_shape(argument, x, is_per_sequence ? x.sizes() : ids.sizes());
  // Equal extents, as [2] for [2, 2], could be meant either way.
  bool is_ambiguous = x.sizes() == leading && x.numel() > 1;
  for (index d = 1; d <= x.dim(); ++d) is_ambiguous &= x.size(-d) == ids.size(-d) || x.size(-d) == 1;
  if (is_ambiguous)
    fail(argument,
         "shape " + text_of_shape(ids.sizes()) + ", or " + text_of_shape(with_one) + " for a number a sequence",
         text_of_shape(x.sizes()) + ", which could be one a position, too");
  return tensor_column(per_sequence(x, ids), argument);
}

/// The options of an evaluation over M terms, with the checks that only tensors need.
struct tensor_call {
  tensor_column targets;
  evaluation_options options;
  std::vector<double> per_token;

  tensor_call(const at::Tensor& scores, const at::Tensor& ids, const tensor_loss_options& given)
      : targets(ids, "targets") {
    if (!ids.defined()) fail("targets", "a tensor", "an undefined one");
    require_score_tensor("scores", scores);
    if (!given.rows.is_given())
      require_shape("targets", ids, scores.sizes().slice(0, static_cast<std::size_t>(scores.dim()) - 1));
    options = {.mask = beside_targets("mask", given.mask, ids),
               .weight = beside_targets("weight", given.weight, ids),
               .ignore_id = given.ignore_id,
               .rows = given.rows,
               .links = given.links,
               .normaliser = given.normaliser,
               .transform = given.transform,
               .kept = given.kept,
               .with_log_sum_squares = given.with_log_sum_squares,
               .per_token = given.per_token ? &per_token : nullptr};
  }
  template <class Value>
  void report(const Value& got, const at::Tensor& ids, const tensor_loss_options& given) const {
    if (given.per_token) *given.per_token = as_tensor(per_token, ids);
    if (given.metrics)
      *given.metrics = as_tensor(std::span<const double>(got.metrics), at::empty({0}, ids.options().dtype(at::kFloat)));
  }
};

}  // namespace emend::detail
