// A new loss is one lambda over the statistics of a token. Its gradient with respect to every score is exact; here it
// is held against finite differences. The same source for every type of scores: custom_loss, custom_loss_eigen,
// custom_loss_xtensor, custom_loss_libtorch.

#include <cmath>
#include <cstdio>
#include <vector>

#include <common/backend_scores.hpp>
#include <common/no_options.hpp>
#include <emend/emend.hpp>

int main(int count, char** arguments) {
  if (const auto status = common::answer_arguments(
          count, arguments, "custom_loss: a loss written as a lambda, its gradient checked against finite differences"))
    return *status;
  constexpr emend::index tokens = 4, vocabulary = 6;
  common::backend_scores scores = common::make_scores(tokens, vocabulary);
  for (emend::index i = 0; i < tokens; ++i)
    for (emend::index j = 0; j < vocabulary; ++j)
      common::score_at(scores, i, j) = 2 * std::sin(static_cast<double>(1 + 3 * i + 2 * j * j));
  const std::vector<int> targets{2, 0, 5, 3};
  const std::vector<double> advantage{1.0, -0.5, 2.0, 0.3}, old_log_prob{-1.2, -2.0, -0.9, -1.5};

  // A policy gradient with a soft trust region and an entropy bonus; r is the ratio of probabilities.
  const emend::column advantages(advantage), old_log_probs(old_log_prob);
  const auto loss = [&](const auto& token) {
    const auto r = emend::exp(token.log_prob - token(old_log_probs));
    return -token(advantages) * r + 0.5 * emend::square(r - 1.0) - 0.01 * token.entropy;
  };

  const auto result = emend::evaluate(loss, scores, targets, {.normaliser = tokens});
  std::printf("scores: %s\nloss: %.9f\n\n token  id     gradient   finite difference   apart\n",
              common::backend_scores_name, result.value);

  constexpr double h = 1e-5;
  double worst = 0;
  for (emend::index i = 0; i < tokens; ++i)
    for (emend::index j = 0; j < vocabulary; ++j) {
      const auto value_at = [&](double step) {
        common::backend_scores moved = common::copy_of(scores);
        common::score_at(moved, i, j) += step;
        return emend::evaluate_value(loss, moved, targets, {.normaliser = tokens}).value;
      };
      const double gradient = common::score_at(result.gradient, i, j),
                   difference = (value_at(h) - value_at(-h)) / (2 * h), apart = std::abs(difference - gradient);
      worst = std::fmax(worst, apart);
      if (j == targets[static_cast<std::size_t>(i)] || j == 1)
        std::printf("%6td %3td%s  %11.8f         %11.8f   %.1e\n", i, j,
                    j == targets[static_cast<std::size_t>(i)] ? "*" : " ", gradient, difference, apart);
    }
  std::printf("\n* the target. Largest difference over all %td scores: %.1e\n", tokens * vocabulary, worst);
  return worst < 1e-8 ? 0 : 1;
}
