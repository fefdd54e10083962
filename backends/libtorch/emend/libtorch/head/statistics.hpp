#pragma once

#include <emend/evaluation/statistics.hpp>
#include <emend/libtorch/head/row_statistics.hpp>
#include <emend/libtorch/tensor/threads.hpp>
#include <emend/libtorch/tensor/as_tensor.hpp>

#include <ATen/ops/empty_strided.h>

#include <optional>

namespace emend {

/// `statistics_columns` as tensors, of the targets' shape; what was not asked for is undefined.
struct statistics_tensors {
  at::Tensor log_prob, log_z, score, entropy, log_sum_squares, mean_score, max_log_prob;
  at::Tensor arg_max;          ///< int64
  at::Tensor is_arg_max;       ///< bool
  at::Tensor chosen_log_prob;  ///< of the targets' shape, [.., K]
};

namespace detail {

/// Of scores [.., V], at least one row, on their device; options without chosen ids, kept ids and temperatures of each
/// row. type: of the results, if not double for double and else float.
inline statistics_tensors statistics_on_device(const device_scores& x, const at::Tensor& targets,
                                               const statistics_options& options,
                                               std::optional<at::ScalarType> type = {}) {
  const at::NoGradGuard no_graph;
  const tensor_column ids(targets, "targets");
  const head_shape shape = backend<device_scores>::shape(x);
  require_length("targets", static_cast<const id_column&>(ids).size(), shape.rows);
  if (options.mask.is_given()) require_length("mask", options.mask.size(), shape.rows);
  require_length("chosen", options.chosen.size(), 0);
  check_transform(options.transform, shape.rows);
  if (shape.vocab < 1) fail("scores", "a vocabulary of at least 1", std::to_string(shape.vocab));
  check_known_targets(ids, options.mask, {}, options.ignore_id, shape.vocab);
  const bool with_extras = options.with_log_sum_squares || options.with_mean_score || options.with_arg_max;
  const head_request request{{}, {}, nullptr, options.transform, options.kept, with_extras};
  const op_chain chain(request, x.scores.scalar_type());
  const device_targets known(targets, shape.vocab, x.scores.device());
  const device_statistics rows = statistics_of_block(chain, in_three_dimensions(x.scores), known.ids);
  at::Tensor is_counted;
  if (options.mask.is_given()) is_counted = column_on_device(options.mask, {0, shape.rows, x.scores.device()}) != 0;
  is_counted = and_not_ignored(is_counted, targets, options.ignore_id, x.scores.device());
  const at::Tensor is_left_out = is_counted.defined() ? is_counted.bitwise_not() : at::Tensor();
  const auto counted = [&](const at::Tensor& values, double other) {
    return (is_left_out.defined() ? values.masked_fill(is_left_out, other) : values).view(targets.sizes());
  };
  const at::ScalarType of_results = type.value_or(x.scores.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const auto number = [&](const at::Tensor& values, bool is_wanted = true) {
    return is_wanted ? counted(values, 0).to(of_results) : at::Tensor();
  };
  const auto of_target = [&](const at::Tensor& values) {
    return number(values.masked_fill(known.is_wrong, not_a_number));
  };
  statistics_tensors result{of_target(rows.log_prob()),
                            number(rows.log_z),
                            of_target(rows.score),
                            number(rows.entropy),
                            number(rows.log_sum_squares, options.with_log_sum_squares),
                            number(rows.mean_score, options.with_mean_score),
                            number(rows.max_log_prob, options.with_arg_max),
                            {},
                            {},
                            {}};
  if (options.with_arg_max) {
    result.arg_max = counted(rows.arg_max, -1);
    result.is_arg_max = counted(rows.arg_max == known.ids.masked_fill(known.is_wrong, -2), 0);
  }
  return result;
}

}  // namespace detail

/// As `statistics`. x: [.., V] on any device, any dtype of scores; targets: its leading shape. In double for double,
/// else in float. On another device than the host nothing comes back, and with targets and mask there, too, the host
/// does not wait: a counted id outside [0, V) that it does not know of makes score and log-probability NaN. Chosen ids,
/// kept ids and temperatures of each row need the host: a few numbers a row come back then. Throws
/// std::invalid_argument as `statistics` does. The numbers are constants of autograd: a derivative is `loss`'s.
inline statistics_tensors statistics(const at::Tensor& x, const at::Tensor& targets,
                                     const statistics_options& options = {}) {
  detail::require_score_tensor("scores", x);
  detail::require_shape("targets", targets, x.sizes().slice(0, static_cast<std::size_t>(x.dim()) - 1));
  const device_scores on_device{x.detach()};
  const bool goes_through_host = options.chosen_per_row != 0 || options.kept.offsets.is_given() ||
                                 options.transform.temperatures.is_given() || targets.numel() == 0;
  if (!x.is_cpu() && !goes_through_host) return detail::statistics_on_device(on_device, targets, options);
  const tensor_column ids(targets, "targets");
  const statistics_columns got = x.is_cpu() ? statistics(on_device.scores, id_column(ids), options, torch_threads{})
                                            : statistics(on_device, id_column(ids), options);
  const at::Tensor like =
      at::empty_strided(targets.sizes(), std::vector<std::int64_t>(static_cast<std::size_t>(targets.dim()), 0),
                        x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  const auto tensor = [&](const auto& column) {
    return column.empty() && targets.numel() > 0 ? at::Tensor() : as_tensor(column, like);
  };
  statistics_tensors result{tensor(got.log_prob),        tensor(got.log_z),
                            tensor(got.score),           tensor(got.entropy),
                            tensor(got.log_sum_squares), tensor(got.mean_score),
                            tensor(got.max_log_prob),    tensor(got.arg_max),
                            tensor(got.is_arg_max),      {}};
  if (!got.chosen_log_prob.empty()) {
    std::vector<std::int64_t> shape = targets.sizes().vec();
    shape.push_back(options.chosen_per_row);
    result.chosen_log_prob = tensor(got.chosen_log_prob).view(shape);
  }
  return result;
}

}  // namespace emend
