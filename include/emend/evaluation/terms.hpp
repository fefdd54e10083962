#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/scratch_lease.hpp>
#include <emend/evaluation/options.hpp>
#include <emend/heads/reference.hpp>
#include <emend/heads/score_adjoint.hpp>

#include <algorithm>
#include <vector>

namespace emend::detail {

/// Buffers of one evaluation, kept between calls.
struct evaluation_buffers {
  std::vector<double> values, scores, score_adjoints, metrics;
  std::vector<row_statistics> statistics;
  std::vector<row_adjoint> adjoints;
  std::vector<std::uint8_t> is_evaluated, is_active;
  std::vector<index> first_term, terms;
};

using buffer_lease = scratch_lease<evaluation_buffers>;

/// of: what stands before the names of the fields in a message, as "student_transform.".
inline void check_transform(const score_transform& transform, index rows, const char* of = "") {
  // The whole name is put together only where it is needed: a call in order allocates nothing.
  const auto require = [&](const char* name, double value) {
    if (!(value > 0 && value < infinity)) require_positive(std::string(of).append(name).c_str(), value);
  };
  // The scores are multiplied by the quotient, which must be a number.
  const auto require_quotient = [&](const char* name, double temperature) {
    require(name, temperature);
    if (const double quotient = transform.logit_scale / temperature; !(quotient > 0 && quotient < infinity))
      fail(std::string(of).append(name).c_str(), "a number whose quotient with logit_scale is finite and above 0",
           text_of(transform.logit_scale).append(" / ").append(text_of(temperature)));
  };
  require("logit_scale", transform.logit_scale);
  require_quotient("temperature", transform.temperature);
  if (transform.soft_cap != 0) require("soft_cap", transform.soft_cap);
  if (!transform.temperatures.is_given()) return;
  if (transform.temperatures.size() != rows)
    require_length(std::string(of).append("temperatures").c_str(), transform.temperatures.size(), rows);
  for (index i = 0; i < rows; ++i) require_quotient("temperatures", transform.temperatures[i]);
}

/// Buffer of `require_each_once`.
struct sorted_ids {
  std::vector<index> ids;
};

/// Throws std::invalid_argument if an id stands twice among ids[offsets[i]] .. ids[offsets[i+1]-1], the ids of row i.
/// Cost: a comparison an id where a row's ids ascend, else they are sorted.
inline void require_each_once(const char* argument, const id_column& offsets, const id_column& ids, index rows) {
  for (index i = 0; i < rows; ++i) {
    const index begin = offsets[i], end = offsets[i + 1];
    bool is_ascending = true;
    for (index k = begin + 1; k < end && is_ascending; ++k) is_ascending = ids[k - 1] < ids[k];
    if (is_ascending) continue;
    const scratch_lease<sorted_ids> work;
    std::vector<index>& sorted = work->ids;
    sorted.clear();
    for (index k = begin; k < end; ++k) sorted.push_back(ids[k]);
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
      fail(argument, "each id of row " + std::to_string(i) + " once", "id " + std::to_string(*twice) + " twice");
  }
}

inline void check_kept(const kept_ids& kept, index rows, index vocab) {
  if (!kept.offsets.is_given()) {
    if (kept.ids.is_given()) fail("kept.offsets", "the places where each row's ids begin", "ids without offsets");
    return;
  }
  require_length("kept.offsets", kept.offsets.size(), rows + 1);
  if (kept.offsets[0] != 0) fail("kept.offsets", "a first entry of 0", std::to_string(kept.offsets[0]));
  for (index i = 0; i < rows; ++i)
    if (kept.offsets[i + 1] < kept.offsets[i])
      fail("kept.offsets", "entry " + std::to_string(i + 1) + " not below " + std::to_string(kept.offsets[i]),
           std::to_string(kept.offsets[i + 1]));
  require_length("kept.ids", kept.ids.size(), kept.offsets[rows]);
  for (index k = 0; k < kept.ids.size(); ++k) require_position("kept.ids", k, kept.ids[k], vocab);
  require_each_once("kept.ids", kept.offsets, kept.ids, rows);
}

/// Which terms are evaluated, which rows they read, and back. Checks everything that can be wrong about a call once.
class term_plan {
 public:
  term_plan(index rows, index vocab, id_column targets, const evaluation_options& options, evaluation_buffers& buffers)
      : rows_(rows), targets_(targets), options_(options), buffers_(buffers) {
    const index terms = targets.size();
    if (!options.rows.is_given() && (terms > 0 || rows > 0)) require_length("targets", terms, rows);
    if (options.rows.is_given()) require_length("rows", options.rows.size(), terms);
    if (options.mask.is_given()) require_length("mask", options.mask.size(), terms);
    if (options.weight.is_given()) require_length("weight", options.weight.size(), terms);
    if (options.links.is_given()) require_length("links", options.links.size(), terms);
    require_positive("normaliser", options.normaliser);
    options.per_token.check("per_token", terms);
    check_transform(options.transform, rows);
    check_kept(options.kept, rows, vocab);
    if (vocab < 1 && rows > 0) fail("scores", "a vocabulary of at least 1", std::to_string(vocab));

    const auto count = static_cast<std::size_t>(terms);
    buffers.is_evaluated.assign(count, 0);
    buffers.is_active.assign(static_cast<std::size_t>(rows), 0);
    buffers.values.assign(count, 0);
    buffers.scores.resize(count);
    buffers.score_adjoints.assign(count, 0);
    buffers.statistics.resize(static_cast<std::size_t>(rows));
    buffers.adjoints.assign(static_cast<std::size_t>(rows), {});
    for (index i = 0; i < terms; ++i) {
      if (options.mask.is_given() && options.mask[i] == 0) continue;
      if (options.weight.is_given() && options.weight[i] == 0) continue;
      if (options.ignore_id && targets[i] == *options.ignore_id) continue;
      require_position("targets", i, targets[i], vocab);
      if (options.rows.is_given()) require_position("rows", i, options.rows[i], rows);
      if (options.links.is_given() && options.links[i] != -1) {
        require_position("links", i, options.links[i], rows);
        buffers.is_active[static_cast<std::size_t>(options.links[i])] = 1;
      }
      buffers.is_evaluated[static_cast<std::size_t>(i)] = 1;
      buffers.is_active[static_cast<std::size_t>(row_of(i))] = 1;
      ++evaluated_;
    }
    if (options.rows.is_given()) index_terms();
  }

