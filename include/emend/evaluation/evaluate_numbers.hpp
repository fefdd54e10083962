#pragma once

#include <emend/core/token.hpp>
#include <emend/evaluation/metrics.hpp>
#include <emend/evaluation/options.hpp>

#include <array>
#include <vector>

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

/// What `evaluate_log_probs` returns: as `number_evaluation`, and the means of the loss's metrics over the evaluated
/// tokens.
template <class Loss>
struct log_prob_evaluation : number_evaluation {
  std::array<double, detail::metric_count<Loss>> metrics{};
};

namespace detail {

template <class L>
concept has_number_metrics = requires(const L& l, const number<double>& v) { l.metrics(v); };
template <class L>
inline constexpr std::size_t number_metric_count = 0;
template <has_number_metrics L>
inline constexpr std::size_t number_metric_count<L> = std::tuple_size_v<
    std::remove_cvref_t<decltype(std::declval<const L&>().metrics(std::declval<const number<double>&>()))>>;

}  // namespace detail

/// What `evaluate_values` returns: as `number_evaluation`, and the means of the loss's metrics over the evaluated
/// tokens.
template <class Loss>
struct value_evaluation : number_evaluation {
  std::array<double, detail::number_metric_count<Loss>> metrics{};
};

namespace detail {

inline void check_numbers(const number_options& options, index n) {
  if (options.mask.is_given()) require_length("mask", options.mask.size(), n);
  if (options.weight.is_given()) require_length("weight", options.weight.size(), n);
  require_positive("normaliser", options.normaliser);
}

/// weight_i / normaliser, 0 where the token is masked.
inline double factor_of(const number_options& options, index i) {
  if (options.mask.is_given() && options.mask[i] == 0) return 0;
  return (options.weight.is_given() ? options.weight[i] : 1) / options.normaliser;
}

template <class F>
void evaluate_numbers(column numbers, const number_options& options, number_evaluation& result, F&& f) {
  check_numbers(options, numbers.size());
  result.gradient.assign(static_cast<std::size_t>(numbers.size()), 0);
  for (index i = 0; i < numbers.size(); ++i) {
    const double factor = factor_of(options, i);
    if (factor == 0) continue;
    const dual<double, 1> loss = f(i, dual<double, 1>::variable(numbers[i], 0));
    result.value += factor * loss.value;
    result.gradient[static_cast<std::size_t>(i)] = loss.derivative[0] == 0 ? 0 : factor * loss.derivative[0];
    ++result.evaluated;
  }
}

/// Callable on dual numbers of what T holds.
template <class L, class T>
concept loss_of = requires(const L& l, const T& t) {
  { l(t) } -> std::convertible_to<dual<double, 1>>;
};

template <bool IsLoss>
constexpr void refuse_other_loss() {
  static_assert(IsLoss,
                "emend: the loss must be callable on dual numbers; write it as a generic lambda, [](const auto& t) "
                "{ .. }, and call emend::exp, emend::min, emend::clamp in it, not the functions of std, which know no "
                "derivatives");
}

/// A token of which the log-probability alone is known.
template <class R>
token<R> token_of_log_prob(const R& log_prob, index i) {
  const R unknown(__builtin_nan(""));
  return {log_prob, unknown, unknown, unknown, unknown, unknown, i};
}

}  // namespace detail

/// Value and gradient of a token loss that depends on the log-probability alone, where somebody else's network gave it.
///   value = (1 / normaliser) sum_i weight_i loss(token_i),   gradient_i = d value / d log_prob_i
/// log_prob: [N]; the token's other statistics read as NaN. Throws std::invalid_argument on a length that does not fit.
template <class Loss>
  requires detail::loss_of<Loss, token<dual<double, 1>>>
log_prob_evaluation<Loss> evaluate_log_probs(const Loss& loss, column log_prob, const number_options& options = {}) {
  if constexpr (requires { loss.check(log_prob.size()); }) loss.check(log_prob.size());
  log_prob_evaluation<Loss> result;
  detail::evaluate_numbers(log_prob, options, result, [&](index i, const dual<double, 1>& x) -> dual<double, 1> {
    if constexpr (detail::metric_count<Loss> > 0) {
      const auto metrics = loss.metrics(detail::token_of_log_prob(log_prob[i], i));
      for (std::size_t k = 0; k < metrics.size(); ++k) result.metrics[k] += metrics[k];
    }
    return loss(detail::token_of_log_prob(x, i));
  });
  for (double& metric : result.metrics) metric /= static_cast<double>(result.evaluated > 0 ? result.evaluated : 1);
  return result;
}

/// Value and gradient of a loss over a critic's values.
///   value = (1 / normaliser) sum_i weight_i loss(number_i),   gradient_i = d value / d values_i
/// values: [N]; a loss is any callable of a `number`, its metrics, if any, too.
/// Throws std::invalid_argument on a length that does not fit.
template <class Loss>
  requires detail::loss_of<Loss, number<dual<double, 1>>>
value_evaluation<Loss> evaluate_values(const Loss& loss, column values, const number_options& options = {}) {
  if constexpr (requires { loss.check(values.size()); }) loss.check(values.size());
  value_evaluation<Loss> result;
  detail::evaluate_numbers(values, options, result, [&](index i, const dual<double, 1>& x) -> dual<double, 1> {
    if constexpr (detail::has_number_metrics<Loss>) {
      const auto metrics = loss.metrics(number<double>{values[i], i});
      for (std::size_t k = 0; k < metrics.size(); ++k) result.metrics[k] += metrics[k];
    }
    return loss(number<dual<double, 1>>{x, i});
  });
  for (double& metric : result.metrics) metric /= static_cast<double>(result.evaluated > 0 ? result.evaluated : 1);
  return result;
}

/// Last resorts for losses that cannot be called on dual numbers: say the remedy.
template <class Loss>
  requires(!detail::loss_of<Loss, token<dual<double, 1>>>)
void evaluate_log_probs(const Loss&, column, const number_options& = {}) {
  detail::refuse_other_loss<detail::loss_of<Loss, token<dual<double, 1>>>>();
}
template <class Loss>
  requires(!detail::loss_of<Loss, number<dual<double, 1>>>)
void evaluate_values(const Loss&, column, const number_options& = {}) {
  detail::refuse_other_loss<detail::loss_of<Loss, number<dual<double, 1>>>>();
}

}  // namespace emend
