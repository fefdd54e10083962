#pragma once

#include <emend/libtorch/head/row_statistics.hpp>
#include <emend/libtorch/loss/objective_of_all_steps.hpp>
#include <emend/libtorch/loss/trajectory_places.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace emend::detail {

/// An objective over a batch of trajectories whose scores lie on a device: what trajectory_pass does, for all entries
/// at once. The plan of it is made on the host, which no score reaches.
template <class O>
class device_trajectories {
  using places = trajectory_places;

 public:
  /// block: [B, T, V], the scores.
  device_trajectories(const O& objective, const trajectory_columns& columns, const trajectory_options& options,
                      const at::Tensor& block)
      : objective_(objective), block_(block), rows_(block.size(0) * block.size(1)) {
    trajectory_buffers plan;
    const trajectory_pass<O> pass(objective, columns, options, rows_, block.size(2), plan);  // throws on what is wrong
    const index entries = columns.at.size();
    here_.emplace(plan, entries, rows_, block.size(1), !objective.starts_from_value(false),
                  !objective.starts_from_value(true));
    there_ = here_->on(block.device());
    std::vector<double> factors = std::move(plan.weight);
    factors.insert(factors.end(), plan.linear.begin(), plan.linear.end());
    const at::Tensor both = column_on_device(factors, {0, 2 * entries, block.device()});
    weight_ = both.narrow(0, 0, entries);
    linear_ = both.narrow(0, entries, entries);
  }

  /// Whether the objective can be called so: no branch on a number of a step. Costs its operations over no step.
  static bool can_be_called(const O& objective, const at::Device& device) {
    const at::NoGradGuard no_graph;
    try {
      const tensor_number none(at::empty({0}, at::TensorOptions().dtype(at::kDouble).device(device)));
      for (const bool is_rollout : {false, true}) {
        if (objective.counts_step(is_rollout))
          (void)objective.step(is_rollout, none - objective.gamma * next_value(objective, is_rollout, none).value);
        if (objective.counts_tail(is_rollout)) (void)objective.tail(is_rollout, none);
      }
      (void)tensor_condition(objective.is_step_outside(none));
      (void)tensor_condition(objective.is_tail_outside(none));
      return true;
    } catch (const needs_host&) {
      return false;
    }
  }

  /// The loss in double. is_differentiated: `write_gradient` follows; with_parts: `parts` does.
  at::Tensor value(const op_chain& chain, bool is_differentiated, bool with_parts) {
    with_parts_ = with_parts;
    found_.emplace(statistics_of_block(chain, block_, at::zeros({rows_}, block_.options().dtype(at::kLong))));
    scores_ = chain.scores(
        block_.index({there(places::term_batch), there(places::term_token), there(places::term_id)}).to(at::kDouble));
    find_values(chain);
    d_value_ = is_differentiated ? linear_.clone() : at::Tensor();
    const at::Tensor valued = there(places::valued);
    value_term_ = (linear_.index_select(0, valued) * values_.index_select(0, valued)).sum().neg_();
    for (const bool is_rollout : {false, true}) {
      term_[is_rollout] = at::zeros({}, values_.options());
      visit_steps(is_rollout);
      visit_tails(is_rollout);
    }
    if (is_differentiated) find_adjoints();
    return (term_[false] + value_term_ + term_[true]).neg_();
  }

  /// Into rows of [B, T, V], which may be the scores' own.
  void write_gradient(const op_chain& chain, const at::Tensor& out) const {
    const double scale = chain.slope_of(0);
    // Without a largest score there is nothing to differentiate.
    const at::Tensor constant = (d_v_ * scale).masked_fill_(v_ == -infinity, 0), none = at::zeros_like(constant);
    const at::Tensor table = at::stack({top_, log_sum_, constant, none, none}).unsqueeze(-1).to(chain.type());
    const index floors = here_->size(places::floor_rows);
    // V does not depend on the score that it leaves out, whose gradient is what the steps send there.
    at::Tensor of_floors;
    if (floors > 0) {
      const index sent = here_->size(places::slot_of);
      const at::Tensor score = block_.index({there(places::floor_rows).div(block_.size(1), "floor"),
                                             there(places::floor_rows).remainder(block_.size(1)), floor_ids()});
      const at::Tensor v = v_.index_select(0, there(places::floor_rows)), is_unknown = v != v;
      of_floors = d_slots_.index_select(0, there(places::slot_of).narrow(0, sent - floors, floors))
                      .mul_(scale)
                      .mul_(chain.cap_slope(score.to(at::kDouble)))
                      .masked_fill_(score == -infinity, 0)
                      .masked_fill_(is_unknown, not_a_number)
                      .to(chain.type());
    }
    at::Tensor is_unread;
    if (here_->size(places::unread) > 0)
      is_unread = at::zeros({rows_, 1}, table.options().dtype(at::kBool)).index_fill_(0, there(places::unread), true);
    // Of a list of rows in ascending order, the first place that is not before `row`.
    const auto first_of = [&](places::list list, index row) {
      const std::vector<index>& rows = (*here_)[list];
      return static_cast<index>(std::lower_bound(rows.begin(), rows.end(), row) - rows.begin());
    };
    for_each_score_chunk(block_, [&](const at::Tensor& chunk, index first) {
      const index count = chunk.size(0), slot = first_of(places::slot_row, first),
                  slots = first_of(places::slot_row, first + count) - slot, floor = first_of(places::floor_rows, first),
                  floors_here = first_of(places::floor_rows, first + count) - floor;
      const at::Tensor at = (there(places::slot_row).narrow(0, slot, slots) - first)
                                .mul_(chunk.size(1))
                                .add_(there(places::slot_id).narrow(0, slot, slots));
      at::Tensor written = chain.gradient(chunk, {table.narrow(1, first, count), false, false}, at,
                                          d_slots_.narrow(0, slot, slots) * scale);
      if (floors_here > 0)
        written.view({-1}).index_copy_(0,
                                       (there(places::floor_rows).narrow(0, floor, floors_here) - first)
                                           .mul_(chunk.size(1))
                                           .add_(floor_ids().narrow(0, floor, floors_here)),
                                       of_floors.narrow(0, floor, floors_here));
      if (is_unread.defined()) written.masked_fill_(is_unread.narrow(0, first, count), 0);
      write_rows(out, first, written);
    });
  }

