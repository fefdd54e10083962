#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <emend/core/sequence_values.hpp>
#include <emend/training/ppo.hpp>
#include <seq2seq_ppo/measure.hpp>
#include <seq2seq_ppo/reward_models.hpp>

namespace seq2seq_ppo {

/// What a policy is trained by, all from the same pairs and the same number of steps.
enum class method { scalar, rto, dpo, seq2seq };
inline constexpr std::array<const char*, 4> method_names{"scalar PPO", "RTO", "DPO", "seq2seq PPO"};

/// A form of the sequence-to-sequence reward.
struct form {
  std::string name = "sign";
  emend::reward_mode mode = emend::reward_mode::sign;
  mappings which = mappings::both;
  double positive = 1, negative = 1;
  emend::reward_normalisation normalise = emend::reward_normalisation::none;
};

/// One training run.
struct arm {
  world from;
  method by = method::scalar;
  form of;  // of seq2seq
};

struct ppo_budget {
  emend::index iterations = 40, prompts = 192, epochs = 2, minibatch = 64;
  emend::index measure_every = 4;
  double learning_rate = 3e-4, kl_coefficient = 0.02;
};

/// A response as the sequence-to-sequence reward sees it, for the page.
struct shown_response {
  std::string prompt, right;
  std::vector<std::string> tokens;
  std::vector<double> reward;
  double gold = 0;
};

struct arm_result {
  std::vector<point> points;
  std::vector<shown_response> shown;
};

/// The models of one world, trained when first asked for.
class models {
 public:
  models(const task& t, const world& w, const lm::weights<float>& first, const budget& b, std::size_t pairs)
      : task_(t), world_(w), first_(first), budget_(b) {
    language_policy policy(first, {}, t.end());
    pairs_ = sample_preferences(policy, t, w, pairs);
  }
  const lm::weights<float>& first() const { return first_; }
  const std::vector<labelled_pair>& pairs() const { return pairs_; }

  scalar_reward& scalar() {
    if (!scalar_) scalar_.emplace(first_, pairs_, budget_, world_.seed);
    return *scalar_;
  }
  seq2seq_reward& seq2seq(mappings which) {
    auto& model = seq2seq_[which];
    if (!model) model = std::make_unique<seq2seq_reward>(task_, first_, pairs_, budget_, which, world_.seed);
    return *model;
  }
  /// The policy that DPO trains, and what it was on the way.
  language_policy& dpo() {
    if (!dpo_) {
      language_policy start(first_, {}, task_.end());
      dpo_points_.push_back(measure_all(start, start, task_, 0, world_.seed));
      dpo_.emplace(
          train_dpo(task_, first_, pairs_, budget_, 0.1, world_.seed, [&](language_policy& policy, long long steps) {
            // Divergence grows fastest at first.
            if (steps == budget_.steps || (steps & (steps - 1)) == 0 || steps % (budget_.steps / 6 + 1) == 0) {
              if (steps < 8) return;
              dpo_points_.push_back(measure_all(policy, start, task_, steps, world_.seed));
            }
          }));
    }
    return *dpo_;
  }
  const std::vector<point>& dpo_points() {
    dpo();
    return dpo_points_;
  }

