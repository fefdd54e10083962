#pragma once

#include <chrono>

#include <common/hash.hpp>
#include <common/terminal.hpp>
#include <emend/metrics/wilson.hpp>
#include <emend/reward/kl_controller.hpp>
#include <emend/training/ppo.hpp>
#include <seq2seq_ppo/words.hpp>
#include <seq2seq_ppo/language_policy.hpp>

namespace distributed_ppo {

using namespace seq2seq_ppo;

struct options {
  std::string data;
  std::uint64_t seed = 0;
  int layers = 2, dim = 64;
  long long first_steps = 600;
  emend::index iterations = 40, prompts = 128, minibatch = 64;  // prompts and minibatch: over all ranks
  int evaluated = 400;
  double learning_rate = 5e-4, target_kl = 1.5;
};

/// `whole` parts among the ranks, as evenly as can be: how many are this rank's, and which is its first.
struct portion {
  emend::index first, count;
  portion(emend::index whole, emend::index rank, emend::index size)
      : first(whole * rank / size), count(whole * (rank + 1) / size - first) {}
};

/// Every rank gets the parameters of rank 0: machines that round differently would drift apart from the first step.
template <emend::communicator C>
void copy_from_first_rank(C& ranks, lm::weights<float>& w) {
  if (ranks.rank() != 0) w.set_zero();
  ranks.all_reduce_sum(w.values());
}

/// Supervised steps on misspellings with what is right; each rank differentiates its share of every batch.
template <emend::communicator C, class OnStep>
void train_first_policy(C& ranks, language_policy& policy, const task& t, const options& o, OnStep&& on_step) {
  const emend::counter_random random{o.seed};
  const portion mine(64, static_cast<emend::index>(ranks.rank()), static_cast<emend::index>(ranks.size()));
  for (long long step = 0; step < o.first_steps; ++step) {
    emend::token_batch batch;
    for (emend::index k = mine.first; k < mine.first + mine.count; ++k) {
      const question& q = t.sft[static_cast<std::size_t>(random.below(
          static_cast<emend::index>(t.sft.size()), static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(k)))];
      batch.add(q.prompt, q.right);
    }
    const double tokens = emend::sum_over_ranks(ranks, static_cast<double>(batch.tokens()));
    double loss = 0;
    policy.differentiate(batch, [&](const auto& scores, const std::vector<emend::index>&, auto& gradient) {
      loss =
          emend::evaluate_into(emend::cross_entropy{}, scores, batch.targets(), {.normaliser = tokens}, gradient).value;
    });
    policy.sum_gradient(ranks);
    policy.step();
    on_step(step, emend::sum_over_ranks(ranks, loss));
  }
}

/// Held-out words that the policy corrects, one draw each; every rank asks its share.
template <emend::communicator C>
emend::share measure(C& ranks, language_policy& policy, const task& t, std::uint64_t seed) {
  const portion mine(static_cast<emend::index>(t.held_out.size()), static_cast<emend::index>(ranks.rank()),
                     static_cast<emend::index>(ranks.size()));
  std::vector<ids> prompts;
  for (emend::index k = mine.first; k < mine.first + mine.count; ++k)
    prompts.push_back(t.held_out[static_cast<std::size_t>(k)].prompt);
  const auto responses = policy.respond(prompts, seed + static_cast<std::uint64_t>(ranks.rank()));
  double right = 0;
  for (std::size_t k = 0; k < responses.size(); ++k)
    right += responses[k] == t.held_out[static_cast<std::size_t>(mine.first) + k].right;
  return emend::wilson_interval(emend::sum_over_ranks(ranks, right), static_cast<double>(t.held_out.size()));
}

/// Whether all ranks hold the same parameters, to the bit.
template <emend::communicator C>
bool agree(C& ranks, const lm::weights<float>& w) {
  const std::uint64_t hash =
      common::hash_of({reinterpret_cast<const char*>(w.values().data()), w.values().size_bytes()});
  // Halves fit a double exactly.
  const double halves[] = {static_cast<double>(hash >> 32), static_cast<double>(hash & 0xffffffffu)};
  const std::vector<double> all = ranks.all_gather(std::span<const double>(halves));
  for (std::size_t r = 0; r < all.size(); r += 2)
    if (all[r] != halves[0] || all[r + 1] != halves[1]) return false;
  return true;
}

/// Token-level PPO on the known reward, over ranks: an iteration's prompts are shared out, everything else is that of
/// the whole. data: misspellings with what is right, the same on every rank.
template <emend::communicator C>
void train(C& ranks, const seq2seq::data_set& data, const options& o, common::terminal& out) {
  const auto rank = static_cast<emend::index>(ranks.rank()), size = static_cast<emend::index>(ranks.size());
  const bool speaks = rank == 0;
  if (o.prompts < size)
    throw std::runtime_error("--prompts must be at least the number of processes, " + std::to_string(size));
  const task t = task_of(o.data, [&] { return make_words(data, o.seed, static_cast<std::size_t>(o.evaluated)); });
  const lm::config shape{.dim = o.dim,
                         .hidden_dim = o.dim * 8 / 3,
                         .layers = o.layers,
                         .heads = 4,
                         .key_value_heads = 4,
                         .vocab_size = t.v.size(),
                         .max_positions = t.max_positions,
                         .is_classifier_shared = true};
  language_policy first(lm::random_weights<float>(shape, o.seed, 0.08),
                        {.learning_rate = 3e-3,
                         .beta2 = 0.98,
                         .weight_decay = 0.05,
                         .max_norm = 1,
                         .warmup_steps = std::min(50LL, o.first_steps / 4),
                         .total_steps = o.first_steps,
                         .schedule = lm::decay::linear,
                         .final_fraction = 0.05},
                        t.end());
  copy_from_first_rank(ranks, first.model());
  if (speaks)
    out.line(common::format("Processes: %d; %zu misspellings for the first policy, %zu for PPO.",
                            static_cast<int>(size), t.sft.size(), t.preference.size()));
  train_first_policy(ranks, first, t, o, [&](long long step, double loss) {
    if (speaks)
      out.progress(common::format("first policy: step %lld of %lld, loss %.3f", step + 1, o.first_steps, loss));
  });
  copy_from_first_rank(ranks, first.model());
  const emend::share before = measure(ranks, first, t, o.seed);
  if (speaks) out.line("First policy, held-out words right: " + common::in_percent(before));

  const lm::adamw_options optimizer{.learning_rate = o.learning_rate, .beta2 = 0.98, .weight_decay = 0, .max_norm = 1};
  language_policy policy(first.model(), optimizer, t.end());
  value_network critic(first.model(),
                       {.learning_rate = 2 * o.learning_rate, .beta2 = 0.98, .weight_decay = 0, .max_norm = 1});
  // A rank's part of a minibatch; the union over ranks is the minibatch.
  const emend::index minibatch = std::max<emend::index>(1, o.minibatch / size);
  emend::ppo_options options{.reward = {.kl_coefficient = 0.02}, .gae = {.gamma = 1, .lambda = 0.95}, .seed = o.seed};
  options.policy = {.epochs = 2, .minibatch = minibatch};
  options.critic = {.epochs = 2, .minibatch = minibatch};
  emend::adaptive_kl_controller controller{.coefficient = 0.02, .target = o.target_kl, .horizon = 4000};
  const portion mine(o.prompts, rank, size);
  std::vector<const question*> asked;
  const auto prompts = [&](emend::index iteration) {
    asked.clear();
    std::vector<ids> own;
    for (emend::index k = mine.first; k < mine.first + mine.count; ++k) {
      asked.push_back(&t.preference[static_cast<std::size_t>(iteration * o.prompts + k) % t.preference.size()]);
      own.push_back(asked.back()->prompt);
    }
    return own;
  };
  const auto score = [&](const emend::rollout& r) {
    std::vector<double> scores(static_cast<std::size_t>(r.batch.tokens()), 0);
    for (emend::index b = 0; b < r.batch.sequences(); ++b) {
      const auto tokens = r.batch.response(b);
      ids response;
      for (emend::index i = 0; i < tokens.size(); ++i) response.push_back(tokens[i]);
      if (!response.empty())
        scores[static_cast<std::size_t>(r.batch.first_token(b + 1) - 1)] =
            gold_reward(response, asked[static_cast<std::size_t>(b)]->right);
    }
    return scores;
  };
  const auto start = std::chrono::steady_clock::now();
  emend::index tokens = 0;
  // Iteration by iteration, as the coefficient moves with what all ranks together diverge.
  for (emend::index iteration = 0; iteration < o.iterations; ++iteration) {
    options.reward.kl_coefficient = controller.coefficient;
    const auto [r, report] =
        emend::ppo_iteration(policy, first, critic, prompts(iteration), score, options, iteration, ranks);
    controller.update(report.kl_to_reference, static_cast<double>(report.sequences));
    tokens += report.tokens;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (speaks)
      out.progress(common::format(
          "PPO: iteration %lld of %lld, reward %.3f, divergence %.2f nats, coefficient %.3f, %.0f tokens/s, %s left",
          static_cast<long long>(iteration + 1), static_cast<long long>(o.iterations), report.score,
          report.kl_to_reference, options.reward.kl_coefficient, static_cast<double>(tokens) / seconds,
          common::in_seconds(seconds / static_cast<double>(iteration + 1) *
                             static_cast<double>(o.iterations - iteration - 1))
              .c_str()));
  }
  const emend::share after = measure(ranks, policy, t, o.seed);
  if (speaks) out.line("After PPO:                          " + common::in_percent(after));
  if (!agree(ranks, policy.model())) throw std::runtime_error("the ranks' parameters are no longer the same");
  if (speaks) out.line("The parameters of all ranks are the same bits.");
}

}  // namespace distributed_ppo
