#pragma once

#include <emend/libtorch/head/scores.hpp>
#include <emend/libtorch/tensor/token.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/where.h>

#include <optional>
#include <vector>

namespace emend::detail {

/// Ids of targets on a device, [N]. A wrong one is known there alone: its token's numbers are NaN.
struct device_targets {
  at::Tensor ids;       ///< 0 in place of wrong ones
  at::Tensor is_wrong;  ///< outside [0, vocab)
  device_targets(const at::Tensor& targets, index vocab, const at::Device& device) {
    const at::Tensor given = targets.detach().reshape({-1}).to(at::TensorOptions().dtype(at::kLong).device(device));
    is_wrong = (given < 0).bitwise_or_(given >= vocab);
    ids = given.masked_fill(is_wrong, 0);
  }
};

/// is_counted, [N] bool or undefined: all, without the targets that are ignore_id.
inline at::Tensor and_not_ignored(const at::Tensor& is_counted, const at::Tensor& targets,
                                  std::optional<index> ignore_id, const at::Device& device) {
  if (!ignore_id) return is_counted;
  const at::Tensor is_there =
      targets.detach().reshape({-1}).to(at::TensorOptions().dtype(at::kLong).device(device)) != *ignore_id;
  return is_counted.defined() ? is_counted.bitwise_and(is_there) : is_there;
}

/// Throws where the host knows of a counted id outside [0, vocab): nothing is brought there to see.
inline void check_known_targets(const tensor_column& targets, const column& mask, const column& weight,
                                std::optional<index> ignore_id, index vocab) {
  const auto is_here = [](const column& values) { return !values.source<device_entries>(); };
  const id_column& ids = targets;
  if (!is_here(targets) || !is_here(mask) || !is_here(weight)) return;
  for (index i = 0; i < ids.size(); ++i)
    if ((!mask.is_given() || mask[i] != 0) && (!weight.is_given() || weight[i] != 0) && ids[i] != ignore_id)
      require_position("targets", i, ids[i], vocab);
}

/// Statistics of rows and scores of their targets, [n] each, in double on the rows' device.
struct device_statistics {
  at::Tensor top, log_sum;  ///< as the slopes of op_chain want them: the largest score before its multiplier, and log
                            ///< sum exp of what is below it
  at::Tensor log_z, log_z_tail, entropy, score;
  at::Tensor log_sum_squares;                    ///< NaN where the chain has no extras
  at::Tensor mean_score, max_log_prob, arg_max;  ///< where it has; arg_max -1 in a row with NaN

  /// x: [n, V]; target: [n], within the vocabulary.
  device_statistics(const op_chain& chain, const at::Tensor& x, const at::Tensor& target) {
    const at::Tensor columns = chain.statistics(x, {});
    const at::Tensor largest = columns[op_chain::of_top], sum = columns[op_chain::of_sum],
                     max_score = largest * chain.multiplier_of(0);
    const at::Tensor is_unknown = (largest < infinity).bitwise_not_(), is_empty = largest == -infinity;
    const auto known = [&](const at::Tensor& values, double where_empty) {
      return values.masked_fill(is_empty, where_empty).masked_fill_(is_unknown, not_a_number);
    };
    const at::Tensor of_row = sum.log();
    log_z = known(max_score + of_row, -infinity);
    log_z_tail = (max_score - log_z + of_row).masked_fill_(is_empty, 0);
    entropy = known((of_row - columns[op_chain::of_weighted] / sum).clamp_min_(0), 0);
    if (chain.columns() == op_chain::of_squares) {
      log_sum_squares = at::full_like(log_z, not_a_number);
    } else {
      log_sum_squares = known(columns[op_chain::of_squares].log() - 2 * of_row, -infinity);
      mean_score =
          known(columns[op_chain::of_plain] * (chain.multiplier_of(0) / static_cast<double>(x.size(1))), -infinity);
      max_log_prob = known(of_row.neg(), -infinity);
      arg_max = columns[op_chain::of_arg_max].masked_fill(is_unknown, -1).to(at::kLong);
    }
    top = known(largest, 0);
    log_sum = of_row.masked_fill(is_empty, 0);
    score = chain.scores(x.gather(1, target.unsqueeze(1)).squeeze(1).to(at::kDouble));
  }
  device_statistics(const std::vector<device_statistics>& parts) {
    const auto join = [&](at::Tensor device_statistics::* member) {
      if (!(parts[0].*member).defined()) return;
      std::vector<at::Tensor> all;
      for (const device_statistics& part : parts) all.push_back(part.*member);
      this->*member = all.size() == 1 ? all[0] : at::cat(all);
    };
    using own = device_statistics;
    for (const auto member : {&own::top, &own::log_sum, &own::log_z, &own::log_z_tail, &own::entropy, &own::score,
                              &own::log_sum_squares, &own::mean_score, &own::max_log_prob, &own::arg_max})
      join(member);
  }
  at::Tensor log_prob() const { return at::where(score == -infinity, score, score - log_z - log_z_tail); }
};

/// Of all rows of [B, T, V] scores; target: [B T], within the vocabulary.
inline device_statistics statistics_of_block(const op_chain& chain, const at::Tensor& block, const at::Tensor& target) {
  std::vector<device_statistics> parts;
  for_each_score_chunk(block, [&](const at::Tensor& chunk, index first) {
    parts.emplace_back(chain, chunk, target.narrow(0, first, chunk.size(0)));
  });
  return device_statistics(parts);
}

}  // namespace emend::detail