  /// The parts of the value on the host, which waits for the device.
  trajectory_value parts() const {
    at::Tensor outside = at::zeros({}, values_.options());
    for (const at::Tensor& of : outside_) outside = outside + of;
    const at::Tensor all = at::stack({term_[false], value_term_, term_[true], outside}).cpu();
    const double* found = static_cast<const double*>(all.const_data_ptr());
    trajectory_value result;
    result.data_term = found[0];
    result.value_term = found[1];
    result.rollout_term = found[2];
    result.value = -result.objective();
    result.steps = here_->size(places::data_steps) + here_->size(places::data_tails);
    result.outside = static_cast<index>(found[3]);
    return result;
  }

 private:
  using value_and_slope = basic_value_and_slope<tensor_number>;

  const at::Tensor& there(places::list of) const { return there_[of]; }
  static value_and_slope next_value(const O& objective, bool is_rollout, const tensor_number& v) {
    if constexpr (requires {
                    { objective.next_value(is_rollout, v) } -> std::same_as<value_and_slope>;
                  })
      return objective.next_value(is_rollout, v);
    else if constexpr (requires { objective.next_value(is_rollout, 0.0); })
      throw needs_host();
    else
      return {v, 1};
  }
  at::Tensor numbers(const tensor_number& x, const at::Tensor& like) const {
    return x.expanded(like.size(0), block_.device());
  }

  /// Ids that V leaves out, of floor_rows.
  at::Tensor floor_ids() const { return there(places::term_id).index_select(0, there(places::floor_terms)); }
  /// Of the rows at the floor without their left-out scores, in double: the largest z, and log sum exp of what is below
  /// it. From the other scores themselves: log_z + log(1 - p) cancels where p is near 1.
  std::pair<at::Tensor, at::Tensor> statistics_without_floor(const op_chain& chain) const {
    constexpr index rows_at_once = 64;
    const index count = here_->size(places::floor_rows), length = block_.size(1);
    const at::Tensor ids = floor_ids();
    std::vector<at::Tensor> largest, log_sum;
    for (index first = 0; first < count; first += rows_at_once) {
      const index size = count - first < rows_at_once ? count - first : rows_at_once;
      const at::Tensor row = there(places::floor_rows).narrow(0, first, size);
      const at::Tensor z = chain.scores(block_.index({row.div(length, "floor"), row.remainder(length)}).to(at::kDouble))
                               .scatter(1, ids.narrow(0, first, size).unsqueeze(1), -infinity);
      largest.push_back(z.amax(1));
      const at::Tensor from = largest.back().masked_fill(largest.back() == -infinity, 0);
      log_sum.push_back((z - from.unsqueeze(1)).exp_().sum(1).log_());
    }
    return {at::cat(largest), at::cat(log_sum)};
  }

  /// V of every row: log_z, or that without one score.
  void find_row_values(const op_chain& chain) {
    const device_statistics& found = *found_;
    v_ = found.log_z;
    top_ = found.top;
    log_sum_ = found.log_sum;
    if (here_->size(places::floor_rows) == 0) return;
    const at::Tensor at = there(places::floor_rows);
    const auto [largest, log_sum] = statistics_without_floor(chain);
    // A row with NaN or infinity has no numbers, whatever its score that is left out.
    const at::Tensor log_z = found.log_z.index_select(0, at), is_nothing = largest == -infinity;
    v_ = v_.index_copy(
        0, at, (largest + log_sum).masked_fill_(is_nothing, -infinity).masked_fill_(log_z != log_z, not_a_number));
    top_ = top_.index_copy(0, at, (largest / chain.multiplier_of(0)).masked_fill_(is_nothing, 0));
    log_sum_ = log_sum_.index_copy(0, at, log_sum.masked_fill(is_nothing, 0));
  }

