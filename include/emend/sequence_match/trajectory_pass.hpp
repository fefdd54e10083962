#pragma once

#include <emend/evaluation/terms.hpp>
#include <emend/sequence_match/trajectory_columns.hpp>
#include <emend/sequence_match/trajectory_objective.hpp>

namespace emend::detail {

/// Buffers of one evaluation, kept between calls.
struct trajectory_buffers {
  std::vector<index> targets, rows;          ///< [terms] entries, then single scores that some V is made of
  std::vector<std::uint8_t> is_term, flags;  ///< [terms], [entries]
  std::vector<double> weight,
      linear;                       ///< [entries] w_i / C; derivative of the loss with respect to V by the value terms
  std::vector<index> extra_term;    ///< [entries] term of the single score of a terminal V, -1
  std::vector<index> floor_term;    ///< [rows] term of the score that V leaves out, -1
  std::vector<double> floor_value;  ///< [rows] V without that score, where it has most of the row's mass
};

/// What an entry takes part in.
enum entry_flag : std::uint8_t {
  is_step = 1,       ///< its own step is scored
  follows_step = 2,  ///< its V is the next value of a scored step
  is_tail = 4,       ///< its V is that of a tail
  is_of_rollout = 8,
  is_zero = 16  ///< its V is 0
};

/// One objective over one batch of trajectories.
template <class O>
class trajectory_pass {
 public:
  trajectory_pass(const O& objective, const trajectory_columns& columns, const trajectory_options& options, index rows,
                  index vocab, trajectory_buffers& buffers)
      : objective_(objective), columns_(columns), b_(buffers) {
    check(options, rows, vocab);
    const auto entries = static_cast<std::size_t>(columns.at.size());
    b_.targets.assign(entries, 0);
    b_.rows.resize(entries);
    b_.is_term.assign(entries, 0);
    b_.flags.assign(entries, 0);
    b_.weight.assign(entries, 0);
    b_.linear.assign(entries, 0);
    b_.extra_term.assign(entries, -1);
    b_.floor_term.assign(objective.masked_at_floor >= 0 ? static_cast<std::size_t>(rows) : 0, -1);
    b_.floor_value.assign(b_.floor_term.size(), not_a_number);
    for (index j = 0; j + 1 < columns.offsets.size(); ++j)
      add(j, is_rollout(j) ? options.rollout_normaliser : options.data_normaliser);
  }

  /// The rows that are read, as options of a `term_plan`. Their columns are views of the buffers.
  evaluation_options terms(const trajectory_options& options) const {
    return {.mask = b_.is_term, .rows = b_.rows, .transform = options.transform, .instructions = options.instructions};
  }
  const std::vector<index>& targets() const { return b_.targets; }

  /// Whether each row's adjoint follows from its own statistics and from single scores.
  bool is_separable() const { return !objective_.starts_from_value(false) && !objective_.starts_from_value(true); }

  /// Keeps V of a row whose left-out score has most of the mass, while the row's scores are at hand.
  template <class F>
  void note(index row, evaluation_buffers& found, const row_reader<F>& reader) const {
    if (b_.floor_term.empty() || b_.floor_term[at(row)] < 0) return;
    row_statistics& of = found.statistics[at(row)];
    if (!(log_prob_of(found.scores[at(b_.floor_term[at(row)])], of) >= log_of_half)) return;
    const double value = reader.log_z_without(objective_.masked_at_floor);
    b_.floor_value[at(row)] = value;
    if (!reader.obeys_left_out) return;
    // Whatever is read of the row from here on leaves the score out: no mass of it has to cancel.
    of.log_z = value;
    of.log_z_tail = 0;
    of.left_out = objective_.masked_at_floor;
    of.needs_reference_path = true;
  }

  /// The adjoint of a row's log_z, and of the score that its V leaves out.
  void visit(index row, const term_plan& plan, evaluation_buffers& found) const {
    double slope = 0;
    plan.for_each_term(row, [&](index i) {
      if (i < entries() && !has(i, is_zero) && b_.extra_term[at(i)] < 0) slope += slope_of_value(i, found);
    });
    const state_value v = value_of_row(row, found);
    found.adjoints[at(row)].log_z = chain_product(slope, v.of_log_z);
    if (v.left_out >= 0) found.score_adjoints[at(v.left_out)] = chain_product(slope, v.of_left_out);
  }

  /// Values in one order for any number of threads, and the adjoints of scores.
  trajectory_value finish(evaluation_buffers& found, bool wants_gradient) const {
    trajectory_value result;
    for (index i = 0; i < entries(); ++i) {
      const std::uint8_t flags = b_.flags[at(i)];
      const bool of_rollout = (flags & is_of_rollout) != 0;
      double& term = of_rollout ? result.rollout_term : result.data_term;
      if (b_.linear[at(i)] != 0) result.value_term -= b_.linear[at(i)] * value_of(i, found);
      if (flags & is_step) {
        const double r = reward(i, found);
        const value_and_slope step = objective_.step(of_rollout, r);
        term += b_.weight[at(i)] * step.value;
        count(of_rollout, objective_.is_step_outside(r), result);
        if (wants_gradient && !objective_.starts_from_value(of_rollout))
          found.score_adjoints[at(i)] = -b_.weight[at(i)] * finite_slope(step, i, found);
      }
      if (flags & is_tail) {
        const double v = value_of(i, found);
        term += b_.weight[at(i)] * objective_.tail(of_rollout, v).value;
        count(of_rollout, objective_.is_tail_outside(v), result);
      }
      if (wants_gradient && b_.extra_term[at(i)] >= 0)
        found.score_adjoints[at(b_.extra_term[at(i)])] = slope_of_value(i, found);
    }
    result.value = -result.objective();
    return result;
  }

