#pragma once

#include <emend/emend.hpp>

#include <algorithm>

namespace tabular {

inline void set_zero(emend::matrix<double>& m) { std::fill_n(m.data(), m.rows() * m.columns(), 0.0); }

/// A policy and a critic as a table: one row of scores, and one value, for each (previous token, depth) of a response.
/// The smallest model that meets every concept of training; plain gradient descent.
struct policy {
  emend::index vocab, length;
  emend::matrix<double> scores, gathered;
  double rate = 1;
  int parts = 1;  ///< how many parts a batch is visited in

  policy(emend::index v, emend::index l) : vocab(v), length(l), scores(v * l, v), gathered(v * l, v) {
    set_zero(scores);
    set_zero(gathered);
  }

  emend::index row(emend::index previous, emend::index depth) const { return depth * vocab + previous; }

  template <class F>
  void score(const emend::token_batch& batch, F&& f) const {
    visit(batch, [&](const emend::matrix<double>& part, const std::vector<emend::index>& tokens,
                     const std::vector<emend::index>&) { f(part, tokens); });
  }
  template <class F>
  void differentiate(const emend::token_batch& batch, F&& f) {
    visit(batch, [&](const emend::matrix<double>& part, const std::vector<emend::index>& tokens,
                     const std::vector<emend::index>& rows) {
      emend::matrix<double> gradient(part.rows(), part.columns());
      f(part, tokens, gradient);
      for (emend::index k = 0; k < gradient.rows(); ++k)
        for (emend::index j = 0; j < vocab; ++j) gathered(rows[static_cast<std::size_t>(k)], j) += gradient(k, j);
    });
  }
  template <class C>
  void sum_gradient(C& ranks) {
    ranks.all_reduce_sum(
        std::span<double>(gathered.data(), static_cast<std::size_t>(gathered.rows() * gathered.columns())));
  }
  void step() {
    for (emend::index i = 0; i < scores.rows() * scores.columns(); ++i) scores.data()[i] -= rate * gathered.data()[i];
    set_zero(gathered);
  }
  std::vector<std::vector<emend::index>> respond(const std::vector<std::vector<emend::index>>& prompts,
                                                 std::uint64_t seed) const {
    std::vector<std::vector<emend::index>> responses;
    const emend::counter_random random{seed};
    for (std::size_t b = 0; b < prompts.size(); ++b) {
      std::vector<emend::index> response;
      emend::index previous = prompts[b].back();
      for (emend::index t = 0; t < length; ++t) {
        previous = emend::draw_categorical(scores.data() + row(previous, t) * vocab, vocab,
                                           random.uniform(b, static_cast<std::uint64_t>(t)));
        response.push_back(previous);
      }
      responses.push_back(response);
    }
    return responses;
  }

 private:
  template <class F>
  void visit(const emend::token_batch& batch, F&& f) const {
    for (int part = 0; part < parts; ++part) {
      std::vector<emend::index> tokens, rows;
      for (emend::index b = 0; b < batch.sequences(); ++b) {
        if (b % parts != part) continue;
        for (emend::index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
          const emend::index depth = t - batch.first_token(b);
          tokens.push_back(t);
          rows.push_back(row(batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)], depth));
        }
      }
      if (tokens.empty()) continue;
      emend::matrix<double> of_part(static_cast<emend::index>(rows.size()), vocab);
      for (std::size_t k = 0; k < rows.size(); ++k)
        for (emend::index j = 0; j < vocab; ++j) of_part(static_cast<emend::index>(k), j) = scores(rows[k], j);
      f(of_part, tokens, rows);
    }
  }
};

struct critic {
  emend::index vocab;
  std::vector<double> table, gathered;
  double rate = 1;

  critic(emend::index v, emend::index length)
      : vocab(v), table(static_cast<std::size_t>(v * length), 0), gathered(table.size(), 0) {}

  template <class F>
  void value(const emend::token_batch& batch, F&& f) const {
    const auto [values, tokens, cells] = all(batch);
    f(values, tokens);
  }
  template <class F>
  void differentiate_value(const emend::token_batch& batch, F&& f) {
    const auto [values, tokens, cells] = all(batch);
    std::vector<double> gradient(values.size());
    f(values, tokens, gradient);
    for (std::size_t k = 0; k < cells.size(); ++k) gathered[cells[k]] += gradient[k];
  }
  template <class C>
  void sum_gradient(C& ranks) {
    ranks.all_reduce_sum(std::span<double>(gathered));
  }
  void step() {
    for (std::size_t i = 0; i < table.size(); ++i) table[i] -= rate * std::exchange(gathered[i], 0);
  }

 private:
  struct parts {
    std::vector<double> values;
    std::vector<emend::index> tokens;
    std::vector<std::size_t> cells;
  };
  parts all(const emend::token_batch& batch) const {
    parts result;
    for (emend::index b = 0; b < batch.sequences(); ++b)
      for (emend::index t = batch.first_token(b); t < batch.first_token(b + 1); ++t) {
        const emend::index depth = t - batch.first_token(b),
                           previous = batch.ids()[static_cast<std::size_t>(batch.response_begin(b) + depth - 1)];
        result.cells.push_back(static_cast<std::size_t>(depth * vocab + previous));
        result.tokens.push_back(t);
        result.values.push_back(table[result.cells.back()]);
      }
    return result;
  }
};

static_assert(emend::trainable_policy<policy> && emend::responding_policy<policy> && emend::trainable_critic<critic>);

}  // namespace tabular
