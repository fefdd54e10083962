#pragma once

#include <emend/training/score_responses.hpp>

namespace emend {

/// Responses and what PPO knows of each of their tokens. Columns are [batch.tokens()] or empty where not known.
struct rollout {
  token_batch batch;
  std::vector<index> group;  ///< [sequences] number of the prompt each response answers
  std::vector<double> old_log_prob, reference_log_prob, entropy, value, reward, advantage, returns;
};

/// Options of `collect`.
struct collect_options {
  index responses_per_prompt = 1;  ///< a group of responses to the same prompt, one after the other
  std::uint64_t seed = 0;
  score_transform transform = {};  ///< what the responses are drawn with, if it is part of the policy
};

/// Lets a policy answer prompts, and notes the log-probabilities of what it wrote under itself and under the reference.
/// prompts: each not empty. reference: a `scoring_policy`. Throws std::invalid_argument if the policy gives another
/// number of responses than it was asked for. Cost: one generation, one forward pass of each of the two.
template <class P, scoring_policy Reference>
  requires scoring_policy<P> && responding_policy<P>
rollout collect(P& policy, Reference& reference, const std::vector<std::vector<index>>& prompts,
                const collect_options& options = {}) {
  if (options.responses_per_prompt < 1)
    detail::fail("responses_per_prompt", "at least 1", std::to_string(options.responses_per_prompt));
  rollout result;
  std::vector<std::vector<index>> asked;
  for (std::size_t p = 0; p < prompts.size(); ++p)
    for (index k = 0; k < options.responses_per_prompt; ++k) {
      asked.push_back(prompts[p]);
      result.group.push_back(static_cast<index>(p));
    }
  const std::vector<std::vector<index>> responses = policy.respond(asked, options.seed);
  detail::require_length("responses of the policy", static_cast<index>(responses.size()),
                         static_cast<index>(asked.size()));
  for (std::size_t b = 0; b < asked.size(); ++b) result.batch.add(asked[b], responses[b]);
  response_scores own = score_responses(policy, result.batch, options.transform);
  result.old_log_prob = std::move(own.log_prob);
  result.entropy = std::move(own.entropy);
  result.reference_log_prob = score_responses(reference, result.batch, options.transform).log_prob;
  return result;
}

}  // namespace emend
