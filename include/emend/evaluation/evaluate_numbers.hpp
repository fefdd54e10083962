#pragma once

#include <emend/core/token.hpp>
#include <emend/evaluation/options.hpp>

namespace emend {

/// Options of `evaluate_log_probs` and `evaluate_values`: as in `evaluation_options`.
struct number_options {
  column mask = {}, weight = {};
  double normaliser = 1;
};

/// Value, and derivative with respect to each of N numbers.
struct number_evaluation {
  double value = 0;
  std::vector<double> gradient;
  index evaluated = 0;
};

/// One number per token of which a loss is a function: a log-probability from elsewhere, or a critic's value.
template <class R>
struct number {
  R value;
  index position;
  R operator()(const column& values) const {
    if (position >= values.size())
      detail::fail("a column read by the loss", "an entry for token " + std::to_string(position),
                   std::to_string(values.size()) + " entries");
    return R(values[position]);
  }
};

namespace detail {

template <class F>
number_evaluation evaluate_numbers(column numbers, const number_options& options, F&& f) {
  if (!options.mask.empty()) require_length("mask", options.mask.size(), numbers.size());
  if (!options.weight.empty()) require_length("weight", options.weight.size(), numbers.size());
  require_positive("normaliser", options.normaliser);
  number_evaluation result;
  result.gradient.assign(static_cast<std::size_t>(numbers.size()), 0);
  for (index i = 0; i < numbers.size(); ++i) {
    if (!options.mask.empty() && options.mask[i] == 0) continue;
    const double factor = (options.weight.empty() ? 1 : options.weight[i]) / options.normaliser;
    if (factor == 0) continue;
    const dual<double, 1> loss = f(i, dual<double, 1>::variable(numbers[i], 0));
    result.value += factor * loss.value;
    result.gradient[static_cast<std::size_t>(i)] = loss.derivative[0] == 0 ? 0 : factor * loss.derivative[0];
    ++result.evaluated;
  }
  return result;
}

}  // namespace detail

/// Value and gradient of a token loss that depends on the log-probability alone, where somebody else's network gave it.
///   value = (1 / normaliser) sum_i weight_i loss(token_i),   gradient_i = d value / d log_prob_i
/// log_prob: [N]; the token's other statistics read as NaN. Throws std::invalid_argument on a length that does not fit.
template <class Loss>
number_evaluation evaluate_log_probs(const Loss& loss, column log_prob, const number_options& options = {}) {
  if constexpr (requires { loss.check(log_prob.size()); }) loss.check(log_prob.size());
  return detail::evaluate_numbers(log_prob, options, [&](index i, const dual<double, 1>& x) -> dual<double, 1> {
    const dual<double, 1> unknown(__builtin_nan(""));
    return loss(token<dual<double, 1>>{x, unknown, unknown, unknown, unknown, unknown, i});
  });
}

/// Value and gradient of a loss over a critic's values.
///   value = (1 / normaliser) sum_i weight_i loss(number_i),   gradient_i = d value / d values_i
/// values: [N]; a loss is any callable of a `number`. Throws std::invalid_argument on a length that does not fit.
template <class Loss>
number_evaluation evaluate_values(const Loss& loss, column values, const number_options& options = {}) {
  if constexpr (requires { loss.check(values.size()); }) loss.check(values.size());
  return detail::evaluate_numbers(values, options, [&](index i, const dual<double, 1>& x) -> dual<double, 1> {
    return loss(number<dual<double, 1>>{x, i});
  });
}

}  // namespace emend
