#pragma once

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <emend/eigen.hpp>
#include <emend/metrics/pair_accuracy.hpp>
#include <emend/reward/seq2seq_examples.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <lm/lm.hpp>
#include <seq2seq_rewards/pairs.hpp>

namespace seq2seq {

using emend::reward_mode;
inline constexpr std::array<reward_mode, 5> all_modes{reward_mode::sign, reward_mode::prob, reward_mode::margin,
                                                      reward_mode::logratio, reward_mode::dense};
inline const char* name_of(reward_mode mode) {
  constexpr const char* names[] = {"sign", "prob", "margin", "logratio", "dense"};
  return names[static_cast<int>(mode)];
}

/// A response as the reward model sees it in one teacher-forced pass. Vectors have one entry a token, the end included.
struct scored_response {
  std::vector<std::vector<double>> reward;  // by mode
  std::vector<int> choice;                  // the reward model's own next token
  std::vector<double> log_prob;             // log q of the response's token
  std::vector<double> sequence_score;       // by mode: mean of the rewards
  double copy_log_likelihood = 0;
};

using prompted_response = std::pair<const std::vector<int>*, const std::vector<int>*>;

/// Scores many responses. reference: for `dense`, the same responses scored before; without it that mode is left out.
template <emend::executor Pool>
std::vector<scored_response> score_responses(const lm::weights<float>& w, const vocabulary& v,
                                             const std::vector<prompted_response>& responses, Pool& pool,
                                             const std::vector<scored_response>* reference = nullptr) {
  constexpr std::size_t group_size = 64;
  std::vector<scored_response> results(responses.size());
  const auto score_group = [&](std::size_t begin, std::size_t end, lm::workspace<float>& memory) {
    lm::batch tokens;
    std::vector<emend::index> response, offsets{0};
    std::vector<double> reference_log_prob;
    for (std::size_t i = begin; i < end; ++i) {
      const emend::seq2seq_example example =
          emend::extraction_example(v.form(), *responses[i].first, *responses[i].second);
      const std::vector<int> ids(example.ids.begin(), example.ids.end() - 1);
      tokens.add_sequence(ids, static_cast<int>(example.target_start));
      response.insert(response.end(), responses[i].second->begin(), responses[i].second->end());
      offsets.push_back(static_cast<emend::index>(response.size()));
      if (reference)
        reference_log_prob.insert(reference_log_prob.end(), (*reference)[i].log_prob.begin(),
                                  (*reference)[i].log_prob.end());
    }
    lm::forward(w, tokens, memory);
    const lm::matrix_view<float> scores = memory.logits();
    const emend::ragged layout(offsets);
    for (const reward_mode mode : all_modes) {
      if (mode == reward_mode::dense && !reference) continue;
      const emend::seq2seq_rewards rewards =
          emend::extract_rewards(scores, response, layout,
                                 {.mode = mode, .reference_log_prob = emend::column_unless_empty(reference_log_prob)});
      for (std::size_t i = begin; i < end; ++i) {
        const auto first = static_cast<std::size_t>(offsets[i - begin]),
                   last = static_cast<std::size_t>(offsets[i - begin + 1]);
        scored_response& result = results[i];
        result.reward.emplace_back(&rewards.score[first], &rewards.score[first] + (last - first));
        result.sequence_score.push_back(rewards.sequence_score[i - begin]);
        if (mode != reward_mode::sign) continue;
        result.copy_log_likelihood = rewards.copy_log_likelihood[i - begin];
        for (std::size_t t = first; t < last; ++t) {
          result.choice.push_back(static_cast<int>(rewards.arg_max[t]));
          result.log_prob.push_back(rewards.log_prob[t]);
        }
      }
    }
  };
  const std::size_t groups = (responses.size() + group_size - 1) / group_size;
  pool.for_each_chunk(static_cast<emend::index>(groups), [&](emend::index first, emend::index last) {
    lm::workspace<float> memory;
    for (auto g = static_cast<std::size_t>(first); g < static_cast<std::size_t>(last); ++g)
      score_group(g * group_size, std::min(responses.size(), (g + 1) * group_size), memory);
  });
  return results;
}

/// The reward model's own greedy rewriting of each response, without its end.
template <emend::executor Pool>
std::vector<std::vector<int>> rewrite(const lm::weights<float>& w, const vocabulary& v,
                                      const std::vector<prompted_response>& responses, Pool& pool) {
  std::vector<std::vector<int>> prompts;
  std::size_t longest = 0;
  for (const auto& [prompt, response] : responses) {
    const emend::seq2seq_example example = emend::extraction_example(v.form(), *prompt, *response);
    prompts.emplace_back(example.ids.begin(), example.ids.begin() + example.target_start + 1);
    longest = std::max(longest, response->size());
  }
  return lm::decode_greedy<float>(
      w, prompts, pool, {.max_new_tokens = static_cast<int>(longest + longest / 2 + 4), .end_id = v.end_id()});
}

struct named_share {
  std::string name;
  emend::share share;
  bool is_baseline = false;
};

/// One held-out pair as shown: what the model makes of the rejected response.
struct shown_pair {
  std::vector<int> rejected;
  scored_response score;
  std::string prompt, rewriting, chosen;
  bool is_corrected = false;
};

struct evaluation {
  std::size_t pairs = 0, copies = 0;
  emend::share correction, unchanged, identity;  // greedy rewriting: right; the rejected response itself; chosen copied
  std::vector<named_share> ranking;              // chosen above rejected
  std::vector<shown_pair> shown;
  reward_mode mode = reward_mode::sign;
};

/// All held-out measures. untrained: the model before its first step. examples: how many pairs to show.
template <emend::executor Pool>
evaluation evaluate_held_out(const lm::weights<float>& w, const lm::weights<float>& untrained, const vocabulary& v,
                             const std::vector<preference>& held_out, reward_mode mode, std::size_t examples,
                             Pool& pool) {
  std::vector<encoded_pair> pairs;
  for (const preference& pair : held_out) pairs.push_back(encode(v, pair));
  const auto copies = distinct_chosen(pairs);
  std::vector<prompted_response> chosen, rejected, copied;
  for (const encoded_pair& pair : pairs) {
    chosen.emplace_back(&pair.prompt, &pair.chosen);
    rejected.emplace_back(&pair.prompt, &pair.rejected);
  }
  for (const auto& [prompt, response] : copies) copied.emplace_back(&prompt, &response);

  evaluation result;
  result.pairs = pairs.size();
  result.copies = copies.size();
  result.mode = mode;
  const auto equals = [](const std::vector<int>& rewriting, const std::vector<int>& response) {
    return std::equal(rewriting.begin(), rewriting.end(), response.begin(), response.end() - 1);
  };
  const auto rewritings = rewrite(w, v, rejected, pool), copied_rewritings = rewrite(w, v, copied, pool);
  double corrections = 0, unchanged = 0, identities = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    corrections += equals(rewritings[i], pairs[i].chosen);
    unchanged += equals(rewritings[i], pairs[i].rejected);
  }
  for (std::size_t i = 0; i < copies.size(); ++i) identities += equals(copied_rewritings[i], copies[i].second);
  const auto pair_count = static_cast<double>(pairs.size());
  result.correction = emend::wilson_interval(corrections, pair_count);
  result.unchanged = emend::wilson_interval(unchanged, pair_count);
  result.identity = emend::wilson_interval(identities, static_cast<double>(copies.size()));

