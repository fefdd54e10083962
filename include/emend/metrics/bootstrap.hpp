#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/executor.hpp>
#include <emend/core/random.hpp>

#include <algorithm>
#include <vector>

namespace emend {

/// Options of the bootstrap.
struct bootstrap_options {
  index resamples = 1000;
  double confidence = 0.95;
  std::uint64_t seed = 0;
};

/// A number and the interval within which resampling moves it.
struct interval {
  double value = 0, low = 0, high = 0;
};

/// Percentile interval of a statistic of n prompts: what it would have been with other prompts of the same kind.
///   value = f(0, 1, .., n-1);   resample r: f(c_1, .., c_n),  c_i = random.below(n, r, i);
///   low, high = the quantiles (1 -+ confidence) / 2 of f over the resamples, interpolated between neighbours
/// f: callable with a const std::vector<index>& of n prompts, with repetition, from several threads at once. n = 0
/// calls nothing, and gives zeros. If f is NaN for a resample, low and high are NaN. The same interval for any number
/// of threads. Throws std::invalid_argument on n below 0, fewer than one resample or a confidence outside (0, 1). Cost:
/// resamples + 1 calls of f. Efron 1979; over prompts, not tokens: tokens of one text are not independent.
template <class F, executor E = const sequential>
  requires requires(const F& f, const std::vector<index>& prompts) { double(f(prompts)); }
interval bootstrap(index n, const F& f, const bootstrap_options& options = {}, E&& executor = sequential{}) {
  if (n < 0) detail::fail("n", "a number not below 0", std::to_string(n));
  if (options.resamples < 1) detail::fail("resamples", "at least 1", std::to_string(options.resamples));
  if (!(options.confidence > 0 && options.confidence < 1))
    detail::fail("confidence", "a number in (0, 1)", std::to_string(options.confidence));
  if (n == 0) return {};
  const auto size = static_cast<std::size_t>(n);
  std::vector<index> all(size);
  for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<index>(i);
  const counter_random random{options.seed};
  std::vector<double> values(static_cast<std::size_t>(options.resamples));
  executor.for_each_chunk(options.resamples, [&](index begin, index end) {
    std::vector<index> chosen(size);
    for (index r = begin; r < end; ++r) {
      for (std::size_t i = 0; i < size; ++i) chosen[i] = random.below(n, static_cast<std::uint64_t>(r), i);
      values[static_cast<std::size_t>(r)] = f(chosen);
    }
  });
  const double value = f(all);
  // Numbers have no order beside a NaN.
  for (const double x : values)
    if (x != x) return {value, x, x};
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double q) {
    const double place = q * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    if (below + 1 >= values.size()) return values.back();
    const double share = place - static_cast<double>(below);
    // Infinite neighbours have no distance.
    if (share == 0 || values[below] == values[below + 1]) return values[below];
    return values[below] + share * (values[below + 1] - values[below]);
  };
  return {value, quantile((1 - options.confidence) / 2), quantile((1 + options.confidence) / 2)};
}

}  // namespace emend