 private:
  /// V of a row and its derivatives: log_z, or without one score s   log_z + log(1 - e^(s - log_z)).
  struct state_value {
    double value, of_log_z = 1, of_left_out = 0;
    index left_out = -1;
  };

  /// Up to it log_z + log(1 - p) is exact enough; above it V is taken from the other scores.
  static constexpr double log_of_half = -0.6931471805599453;

  static std::size_t at(index i) { return static_cast<std::size_t>(i); }
  index entries() const { return columns_.at.size(); }
  bool has(index i, entry_flag flag) const { return (b_.flags[at(i)] & flag) != 0; }
  bool is_rollout(index j) const { return columns_.is_rollout.is_given() && columns_.is_rollout[j] != 0; }
  bool is_complete(index j) const { return !columns_.is_complete.is_given() || columns_.is_complete[j] != 0; }

  void check(const trajectory_options& options, index rows, index vocab) const {
    objective_.check();
    require_positive("data_normaliser", options.data_normaliser);
    require_positive("rollout_normaliser", options.rollout_normaliser);
    const id_column offsets = columns_.offsets;
    if (offsets.empty()) fail("offsets", "at least one entry, the first 0", "none");
    if (offsets[0] != 0) fail("offsets", "a first entry of 0", std::to_string(offsets[0]));
    const index trajectories = offsets.size() - 1;
    for (index j = 0; j < trajectories; ++j)
      if (offsets[j + 1] <= offsets[j])
        fail("offsets", "entry " + std::to_string(j + 1) + " above " + std::to_string(offsets[j]),
             std::to_string(offsets[j + 1]));
    require_length("at", columns_.at.size(), offsets[trajectories]);
    require_length("label", columns_.label.size(), offsets[trajectories]);
    if (columns_.is_rollout.is_given()) require_length("is_rollout", columns_.is_rollout.size(), trajectories);
    if (columns_.is_complete.is_given()) require_length("is_complete", columns_.is_complete.size(), trajectories);
    if (objective_.masked_at_floor >= 0) {
      if (objective_.masked_at_floor >= vocab)
        fail("masked_at_floor", "an id below " + std::to_string(vocab), std::to_string(objective_.masked_at_floor));
      require_length("is_at_floor", columns_.is_at_floor.size(), rows);
    }
    if (objective_.terminal == terminal_value::end_score && objective_.end_id >= vocab)
      fail("end_id", "an id below " + std::to_string(vocab), std::to_string(objective_.end_id));
    for (index i = 0; i < entries(); ++i) {
      require_position("at", i, columns_.at[i], rows);
      if (columns_.label[i] != -1) require_position("label", i, columns_.label[i], vocab);
    }
    for (index j = 0; j < trajectories; ++j)
      if (columns_.label[offsets[j + 1] - 1] != -1)
        fail("label", "-1 at entry " + std::to_string(offsets[j + 1] - 1) + ", the last of its trajectory",
             std::to_string(columns_.label[offsets[j + 1] - 1]));
  }

  void add(index j, double normaliser) {
    const index first = columns_.offsets[j], last = columns_.offsets[j + 1] - 1;
    const bool of_rollout = is_rollout(j), ends = is_complete(j);
    const double gamma = objective_.gamma, k = objective_.value_weight(of_rollout) / normaliser;
    const bool is_uniform = objective_.weighting == step_weighting::uniform,
               is_summed = objective_.form == value_form::summed;
    double weight = 1;
    if (!is_summed) b_.linear[at(first)] += k;
    for (index i = first; i <= last; ++i) {
      const double share = weight / normaliser;
      b_.weight[at(i)] = share;
      b_.rows[at(i)] = columns_.at[i];
      std::uint8_t& flags = b_.flags[at(i)];
      if (of_rollout) flags |= is_of_rollout;
      if (i == last) {
        if (ends && is_summed) b_.linear[at(i)] += k * weight;
        if (ends && objective_.counts_tail(of_rollout)) flags |= is_tail;
      } else {
        if (is_summed) {
          b_.linear[at(i)] += k * weight;
          b_.linear[at(i + 1)] -= k * weight * gamma;
        }
        if (columns_.label[i] < 0 && !of_rollout) {
          // The step has left the loss, with its value step.
          b_.linear[at(i)] -= share * objective_.dropped_weight();
          b_.linear[at(i + 1)] += share * gamma * objective_.dropped_weight();
        } else if (columns_.label[i] >= 0 && objective_.counts_step(of_rollout)) {
          flags |= is_step;
          b_.flags[at(i + 1)] |= follows_step;
          b_.targets[at(i)] = columns_.label[i];
        }
      }
      if (!is_uniform) weight *= gamma;
    }
    for (index i = first; i <= last; ++i) add_terms(i, i == last && ends);
  }