 private:
  const task& task_;
  world world_;
  lm::weights<float> first_;
  budget budget_;
  std::vector<labelled_pair> pairs_;
  std::optional<scalar_reward> scalar_;
  std::map<mappings, std::unique_ptr<seq2seq_reward>> seq2seq_;
  std::optional<language_policy> dpo_;
  std::vector<point> dpo_points_;
};

/// Token scores of a rollout, which answers these questions, by an arm's reward.
inline std::vector<double> arm_scores(models& m, const arm& a, const emend::rollout& r,
                                      const std::vector<const question*>& questions) {
  const emend::ragged layout = r.batch.layout();
  if (a.by == method::scalar) {
    const std::vector<double> of_sequence = m.scalar()(r.batch), none(static_cast<std::size_t>(r.batch.tokens()), 0);
    return emend::token_rewards(none, {}, {}, layout, {.scalar_scale = 1, .scalar_reward = of_sequence});
  }
  if (a.by == method::rto) {
    const std::vector<double> of_dpo = emend::score_responses(m.dpo(), r.batch).log_prob;
    std::vector<double> score(of_dpo.size());
    for (std::size_t i = 0; i < score.size(); ++i) score[i] = of_dpo[i] - r.reference_log_prob[i];
    return score;
  }
  return m
      .seq2seq(a.of.which)(r.batch, questions,
                           {.mode = a.of.mode,
                            .positive = a.of.positive,
                            .negative = a.of.negative,
                            .clip = 5,
                            .normalise = a.of.normalise,
                            .reference_log_prob = r.reference_log_prob})
      .score;
}

/// Trains a policy by PPO on an arm's reward. Rewards are scaled once, so that the sum over a response of the first
/// policy has deviation 1: every arm pulls with the same force against the same divergence. on_iteration: (iterations
/// done) -> bool, false stops the arm, whose result is then worth nothing.
template <class OnIteration>
arm_result train_arm(const task& t, models& m, const arm& a, const ppo_budget& b, OnIteration&& on_iteration) {
  if (a.by == method::dpo) return {m.dpo_points(), {}};
  const lm::adamw_options optimizer{.learning_rate = b.learning_rate, .beta2 = 0.98, .weight_decay = 0, .max_norm = 1};
  language_policy policy(m.first(), optimizer, t.end()), first(m.first(), {}, t.end());
  value_network critic(m.first(),
                       {.learning_rate = 2 * b.learning_rate, .beta2 = 0.98, .weight_decay = 0, .max_norm = 1});
  emend::ppo_options options{
      .reward = {.kl_coefficient = b.kl_coefficient}, .gae = {.gamma = 1, .lambda = 0.95}, .seed = a.from.seed};
  options.policy = {.epochs = b.epochs, .minibatch = b.minibatch};
  options.critic = {.epochs = b.epochs, .minibatch = b.minibatch};
  arm_result result;
  result.points.push_back(measure_all(policy, first, t, 0, a.from.seed));
  double scale = 0, shift = 0;
  for (emend::index iteration = 0; iteration < b.iterations; ++iteration) {
    std::vector<const question*> questions;
    std::vector<ids> prompts;
    for (emend::index k = 0; k < b.prompts; ++k) {
      questions.push_back(&t.preference[static_cast<std::size_t>(iteration * b.prompts + k) % t.preference.size()]);
      prompts.push_back(questions.back()->prompt);
    }
    const auto score = [&](const emend::rollout& r) {
      std::vector<double> scores = arm_scores(m, a, r, questions);
      if (scale == 0) {
        const emend::moments sums = emend::moments_of(emend::sequence_sums(scores, r.batch.layout()));
        scale = sums.deviation() > 0 ? 1 / sums.deviation() : 1;
        // A scalar reward has no zero of its own; token rewards do.
        shift = a.by == method::scalar ? sums.mean : 0;
      }
      for (emend::index s = 0; s < r.batch.sequences(); ++s)
        for (emend::index i = r.batch.first_token(s); i < r.batch.first_token(s + 1); ++i) {
          const bool is_last = i + 1 == r.batch.first_token(s + 1);
          scores[static_cast<std::size_t>(i)] = scale * (scores[static_cast<std::size_t>(i)] - (is_last ? shift : 0));
        }
      return scores;
    };
    const auto [r, report] = emend::ppo_iteration(policy, first, critic, prompts, score, options, iteration);
    if (iteration == 0 && a.by == method::seq2seq) {
      for (emend::index s = 0; s < std::min<emend::index>(14, r.batch.sequences()); ++s) {
        shown_response shown;
        const question* of = questions[static_cast<std::size_t>(s)];
        shown.prompt = t.text(of->asked);
        shown.right = t.text(of->right);
        ids response;
        for (emend::index i = r.batch.first_token(s); i < r.batch.first_token(s + 1); ++i) {
          response.push_back(r.batch.targets()[static_cast<std::size_t>(i)]);
          shown.tokens.push_back(t.v.piece(static_cast<int>(response.back())));
          // The score alone: what is left of the reward when the divergence is taken out again is nothing at the first
          // step.
          shown.reward.push_back(r.reward[static_cast<std::size_t>(i)] / scale);
        }
        shown.gold = t.gold({of}, {response}).front();
        result.shown.push_back(std::move(shown));
      }
    }
    if ((iteration + 1) % b.measure_every == 0 || iteration + 1 == b.iterations)
      result.points.push_back(measure_all(policy, first, t, iteration + 1, a.from.seed));
    if (!on_iteration(iteration + 1)) return {};
  }
  return result;
}

}  // namespace seq2seq_ppo