  const auto chosen_before = score_responses(untrained, v, chosen, pool),
             rejected_before = score_responses(untrained, v, rejected, pool);
  const auto chosen_score = score_responses(w, v, chosen, pool, &chosen_before);
  const auto rejected_score = score_responses(w, v, rejected, pool, &rejected_before);
  const auto rank = [&](const std::string& name, const auto& of_chosen, const auto& of_rejected, auto&& value,
                        bool is_baseline) {
    std::vector<double> better, worse;
    for (const auto& one : of_chosen) better.push_back(value(one));
    for (const auto& one : of_rejected) worse.push_back(value(one));
    result.ranking.push_back({name, emend::pair_accuracy(better, worse), is_baseline});
  };
  const auto likelihood = [](const scored_response& s) { return s.copy_log_likelihood; };
  const auto rank_mode = [&](reward_mode one) {
    rank(
        std::string("reward, ") + name_of(one), chosen_score, rejected_score,
        [&](const scored_response& s) { return s.sequence_score[static_cast<std::size_t>(one)]; }, false);
  };
  rank_mode(mode);
  for (const reward_mode other : all_modes)
    if (other != mode) rank_mode(other);
  rank("copy likelihood", chosen_score, rejected_score, likelihood, false);
  rank(
      "longer wins", chosen, rejected, [](const prompted_response& r) { return static_cast<double>(r.second->size()); },
      true);
  rank("copy likelihood, untrained model", chosen_before, rejected_before, likelihood, true);

  // Examples of different words, in an order that has nothing to do with the alphabet.
  std::vector<std::size_t> order(pairs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return hash_of(held_out[a].rejected) < hash_of(held_out[b].rejected);
  });
  std::set<std::string> groups;
  for (const std::size_t i : order) {
    if (result.shown.size() == examples) break;
    if (!groups.insert(held_out[i].group).second) continue;
    result.shown.push_back({pairs[i].rejected, rejected_score[i], held_out[i].prompt, v.decode(rewritings[i]),
                            held_out[i].chosen, equals(rewritings[i], pairs[i].chosen)});
  }
  return result;
}

}  // namespace seq2seq
