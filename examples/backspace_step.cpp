// SequenceMatch on one word: a correct spelling into which an error and its backspace were put, and a rollout that went
// astray; their states packed as a tree, the chi-square mixture over both with its exact gradient, and steps along it.
// Each text has scores of its own, so what is learned is read off directly. The same source for every type of scores:
// backspace_step, backspace_step_eigen, .._xtensor, .._libtorch.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <common/backend_scores.hpp>
#include <common/no_options.hpp>
#include <emend/emend.hpp>

int main(int count, char** arguments) {
  if (const auto status = common::answer_arguments(count, arguments,
                                                   "backspace_step: what SequenceMatch teaches the states of one word"))
    return *status;
  constexpr emend::index start = 0, end = 1, backspace = 2, vocabulary = 8;
  const std::string letters = "^$<catox";  // what ids 0 to 7 stand for
  const emend::action_ids actions{.end = end, .backspace = backspace};
  // "cat", before whose second letter an error was put, erased at once; and "cox", which a model wrote.
  const std::vector<emend::index> prompt{start}, word{3, 4, 5, end}, errors{0, 1, 0, 0}, noise{6},
      rollout{3, 6, 7, end};
  const emend::trajectory_forest forest(
      {emend::data_trajectory(prompt, emend::augment_with_errors(word, errors, noise, backspace), actions),
       emend::rollout_trajectory(prompt, rollout, actions)});
  // As in a model, one text has one row of scores, whoever came there.
  std::vector<std::string> text;
  std::vector<emend::index> row_of;
  for (emend::index node : forest.rows()) {
    std::string written;
    for (; node >= 0; node = forest.parent()[static_cast<std::size_t>(node)])
      written.insert(written.begin(),
                     letters[static_cast<std::size_t>(forest.token()[static_cast<std::size_t>(node)])]);
    const auto place = std::find(text.begin(), text.end(), written);
    row_of.push_back(place - text.begin());
    if (place == text.end()) text.push_back(written);
  }
  emend::trajectory_columns columns = forest.columns();
  std::vector<emend::index> at;
  for (emend::index entry = 0; entry < columns.at.size(); ++entry)
    at.push_back(row_of[static_cast<std::size_t>(columns.at[entry])]);
  columns.at = at;
  columns.is_at_floor = {};
  const auto states = static_cast<emend::index>(text.size());

  common::backend_scores scores = common::make_scores(states, vocabulary);
  for (emend::index row = 0; row < states; ++row)
    for (emend::index j = 0; j < vocabulary; ++j) common::score_at(scores, row, j) = 0;
  const emend::sequence_match_objective<> objective{.alpha = 0.1, .gamma = 0.998, .mixture_coefficient = 0.25};
  std::printf("scores: %s, %td texts of %td actions each\n\n step   objective\n", common::backend_scores_name, states,
              vocabulary);
  double first = 0, last = 0;
  for (int step = 0; step <= 60; ++step) {
    const auto result = emend::evaluate_trajectories(objective, scores, columns);
    if (step == 0) first = result.objective();
    last = result.objective();
    if (step % 20 == 0) std::printf("%5d  %10.5f\n", step, last);
    for (emend::index row = 0; row < states; ++row)
      for (emend::index j = 0; j < vocabulary; ++j)
        common::score_at(scores, row, j) -= common::score_at(result.gradient, row, j);
  }

  std::printf("\n text      most probable action (< erases, $ ends)\n");
  bool is_right = last > first;
  for (emend::index row = 0; row < states; ++row) {
    const std::string& written = text[static_cast<std::size_t>(row)];
    if (written.back() == '$') continue;  // nothing follows the end
    emend::index best = 0;
    for (emend::index j = 1; j < vocabulary; ++j)
      if (common::score_at(scores, row, j) > common::score_at(scores, row, best)) best = j;
    double total = 0;
    for (emend::index j = 0; j < vocabulary; ++j)
      total += std::exp(common::score_at(scores, row, j) - common::score_at(scores, row, best));
    std::printf(" %-9s %c %.3f\n", written.c_str(), letters[static_cast<std::size_t>(best)], 1 / total);
    if (written == "^co") is_right = is_right && best == backspace;
  }
  return is_right ? 0 : 1;
}
