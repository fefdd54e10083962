#pragma once

#include <cmath>
#include <string>

#include <common/run_jobs.hpp>
#include <sequence_match/losses.hpp>
#include <sequence_match/score_table.hpp>

namespace sequence_match {

struct tabular_options {
  double slip = 0.1;   // how often the model writes any letter instead of what it chose
  double noise = 0.1;  // errors in the data, where there are any
  double alpha = 0.1, gamma = 0.95;
  double ridge = 1e-4;  // of the scores: where nothing is asked of them they are 0, and none goes to infinity
  int steps = 4000;
  double rate = 0.1;  // of the first step
};

/// Distances between the texts of the data (p) and those of a model (q); what never ends is a text of its own.
struct text_distances {
  double total_variation = 0;  // 1/2 sum |p - q|
  double mixture_chi2 = 0;     // sum (p - q)^2 / (p + q), at most 2
  double forward_kl = 0;       // sum p log p/q                          [nats]
  double impossible = 0;       // probability of a text that the data do not have
};
inline text_distances distances_of(const std::vector<double>& p, const generated_texts& q) {
  text_distances d{q.unfinished / 2, q.unfinished, 0, q.unfinished};
  for (std::size_t s = 0; s < p.size(); ++s) {
    d.total_variation += std::abs(p[s] - q.probability[s]) / 2;
    if (p[s] + q.probability[s] > 0)
      d.mixture_chi2 += (p[s] - q.probability[s]) * (p[s] - q.probability[s]) / (p[s] + q.probability[s]);
    if (p[s] > 0)
      d.forward_kl += p[s] * std::log(p[s] / q.probability[s]);
    else
      d.impossible += q.probability[s];
  }
  return d;
}

struct tabular_solution {
  text_distances distances;
  generated_texts written;
  double slope = 0;  // length of the gradient where it was left
  std::vector<double> policy;
};

/// The table at the objective's maximum over the exact occupancies: gradient ascent with Adam and a rate that falls to
/// nothing. has_rollouts: the model's own occupancy is found anew at every step, slips included. on_step: as
/// `common::report_progress`.
template <emend::trajectory_objective O>
std::optional<tabular_solution> solve_table(const markov_source& source, const O& objective, bool has_backspace,
                                            bool has_rollouts, double noise, const tabular_options& o,
                                            const common::report_progress& on_step) {
  objective.check();
  score_table table(source, has_backspace);
  const occupancy data = data_occupancy(source, noise, objective.gamma);
  std::vector<double> gradient, first(table.values().size(), 0.0), second(first);
  tabular_solution result;
  const double beta1 = 0.9, beta2 = 0.99;
  for (int step = 0; step < o.steps; ++step) {
    occupancy own;
    if (has_rollouts) own = model_occupancy(source, table.policy(), o.slip, objective.gamma, result.written);
    table.evaluate(objective, data, has_rollouts ? &own : nullptr, gradient);
    const double left = 1 - static_cast<double>(step) / o.steps, rate = o.rate * left * left;
    double square = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double& x = table.values()[i];
      const double g = gradient[i] - o.ridge * x;
      square += g * g;
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      x += rate * first[i] / (1 - std::pow(beta1, step + 1)) /
           (std::sqrt(second[i] / (1 - std::pow(beta2, step + 1))) + 1e-10);
    }
    result.slope = std::sqrt(square);
    if (step % 100 == 0 && !on_step(static_cast<double>(step) / o.steps)) return std::nullopt;
  }
  result.policy = table.policy();
  model_occupancy(source, result.policy, o.slip, objective.gamma, result.written);
  result.distances = distances_of(source.distribution(), result.written);
  return result;
}

}  // namespace sequence_match