  /// V of every entry: that of its row, or one score, or 0.
  void find_values(const op_chain& chain) {
    find_row_values(chain);
    values_ = v_.index_select(0, there(places::entry_row));
    if (here_->size(places::ends) > 0)
      values_.index_copy_(0, there(places::ends), scores_.index_select(0, there(places::end_terms)));
    if (here_->size(places::zeros) > 0) values_.index_fill_(0, there(places::zeros), 0);
  }

  void visit_steps(bool is_rollout) {
    const places::list steps = is_rollout ? places::rollout_steps : places::data_steps;
    if (here_->size(steps) == 0) return;
    const at::Tensor at = there(steps), behind = at + 1, weight = weight_.index_select(0, at),
                     own = scores_.index_select(0, at);
    const bool starts_from_value = objective_.starts_from_value(is_rollout);
    const value_and_slope next = next_value(objective_, is_rollout, tensor_number(values_.index_select(0, behind)));
    const tensor_number r =
        tensor_number(starts_from_value ? values_.index_select(0, at) : own) - objective_.gamma * next.value;
    const value_and_slope step = objective_.step(is_rollout, r);
    term_[is_rollout] = term_[is_rollout] + (weight * numbers(step.value, at)).sum();
    if (with_parts_ && !is_rollout) count_outside(objective_.is_step_outside(r), at);
    if (!d_value_.defined()) return;
    const at::Tensor slope = numbers(step.slope, at);
    // A label outside the support is a constant; a phi that falls ever faster must not make infinities of its
    // neighbours.
    const at::Tensor finite = slope.masked_fill((own == -infinity).bitwise_and_(slope.isfinite().bitwise_not_()), 0);
    d_value_.index_add_(0, behind,
                        numbers(chain_product(tensor_number(weight * finite * objective_.gamma), next.slope), at));
    if (starts_from_value)
      d_value_.index_add_(0, at, (weight * slope).neg_());
    else
      d_step_[is_rollout] = (weight * finite).neg_();
  }

  void visit_tails(bool is_rollout) {
    const places::list tails = is_rollout ? places::rollout_tails : places::data_tails;
    if (here_->size(tails) == 0) return;
    const at::Tensor at = there(tails), weight = weight_.index_select(0, at);
    const tensor_number v(values_.index_select(0, at));
    const value_and_slope tail = objective_.tail(is_rollout, v);
    term_[is_rollout] = term_[is_rollout] + (weight * numbers(tail.value, at)).sum();
    if (with_parts_ && !is_rollout) count_outside(objective_.is_tail_outside(v), at);
    if (d_value_.defined()) d_value_.index_add_(0, at, (weight * numbers(tail.slope, at)).neg_());
  }

  void count_outside(const tensor_condition& is_outside, const at::Tensor& like) {
    if (!is_outside.is_constant())
      outside_.push_back(is_outside.tensor().sum());
    else if (is_outside)
      outside_.push_back(at::full({}, like.size(0), values_.options()));
  }

  /// From the entries' V to rows and single scores. Sums of what falls on one place have one order: that of index_put,
  /// which sorts.
  void find_adjoints() {
    std::vector<at::Tensor> sent;
    for (const bool is_rollout : {false, true})
      if (d_step_[is_rollout].defined()) sent.push_back(d_step_[is_rollout]);
    if (here_->size(places::ends) > 0) {
      sent.push_back(d_value_.index_select(0, there(places::ends)));
      d_value_.index_fill_(0, there(places::ends), 0);
    }
    if (here_->size(places::zeros) > 0) d_value_.index_fill_(0, there(places::zeros), 0);
    d_v_ = at::zeros({rows_}, d_value_.options()).index_put_({there(places::entry_row)}, d_value_, true);
    // A score that V leaves out gets nothing of it.
    if (here_->size(places::floor_rows) > 0)
      sent.push_back(at::zeros({here_->size(places::floor_rows)}, d_value_.options()));
    d_slots_ = at::zeros({here_->size(places::slot_row)}, d_value_.options());
    if (!sent.empty()) d_slots_.index_put_({there(places::slot_of)}, at::cat(sent), true);
  }

  const O& objective_;
  at::Tensor block_;
  index rows_;
  std::optional<trajectory_places> here_;
  std::array<at::Tensor, places::slot_of + 1> there_;
  at::Tensor weight_, linear_;  // of entries: w_i / C; derivative of the loss with respect to V by the value terms
  std::optional<device_statistics> found_;
  at::Tensor scores_, values_;    // of terms; V of entries
  at::Tensor v_, top_, log_sum_;  // of rows: V, and what the chain's slopes want of the scores that V is made of
  at::Tensor term_[2], value_term_, d_step_[2], d_value_, d_v_, d_slots_;
  bool with_parts_ = false;
  std::vector<at::Tensor> outside_;  // numbers of data's terms beyond the domain
};

}  // namespace emend::detail