  index terms() const { return targets_.size(); }
  index rows() const { return rows_; }
  index evaluated() const { return evaluated_; }
  bool is_evaluated(index i) const { return buffers_.is_evaluated[static_cast<std::size_t>(i)] != 0; }
  const std::uint8_t* active_rows() const { return buffers_.is_active.data(); }
  index target(index i) const { return targets_[i]; }
  index row_of(index i) const { return options_.rows.is_given() ? options_.rows[i] : i; }
  index link(index i) const { return options_.links.is_given() ? options_.links[i] : -1; }
  /// weight_i / normaliser
  double factor(index i) const { return (options_.weight.is_given() ? options_.weight[i] : 1) / options_.normaliser; }

  /// f(i) for every evaluated term of a row, in ascending order.
  template <class F>
  void for_each_term(index row, F&& f) const {
    if (!options_.rows.is_given()) {
      if (is_evaluated(row)) f(row);
      return;
    }
    const index end = buffers_.first_term[static_cast<std::size_t>(row) + 1];
    for (index k = buffers_.first_term[static_cast<std::size_t>(row)]; k < end; ++k)
      f(buffers_.terms[static_cast<std::size_t>(k)]);
  }

  /// The targets' share of a row's gradient, as row_head wants it.
  auto target_adjoints() const {
    return [this](index row, auto&& f) {
      for_each_term(
          row, [&](index i) { f(score_adjoint{targets_[i], buffers_.score_adjoints[static_cast<std::size_t>(i)]}); });
    };
  }

 private:
  void index_terms() {
    buffers_.first_term.assign(static_cast<std::size_t>(rows_) + 1, 0);
    for (index i = 0; i < terms(); ++i)
      if (is_evaluated(i)) ++buffers_.first_term[static_cast<std::size_t>(options_.rows[i]) + 1];
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows_); ++r)
      buffers_.first_term[r + 1] += buffers_.first_term[r];
    buffers_.terms.resize(static_cast<std::size_t>(evaluated_));
    // Filling from the back leaves first_term at the start of each row without a second array.
    for (index i = terms() - 1; i >= 0; --i)
      if (is_evaluated(i))
        buffers_
            .terms[static_cast<std::size_t>(--buffers_.first_term[static_cast<std::size_t>(options_.rows[i]) + 1])] = i;
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows_); ++r)
      buffers_.first_term[r] = buffers_.first_term[r + 1];
    buffers_.first_term[static_cast<std::size_t>(rows_)] = evaluated_;
  }

  index rows_, evaluated_ = 0;
  id_column targets_;
  const evaluation_options& options_;
  evaluation_buffers& buffers_;
};

/// What a visitor can ask of a row while its scores are at hand.
template <class F>
struct row_reader {
  F log_z_without;      ///< (id) -> log_z of the row less that id
  bool obeys_left_out;  ///< whether the gradient is that of row_statistics::left_out, which a visitor may set
};
template <class F>
row_reader(F, bool) -> row_reader<F>;

/// visit(row, reader) if visit takes both, else visit(row).
template <class Visit, class F>
void visit_row_of(const Visit& visit, index row, const row_reader<F>& reader) {
  if constexpr (std::is_invocable_v<const Visit&, index, const row_reader<F>&>)
    visit(row, reader);
  else
    visit(row);
}

/// The way of a fused_late that has no better one: scores are read once for each pass.
template <class Source, class E, class Note, class Visit, class Finish>
void forward_and_backward(Source& source, E& executor, const term_plan& plan, evaluation_buffers& buffers,
                          const Note& note, const Visit& visit, const Finish& finish) {
  source.forward(executor, plan, buffers, note);
  for (index row = 0; row < plan.rows(); ++row)
    if (plan.active_rows()[row]) visit(row);
  finish();
  source.backward(executor, plan, buffers);
}

}  // namespace emend::detail
