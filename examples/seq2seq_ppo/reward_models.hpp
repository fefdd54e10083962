#pragma once

#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/core/sequence_values.hpp>
#include <emend/losses/preference.hpp>
#include <emend/reward/seq2seq_loss.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <seq2seq_ppo/preferences.hpp>

namespace seq2seq_ppo {

/// How much the models that learn from labels may learn: the same for each of them.
struct budget {
  long long steps = 400;
  std::size_t batch = 32;  // pairs a step
  double learning_rate = 1e-3;
  lm::adamw_options optimizer() const {
    return {.learning_rate = learning_rate,
            .beta2 = 0.98,
            .weight_decay = 0.05,
            .max_norm = 1,
            .warmup_steps = std::min(50LL, steps / 4),
            .total_steps = steps,
            .schedule = lm::decay::linear,
            .final_fraction = 0.05};
  }
};

/// f(pairs of a step, number of the step), for every step: shuffled anew every time round.
template <class F>
void for_each_step(const std::vector<labelled_pair>& pairs, const budget& b, std::uint64_t seed, F&& f) {
  long long step = 0;
  for (std::uint64_t round = 0; step < b.steps; ++round)
    for (const auto& numbers :
         emend::minibatches(static_cast<emend::index>(pairs.size()), static_cast<emend::index>(b.batch), seed, round)) {
      if (step == b.steps) break;
      std::vector<const labelled_pair*> chosen;
      for (const emend::index n : numbers) chosen.push_back(&pairs[static_cast<std::size_t>(n)]);
      f(chosen);
      ++step;
    }
}

/// The first policy: supervised, on questions with what is right and, now and then, the stock refusal.
inline lm::weights<float> train_first_policy(const task& t, const lm::config& shape, long long steps,
                                             double refusal_share, std::uint64_t seed) {
  const budget b{.steps = steps, .batch = 64, .learning_rate = t.pretrained ? 1e-3 : 3e-3};
  language_policy policy(t.pretrained ? *t.pretrained : lm::random_weights<float>(shape, seed, 0.08), b.optimizer(),
                         t.end());
  const emend::counter_random random{seed};
  std::uint64_t number = 0;
  for (long long step = 0; step < steps; ++step) {
    emend::token_batch batch;
    for (int k = 0; k < 64; ++k, ++number) {
      const question& q =
          t.sft[static_cast<std::size_t>(random.below(static_cast<emend::index>(t.sft.size()), 11, number))];
      batch.add(q.prompt, random.uniform(12, number) < refusal_share ? t.refusal : q.right);
    }
    policy.differentiate(batch, [&](const auto& scores, const std::vector<emend::index>&, auto& gradient) {
      emend::evaluate_into(emend::cross_entropy{}, scores, batch.targets(),
                           {.normaliser = static_cast<double>(batch.tokens())}, gradient);
    });
    policy.step();
  }
  return policy.model();
}

/// A scalar reward model: one number at the end of prompt and response, trained on which of two is preferred.
class scalar_reward {
 public:
  scalar_reward(const lm::weights<float>& first, const std::vector<labelled_pair>& pairs, const budget& b,
                std::uint64_t seed)
      : network_(first, b.optimizer()) {
    for_each_step(pairs, b, seed, [&](const std::vector<const labelled_pair*>& step) {
      lm::batch packed;
      for (const labelled_pair* pair : step) {
        add(packed, pair->of->prompt, pair->chosen);
        add(packed, pair->of->prompt, pair->rejected);
      }
      const std::vector<double> values = network_.forward(packed);
      const emend::index count = static_cast<emend::index>(step.size());
      const auto loss =
          emend::pairwise_loss(emend::column(values.data(), count, 2), emend::column(values.data() + 1, count, 2));
      std::vector<double> d_value(values.size());
      for (std::size_t p = 0; p < step.size(); ++p) {
        d_value[2 * p] = loss.chosen[p];
        d_value[2 * p + 1] = loss.rejected[p];
      }
      network_.backward(packed, d_value);
      network_.step();
    });
  }
  /// One number a sequence; an empty response has none, and gets 0.
  std::vector<double> operator()(const emend::token_batch& batch) {
    lm::batch packed;
    for (emend::index b = 0; b < batch.sequences(); ++b) add(packed, batch.prompt(b), batch.response(b));
    return network_.forward(packed);
  }

