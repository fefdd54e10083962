#pragma once

#include <vector>

#include <emend/training/rollout.hpp>
#include <seq2seq_ppo/language_policy.hpp>

namespace seq2seq_ppo {

/// What a policy does on a set of prompts, one sampled response each.
struct measurement {
  std::vector<double> gold;  // reward of each prompt's response
  double kl = 0;             // to the first policy: mean over responses of sum log pi / log pi_first   [nats]
  double exact = 0;          // share of responses that are right
  double length = 0;         // mean length of a response over that of what is right
  double refusal = 0;        // share of stock refusals
  double mean_gold() const {
    double sum = 0;
    for (const double g : gold) sum += g;
    return gold.empty() ? 0 : sum / static_cast<double>(gold.size());
  }
};

/// A policy at one moment of its training, on prompts like its own and on unusual ones.
struct point {
  long long step = 0;
  measurement held_out, unusual;
};

inline measurement measure(language_policy& policy, language_policy& first, const task& t,
                           const std::vector<question>& questions, std::uint64_t seed) {
  std::vector<ids> prompts;
  std::vector<const question*> asked;
  for (const question& q : questions) {
    prompts.push_back(q.prompt);
    asked.push_back(&q);
  }
  const emend::rollout r = emend::collect(policy, first, prompts, {.seed = seed});
  measurement m;
  const double count = static_cast<double>(questions.size());
  std::vector<ids> responses;
  for (std::size_t b = 0; b < questions.size(); ++b) {
    const auto tokens = r.batch.response(static_cast<emend::index>(b));
    ids response;
    for (emend::index i = 0; i < tokens.size(); ++i) response.push_back(tokens[i]);
    m.exact += (response == questions[b].right) / count;
    m.refusal += (response == t.refusal) / count;
    m.length += static_cast<double>(response.size()) / static_cast<double>(questions[b].right.size()) / count;
    responses.push_back(std::move(response));
  }
  m.gold = t.gold(asked, responses);
  for (std::size_t i = 0; i < r.old_log_prob.size(); ++i) m.kl += (r.old_log_prob[i] - r.reference_log_prob[i]) / count;
  return m;
}

/// The same draws for every policy: differences are the policies'.
inline point measure_all(language_policy& policy, language_policy& first, const task& t, long long step,
                         std::uint64_t seed) {
  return {step, measure(policy, first, t, t.held_out, seed), measure(policy, first, t, t.unusual, seed + 1)};
}

}  // namespace seq2seq_ppo
