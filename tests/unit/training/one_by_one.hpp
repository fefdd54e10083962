// A policy and a critic that visit one sequence a call, and what updates of them need.
#pragma once

#include <utility>
#include <vector>

#include "tabular.hpp"

namespace one_sequence_a_call {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// A policy that visits one sequence a call, also those of which the response is empty.
struct one_by_one : tabular::policy {
  using tabular::policy::policy;
  index empty_parts = 0;

  template <class F>
  void score(const token_batch& batch, F&& f) const {
    for (index b = 0; b < batch.sequences(); ++b) {
      const auto [rows, tokens] = of_sequence(batch, b);
      f(scores_at(rows), tokens);
    }
  }
  template <class F>
  void differentiate(const token_batch& batch, F&& f) {
    for (index b = 0; b < batch.sequences(); ++b) {
      const auto [rows, tokens] = of_sequence(batch, b);
      const matrix<double> part = scores_at(rows);
      matrix<double> gradient(part.rows(), part.columns());
      f(part, tokens, gradient);
      empty_parts += tokens.empty();
      for (std::size_t k = 0; k < rows.size(); ++k)
        for (index j = 0; j < vocab; ++j) gathered(rows[k], j) += gradient(static_cast<index>(k), j);
    }
  }

 private:
  std::pair<std::vector<index>, std::vector<index>> of_sequence(const token_batch& batch, index b) const {
    std::vector<index> rows, tokens;
    for (index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
      const index depth = t - batch.first_token(b);
      rows.push_back(row(batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)], depth));
      tokens.push_back(t);
    }
    return {rows, tokens};
  }
  matrix<double> scores_at(const std::vector<index>& rows) const {
    matrix<double> part(static_cast<index>(rows.size()), vocab);
    for (std::size_t k = 0; k < rows.size(); ++k)
      for (index j = 0; j < vocab; ++j) part(static_cast<index>(k), j) = scores(rows[k], j);
    return part;
  }
};

/// A critic that visits one sequence a call likewise.
struct critic_one_by_one : tabular::critic {
  using tabular::critic::critic;

  template <class F>
  void value(const token_batch& batch, F&& f) const {
    for_each_sequence(batch, [&](const std::vector<double>& values, const std::vector<index>& tokens,
                                 const std::vector<std::size_t>&) { f(values, tokens); });
  }
  template <class F>
  void differentiate_value(const token_batch& batch, F&& f) {
    for_each_sequence(batch, [&](const std::vector<double>& values, const std::vector<index>& tokens,
                                 const std::vector<std::size_t>& cells) {
      std::vector<double> gradient(values.size());
      f(values, tokens, gradient);
      for (std::size_t k = 0; k < cells.size(); ++k) gathered[cells[k]] += gradient[k];
    });
  }

 private:
  template <class F>
  void for_each_sequence(const token_batch& batch, F&& f) const {
    for (index b = 0; b < batch.sequences(); ++b) {
      std::vector<double> values;
      std::vector<index> tokens;
      std::vector<std::size_t> cells;
      for (index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
        const index depth = t - batch.first_token(b),
                    previous = batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)];
        cells.push_back(static_cast<std::size_t>(depth * vocab + previous));
        tokens.push_back(t);
        values.push_back(table[cells.back()]);
      }
      f(values, tokens, cells);
    }
  }
};

/// Sequences of 2, 0, 1 and 0 tokens, all that an update needs known.
template <class P>
rollout some_rollout(P& policy) {
  rollout r;
  r.batch.add(std::vector<int>{0}, std::vector<int>{2, 1});
  r.batch.add(std::vector<int>{1}, std::vector<int>{});
  r.batch.add(std::vector<int>{1, 2}, std::vector<int>{0});
  r.batch.add(std::vector<int>{0, 1}, std::vector<int>{});
  r.old_log_prob = r.reference_log_prob = score_responses(policy, r.batch).log_prob;
  r.advantage = {1, -2, 3};
  r.value = {0.5, 0.25, 0};
  r.returns = {1, 2, 3};
  return r;
}

inline const auto make_clip = [](const token_columns& c) {
  return policy_objective<ppo_clip>{.policy = {c.old_log_prob, c.advantage}, .weight = c.weight};
};
inline const auto make_sequence_clip = [](const token_columns& c) {
  return policy_objective<sequence_level<ppo_clip>>{.policy = {{c.old_log_prob, c.advantage}}, .weight = c.weight};
};

}  // namespace one_sequence_a_call
