#pragma once

#include <emend/advantage/group_relative.hpp>
#include <emend/libtorch/algorithm/gae.hpp>
#include <emend/libtorch/algorithm/seq2seq_rewards.hpp>
#include <emend/libtorch/algorithm/token_rewards.hpp>
#include <emend/libtorch/algorithm/token_weights.hpp>
#include <emend/libtorch/algorithm/whitening.hpp>
#include <emend/libtorch/algorithm/results.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <vector>

namespace emend {

/// `group_relative_advantages` as tensors, [B].
struct group_relative_tensors {
  at::Tensor advantage, baseline, deviation;
};

namespace detail {

// `group_relative` by ATen's operations, in double: how many groups there are the host does not know, so that each
// sequence is compared with all.

/// Moments of a set for each of n sequences, [n]; equal numbers have no spread, exactly.
struct group_moments {
  at::Tensor count, sum, first, is_constant, mean, squares;

  /// belongs: [n, B], whether each of x is of the sequence's set. x: [B], finite wherever it belongs.
  group_moments(const at::Tensor& belongs, const at::Tensor& x) {
    const at::Tensor of_set = x.masked_fill(belongs.bitwise_not(), 0),
                     places = at::arange(x.size(0), x.options().dtype(at::kLong));
    const at::Tensor place = places.masked_fill(belongs.bitwise_not(), x.size(0)).amin(1);
    count = belongs.sum(1).to(at::kDouble);
    sum = of_set.sum(1);
    first = at::cat({x, at::zeros({1}, x.options())}).gather(0, place);
    is_constant = (x == first.unsqueeze(1)).bitwise_or_(belongs.bitwise_not()).all(1);
    mean = at::where(is_constant, first, sum / count);
    squares =
        (x - mean.unsqueeze(1)).square_().masked_fill_(belongs.bitwise_not(), 0).sum(1).masked_fill_(is_constant, 0);
  }
};

inline at::Tensor deviation_on_device(const at::Tensor& count, const at::Tensor& squares, bool is_unbiased) {
  const at::Tensor divisor = is_unbiased ? count - 1 : count;
  return at::where(divisor > 0, squares / divisor, at::zeros_like(squares)).sqrt_();
}

/// Advantages, baselines and deviations of the sequences first .. first + n - 1, [3, n]. reward, group, is_present:
/// [B].
inline at::Tensor group_relative_of(const at::Tensor& reward, const at::Tensor& group, const at::Tensor& is_present,
                                    const group_moments& batch, index first, index n,
                                    const group_relative_options& options) {
  const at::Tensor own = reward.narrow(0, first, n), own_present = is_present.narrow(0, first, n).to(at::kDouble),
                   known = reward.masked_fill(reward != reward, 0);
  const at::Tensor belongs = (group.narrow(0, first, n).unsqueeze(1) == group).bitwise_and_(is_present);
  const group_moments whole(belongs, known);
  const at::Tensor others = whole.count - own_present, is_lone = others == 0, zero = at::zeros_like(own),
                   one = at::ones_like(own);
  const at::Tensor alone = options.lone == lone_sequence::raw ? zero : own;
  const auto scoped = [&](reward_scope scope, const at::Tensor& none, const at::Tensor& of_lone,
                          const at::Tensor& of_group, const at::Tensor& of_batch, auto&& of_others) {
    switch (scope) {
      case reward_scope::group:
        return at::where(is_lone, of_lone, of_group);
      case reward_scope::batch:
        return of_batch.expand_as(own);
      case reward_scope::leave_one_out:
        return at::where(is_lone, of_lone, of_others());
      case reward_scope::none:
        break;
    }
    return none;
  };
  const at::Tensor mean_of_others =
      at::where(whole.is_constant, whole.first,
                (whole.sum - known.narrow(0, first, n).masked_fill(own_present == 0, 0)) / others);
  const auto deviation_of_others = [&] {
    const at::Tensor places = at::arange(reward.size(0), group.options()),
                     is_other = belongs.bitwise_and(places != places.narrow(0, first, n).unsqueeze(1));
    const group_moments left(is_other, known);
    // About the mean that the host takes, the group's sum less the own reward.
    const at::Tensor squares = (known - mean_of_others.unsqueeze(1))
                                   .square_()
                                   .masked_fill_(is_other.bitwise_not(), 0)
                                   .sum(1)
                                   .masked_fill_(left.is_constant, 0);
    return deviation_on_device(others, squares, options.is_unbiased);
  };
  const at::Tensor mean = scoped(options.mean, zero, alone, whole.mean, batch.mean, [&] { return mean_of_others; });
  const at::Tensor of_group = deviation_on_device(whole.count, whole.squares, options.is_unbiased);
  const bool is_raw = options.lone == lone_sequence::raw;
  const at::Tensor deviation =
      scoped(options.deviation, one,
             is_raw                                     ? one
             : options.deviation == reward_scope::group ? of_group
                                                        : zero,
             of_group, deviation_on_device(batch.count, batch.squares, options.is_unbiased), deviation_of_others);
  at::Tensor divisor = one;
  if (options.deviation != reward_scope::none) {
    divisor = deviation + options.epsilon;
    if (options.keeps_constant) divisor = at::where(deviation == 0, one, divisor);
  }
  const at::Tensor advantage = at::where(divisor > 0, (own - mean) / divisor, zero);
  return at::stack({advantage, mean, deviation}).masked_fill_(own != own, 0);
}

inline group_relative_tensors group_relative_by_operations(const at::Tensor& reward, const at::Tensor& group,
                                                           const group_relative_options& options) {
  const tensor_column rewards(reward, "reward"), ids(group, "group");
  const at::NoGradGuard no_graph;
  const index sequences = static_cast<const column&>(rewards).size();
  const id_column& given = ids;
  if (given.size() > 0) require_length("group", given.size(), sequences);
  if (options.counts.is_given()) require_length("counts", options.counts.size(), sequences);
  require_not_negative("epsilon", options.epsilon);
  if (sequences == 0) return {result_like(reward, reward), result_like(reward, reward), result_like(reward, reward)};
  const at::Tensor r = reward.detach().to(at::kDouble).reshape({-1});
  const at::Tensor groups =
      given.size() > 0 ? ids_on_device(given, r.device()) : at::zeros({sequences}, r.options().dtype(at::kLong));
  at::Tensor is_present = r == r;
  if (options.counts.is_given())
    is_present = is_present.bitwise_and(column_on_device(options.counts, {0, sequences, r.device()}) != 0);
  group_moments batch(is_present.unsqueeze(0), r.masked_fill(r != r, 0));
  if (options.batch.count != 0) {
    const auto number = [&](double x) { return at::full({1}, x, r.options()); };
    batch.count = number(options.batch.count), batch.mean = number(options.batch.mean),
    batch.squares = number(options.batch.squares);
  }
  // Of B x B comparisons as many at a time as take some megabytes.
  const index step = std::max<index>(1, (index{1} << 22) / sequences);
  std::vector<at::Tensor> parts;
  for (index first = 0; first < sequences; first += step)
    parts.push_back(group_relative_of(r, groups, is_present, batch, first, std::min(step, sequences - first), options));
  const at::Tensor all = at::cat(parts, 1);
  return {result_like(all.select(0, 0), reward), result_like(all.select(0, 1), reward),
          result_like(all.select(0, 2), reward)};
}

}  // namespace detail

}  // namespace emend
