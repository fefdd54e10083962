#pragma once

#include <emend/heads/score_transform.hpp>
#include <emend/libtorch/tensor/column.hpp>

#include <optional>

namespace emend {

/// Options of `loss`: those of `evaluation_options`, each column a tensor or anything that is a column.
/// For targets [.., T], mask and weight may also be tensors [.., 1] or [..] of one number a sequence, which holds at
/// each of its tokens. [..] is refused where its extents are those of the last dimensions, too, as [2] for [2, 2].
struct tensor_loss_options {
  /// Of the targets' shape; 0: not evaluated, its row, if nobody else reads it, not read; on a device computed with the
  /// others and left out.
  tensor_column mask = {};
  tensor_column weight = {};  ///< of the targets' shape, default 1
  /// A target that stands for "none": its term is as a masked one. The field's -100; by default no id is one.
  std::optional<index> ignore_id = {};
  tensor_column rows = {};   ///< of the targets' shape: row of each term
  tensor_column links = {};  ///< of the targets' shape: row whose log_z is next_log_z, -1 for none
  double normaliser = 1;     ///< an explicit count, so that parts of a batch add up to the whole
  score_transform transform = {};
  kept_ids kept = {};
  bool with_log_sum_squares = false;
  /// The gradient takes the memory of the logits, whose values are then gone: no extra memory. Autograd refuses what
  /// else had saved them. Logits alone: not for linear_scores.
  bool is_in_place = false;
  at::Tensor* per_token = nullptr;  ///< receives loss(token_i), of the targets' shape, 0 where not evaluated
  at::Tensor* metrics = nullptr;    ///< receives the means of the loss's metrics, [M]
};

}  // namespace emend
