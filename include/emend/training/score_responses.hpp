#pragma once

#include <emend/evaluation/statistics.hpp>
#include <emend/training/trainable.hpp>

namespace emend {

/// What a policy says of the response tokens of a batch, [batch.tokens()] each.
struct response_scores {
  std::vector<double> log_prob, entropy;
};

/// Log-probability and entropy of every response token.
/// transform: the temperature and cap that the responses were drawn with, if the ratio is to be of that distribution.
/// A token that the policy leaves out has NaN. Throws std::invalid_argument as `statistics` does. Cost: one forward
/// pass of the policy, one reading of the scores.
template <scoring_policy P>
response_scores score_responses(P& policy, const token_batch& batch, const score_transform& transform = {}) {
  response_scores result;
  result.log_prob.assign(static_cast<std::size_t>(batch.tokens()), detail::not_a_number);
  result.entropy = result.log_prob;
  policy.score(batch, [&](const auto& scores, const std::vector<index>& tokens) {
    if (tokens.empty()) return;  // a part of empty responses alone
    std::vector<index> targets;
    for (const index t : tokens) targets.push_back(batch.targets()[static_cast<std::size_t>(t)]);
    const auto columns = statistics(scores, targets, {.transform = transform});
    for (std::size_t k = 0; k < tokens.size(); ++k) {
      result.log_prob[static_cast<std::size_t>(tokens[k])] = columns.log_prob[k];
      result.entropy[static_cast<std::size_t>(tokens[k])] = columns.entropy[k];
    }
  });
  return result;
}

/// The critic's value of every response token, [batch.tokens()]; NaN of one that the critic leaves out. Throws
/// std::invalid_argument if the critic does not give one value for each token that it names.
template <trainable_critic C>
std::vector<double> value_responses(C& critic, const token_batch& batch) {
  std::vector<double> value(static_cast<std::size_t>(batch.tokens()), detail::not_a_number);
  critic.value(batch, [&](const std::vector<double>& values, const std::vector<index>& tokens) {
    detail::require_length("values of the critic", static_cast<index>(values.size()),
                           static_cast<index>(tokens.size()));
    for (std::size_t k = 0; k < tokens.size(); ++k) value[static_cast<std::size_t>(tokens[k])] = values[k];
  });
  return value;
}

}  // namespace emend