 private:
  static void add(lm::batch& packed, emend::id_column prompt, emend::id_column response) {
    std::vector<int> sequence;
    for (emend::index i = 0; i < prompt.size(); ++i) sequence.push_back(static_cast<int>(prompt[i]));
    for (emend::index i = 0; i < response.size(); ++i) sequence.push_back(static_cast<int>(response[i]));
    packed.add_sequence(sequence, static_cast<int>(sequence.size()) - 1);
  }
  value_network network_;
};

/// Which mappings a sequence-to-sequence reward model learns.
enum class mappings { both, correction, identity };

/// A sequence-to-sequence reward model: rewrites a rejected response into the chosen one, and a chosen one into itself.
class seq2seq_reward {
 public:
  seq2seq_reward(const task& t, const lm::weights<float>& first, const std::vector<labelled_pair>& pairs,
                 const budget& b, mappings which, std::uint64_t seed)
      : form_(t.v.form()), policy_(first, b.optimizer(), t.end()) {
    for_each_step(pairs, b, seed, [&](const std::vector<const labelled_pair*>& step) {
      emend::token_batch batch;
      for (const labelled_pair* pair : step) {
        if (which != mappings::identity) add(batch, pair->of->asked, pair->rejected, pair->chosen);
        if (which != mappings::correction) add(batch, pair->of->asked, pair->chosen, pair->chosen);
      }
      policy_.differentiate(batch, [&](const auto& scores, const std::vector<emend::index>&, auto& gradient) {
        emend::evaluate_into(emend::cross_entropy{}, scores, batch.targets(),
                             {.normaliser = static_cast<double>(batch.tokens())}, gradient);
      });
      policy_.step();
    });
  }
  /// Token rewards of the responses of a batch to these questions, by one teacher-forced pass.
  emend::seq2seq_rewards operator()(const emend::token_batch& batch, const std::vector<const question*>& questions,
                                    const emend::seq2seq_reward_options& options) {
    emend::token_batch copies;
    for (emend::index b = 0; b < batch.sequences(); ++b) {
      const auto response = batch.response(b);
      ids own;
      for (emend::index i = 0; i < response.size(); ++i) own.push_back(response[i]);
      add(copies, questions[static_cast<std::size_t>(b)]->asked, own, own);
    }
    emend::seq2seq_rewards rewards;
    policy_.score(copies, [&](const auto& scores, const std::vector<emend::index>&) {
      rewards = emend::extract_rewards(scores, copies.targets(), copies.layout(), options);
    });
    return rewards;
  }

 private:
  void add(emend::token_batch& batch, const ids& asked, const ids& given, const ids& target) const {
    ids context{form_.prompt_separator};
    context.insert(context.end(), asked.begin(), asked.end() - 1);
    context.push_back(form_.given_separator);
    context.insert(context.end(), given.begin(), given.end());
    context.push_back(form_.target_separator);
    batch.add(context, target);
  }
  emend::seq2seq_template form_;
  language_policy policy_;
};

/// A policy trained on preferences directly. on_step: (policy, steps done) -> void.
template <class OnStep>
language_policy train_dpo(const task& t, const lm::weights<float>& first, const std::vector<labelled_pair>& pairs,
                          const budget& b, double beta, std::uint64_t seed, OnStep&& on_step) {
  language_policy policy(first, b.optimizer(), t.end()), reference(first, {}, t.end());
  long long steps = 0;
  const auto sums = [](const emend::token_batch& batch, const std::vector<double>& log_prob) {
    return emend::sequence_sums(log_prob, batch.layout());
  };
  for_each_step(pairs, b, seed, [&](const std::vector<const labelled_pair*>& step) {
    emend::token_batch batch;
    for (const labelled_pair* pair : step) {
      batch.add(pair->of->prompt, pair->chosen);
      batch.add(pair->of->prompt, pair->rejected);
    }
    const std::vector<double> of_reference = sums(batch, emend::score_responses(reference, batch).log_prob);
    policy.differentiate(batch, [&](const auto& scores, const std::vector<emend::index>&, auto& gradient) {
      const std::vector<double> own = sums(batch, emend::statistics(scores, batch.targets()).log_prob);
      const emend::index count = static_cast<emend::index>(step.size());
      const auto half = [&](const std::vector<double>& x, int which) {
        return emend::column(x.data() + which, count, 2);
      };
      const auto loss =
          emend::dpo_loss(half(own, 0), half(own, 1), half(of_reference, 0), half(of_reference, 1), {.beta = beta});
      std::vector<double> slope;
      for (std::size_t p = 0; p < step.size(); ++p) {
        slope.insert(slope.end(), static_cast<std::size_t>(batch.response_length(static_cast<emend::index>(2 * p))),
                     loss.chosen[p]);
        slope.insert(slope.end(), static_cast<std::size_t>(batch.response_length(static_cast<emend::index>(2 * p + 1))),
                     loss.rejected[p]);
      }
      emend::evaluate_into([&](const auto& token) { return token(slope) * token.log_prob; }, scores, batch.targets(),
                           {}, gradient);
    });
    policy.step();
    on_step(policy, ++steps);
  });
  return policy;
}

}  // namespace seq2seq_ppo