  /// Adds the terms of an entry: its own label, and the scores that its V needs.
  void add_terms(index i, bool is_terminal) {
    const std::uint8_t flags = b_.flags[at(i)];
    const bool starts_from_value = objective_.starts_from_value((flags & is_of_rollout) != 0);
    const bool reads_value =
        b_.linear[at(i)] != 0 || (flags & (follows_step | is_tail)) || ((flags & is_step) && starts_from_value);
    if (is_terminal && objective_.terminal == terminal_value::zero) {
      b_.flags[at(i)] |= is_zero;
    } else if (is_terminal && objective_.terminal == terminal_value::end_score) {
      if (reads_value) b_.extra_term[at(i)] = add_term(columns_.at[i], objective_.end_id);
    } else if (reads_value) {
      b_.is_term[at(i)] = 1;
      if (objective_.masked_at_floor >= 0 && columns_.is_at_floor[columns_.at[i]] != 0 &&
          b_.floor_term[at(columns_.at[i])] < 0)
        b_.floor_term[at(columns_.at[i])] = add_term(columns_.at[i], objective_.masked_at_floor);
    }
    if (flags & is_step) b_.is_term[at(i)] = 1;
  }
  index add_term(index row, index id) {
    b_.rows.push_back(row);
    b_.targets.push_back(id);
    b_.is_term.push_back(1);
    return static_cast<index>(b_.rows.size()) - 1;
  }

  state_value value_of_row(index row, const evaluation_buffers& found) const {
    const row_statistics& of = found.statistics[at(row)];
    const index left_out = b_.floor_term.empty() ? -1 : b_.floor_term[at(row)];
    // Without anything left V is the constant -inf.
    if (of.left_out >= 0) return {of.log_z, of.log_z == -infinity ? 0.0 : 1.0};
    if (left_out < 0) return {of.log_z};
    const double log_p = log_prob_of(found.scores[at(left_out)], of), p = emend::exp(log_p);
    if (log_p < log_of_half) return {of.log_z + emend::log1p(-p), 1 / (1 - p), -p / (1 - p), left_out};
    // 1 - p by the row's own log_z, so that the probabilities of what is left sum to 1.
    const double value = b_.floor_value[at(row)], rest = emend::exp((value - of.log_z) - of.log_z_tail);
    if (rest == 0) return {value, 0, 0, left_out};
    return {value, 1 / rest, -p / rest, left_out};
  }
  double value_of(index i, const evaluation_buffers& found) const {
    if (has(i, is_zero)) return 0;
    if (b_.extra_term[at(i)] >= 0) return found.scores[at(b_.extra_term[at(i)])];
    return value_of_row(columns_.at[i], found).value;
  }
  double reward(index i, const evaluation_buffers& found) const {
    const double start = objective_.starts_from_value(has(i, is_of_rollout)) ? value_of(i, found) : found.scores[at(i)];
    return start - objective_.gamma * next_value(i, found).value;
  }
  /// V of the state behind a step as the step's reward holds it.
  value_and_slope next_value(index i, const evaluation_buffers& found) const {
    const double v = value_of(i + 1, found);
    if constexpr (requires { objective_.next_value(true, v); })
      return objective_.next_value(has(i, is_of_rollout), v);
    else
      return {v, 1};
  }
  /// A label outside the support is a constant; a phi that falls ever faster must not make infinities of its
  /// neighbours.
  double finite_slope(const value_and_slope& step, index i, const evaluation_buffers& found) const {
    const bool is_constant = found.scores[at(i)] == -infinity && !(step.slope < infinity && step.slope > -infinity);
    return is_constant ? 0 : step.slope;
  }

  /// Derivative of the loss with respect to V of an entry.
  double slope_of_value(index i, const evaluation_buffers& found) const {
    const bool of_rollout = has(i, is_of_rollout);
    double slope = b_.linear[at(i)];
    if (has(i, follows_step)) {
      const double of_next = next_value(i - 1, found).slope;
      if (of_next != 0)
        slope += b_.weight[at(i - 1)] * objective_.gamma * of_next *
                 finite_slope(objective_.step(of_rollout, reward(i - 1, found)), i - 1, found);
    }
    if (has(i, is_step) && objective_.starts_from_value(of_rollout))
      slope -= b_.weight[at(i)] * objective_.step(of_rollout, reward(i, found)).slope;
    if (has(i, is_tail)) slope -= b_.weight[at(i)] * objective_.tail(of_rollout, value_of(i, found)).slope;
    return slope;
  }

  static void count(bool of_rollout, bool is_outside, trajectory_value& result) {
    if (of_rollout) return;
    ++result.steps;
    result.outside += is_outside;
  }

  const O& objective_;
  const trajectory_columns& columns_;
  trajectory_buffers& b_;
};

}  // namespace emend::detail
