#pragma once

#include <emend/emend.hpp>

#include "unit/training/tabular.hpp"

#include <cmath>
#include <string>

/// What every communicator must do, run by each of its ranks: work over parts of a batch is work on the whole of it.
namespace communicator_suite {

using emend::index;
using numbers = std::vector<double>;

/// What did not hold, in words; empty if all did.
class complaints {
 public:
  void near(const std::string& what, double got, double wanted, double tolerance = 1e-12) {
    if (!(std::abs(got - wanted) <= tolerance * (1 + std::abs(wanted))))
      all_.push_back(what + ": expected " + std::to_string(wanted) + ", got " + std::to_string(got));
  }
  void holds(const std::string& what, bool is_so) {
    if (!is_so) all_.push_back(what);
  }
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
};

/// A batch of sequences, one of them without tokens, and the part of it that a rank holds.
struct batch {
  std::vector<index> offsets{0};
  numbers value, reward;  // a number for each token; one for each sequence

  static batch whole() {
    const emend::counter_random random{11};
    batch b;
    for (std::uint64_t s = 0; s < 7; ++s) {
      for (std::uint64_t t = 0; t < s; ++t) b.value.push_back(100 + 3 * random.uniform(s, t));
      b.offsets.push_back(static_cast<index>(b.value.size()));
      b.reward.push_back(5 * random.uniform(s, 99) - 2);
    }
    return b;
  }
  batch part(index rank, index size) const {
    batch p;
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
      if (static_cast<index>(s) % size != rank) continue;
      p.value.insert(p.value.end(), value.begin() + offsets[s], value.begin() + offsets[s + 1]);
      p.offsets.push_back(static_cast<index>(p.value.size()));
      p.reward.push_back(reward[s]);
    }
    return p;
  }
};

template <emend::communicator C>
void check_primitives(C& ranks, complaints& found) {
  const auto size = static_cast<index>(ranks.size()), rank = static_cast<index>(ranks.rank());
  found.holds("rank lies below size", rank >= 0 && rank < size);
  numbers x{1, static_cast<double>(rank), 0.5};
  ranks.all_reduce_sum(std::span<double>(x));
  found.near("sum of ones", x[0], static_cast<double>(size));
  found.near("sum of ranks", x[1], static_cast<double>(size * (size - 1)) / 2);
  std::vector<float> y(1000, static_cast<float>(rank + 1));
  ranks.all_reduce_sum(std::span<float>(y));
  for (const float each : y) found.near("sum of floats", each, static_cast<double>(size * (size + 1)) / 2, 0);
  const double own[] = {static_cast<double>(rank), -1};
  const numbers all = ranks.all_gather(std::span<const double>(own));
  found.holds("gathers two numbers a rank", all.size() == static_cast<std::size_t>(2 * size));
  for (std::size_t r = 0; r < all.size() / 2; ++r)
    found.near("gathered in the order of ranks", all[2 * r], static_cast<double>(r), 0);
  ranks.all_reduce_sum(std::span<double>());
  found.near("largest", emend::maximum_over_ranks(ranks, static_cast<double>(-rank)), 0, 0);
  found.near("largest of the last rank", emend::maximum_over_ranks(ranks, static_cast<double>(rank)),
             static_cast<double>(size - 1), 0);
  found.holds("of equal zeros the first rank's, on every rank",
              std::signbit(emend::maximum_over_ranks(ranks, rank == 0 ? -0.0 : 0.0)));
  for (index bad = 0; bad < size; ++bad)
    found.holds("the largest of a NaN is NaN on every rank",
                std::isnan(emend::maximum_over_ranks(ranks, rank == bad ? std::nan("") : static_cast<double>(rank))));
}

template <emend::communicator C>
void check_aggregation(C& ranks, const batch& whole, const batch& part, complaints& found) {
  using emend::aggregation;
  const emend::ragged of_whole(whole.offsets), of_part(part.offsets);
  for (const auto how : {aggregation::token_mean, aggregation::token_sum, aggregation::sequence_sum,
                         aggregation::per_example_mean, aggregation::sequence_sum_per_length})
    for (const bool counts_empty : {false, true}) {
      emend::aggregation_options options{.length = 8, .counts_empty_sequences = counts_empty};
      const auto value_of = [&](const batch& b, const emend::ragged& layout) {
        const numbers weight = emend::token_weights(layout, how, options);
        double sum = 0;
        for (std::size_t t = 0; t < weight.size(); ++t) sum += weight[t] * b.value[t];
        return sum;
      };
      const double wanted = value_of(whole, of_whole);
      emend::batch_counts own;
      for (index s = 0; s < of_part.sequences(); ++s) {
        const auto length = static_cast<double>(emend::length_of(of_part, s));
        own.tokens += length;
        own.sequences += length > 0 || counts_empty;
      }
      options.counts = emend::sum_over_ranks(ranks, own);
      found.near("aggregated loss", emend::sum_over_ranks(ranks, value_of(part, of_part)), wanted);
    }
}

template <emend::communicator C>
void check_normalisers(C& ranks, const batch& whole, const batch& part, complaints& found) {
  const emend::ragged of_whole(whole.offsets), of_part(part.offsets);
  const emend::moments all = emend::moments_of(whole.value, of_whole),
                       merged = emend::merge_over_ranks(ranks, emend::moments_of(part.value, of_part));
  found.near("count", merged.count, all.count, 0);
  found.near("mean", merged.mean, all.mean);
  found.near("variance", merged.variance(), all.variance(), 1e-10);
  const numbers whitened = emend::whiten(part.value, of_part, {.given = merged}),
                wanted = emend::whiten(whole.value, of_whole);
  std::size_t next = 0;
  for (index s = static_cast<index>(ranks.rank()); s < of_whole.sequences(); s += static_cast<index>(ranks.size()))
    of_whole.for_each_token(s, [&](index t) {
      found.near("whitened value", whitened[next++], wanted[static_cast<std::size_t>(t)], 1e-10);
    });
  found.holds("every token was whitened", next == whitened.size());

  emend::running_moments of_one, over_ranks;
  for (int round = 0; round < 2; ++round) {
    of_one.update(emend::column(whole.reward));
    over_ranks.update(emend::merge_over_ranks(ranks, emend::moments_of(emend::column(part.reward))));
  }
  found.near("running deviation", over_ranks.deviation(), of_one.deviation());
  const emend::moments divergence = emend::merge_over_ranks(ranks, emend::moments_of(emend::column(part.reward)));
  emend::adaptive_kl_controller controller, reference;
  found.near(
      "coefficient of a KL controller", controller.update(divergence.mean, divergence.count),
      reference.update(emend::moments_of(emend::column(whole.reward)).mean, static_cast<double>(whole.reward.size())));
}

/// A rollout of the table's policy with advantages; sequence s goes to rank s % size, and with more than seven ranks
/// some have none.
inline emend::rollout tabular_rollout(index rank, index size) {
  tabular::policy policy(3, 2);
  emend::rollout all = emend::collect(policy, policy, std::vector<std::vector<index>>(7, {0}), {.seed = 4}), part;
  const emend::counter_random random{5};
  for (index s = rank; s < all.batch.sequences(); s += size) {
    const index begin = all.batch.first_token(s), end = all.batch.first_token(s + 1);
    part.batch.add(std::vector<index>{0},
                   std::vector<index>(all.batch.targets().begin() + begin, all.batch.targets().begin() + end));
    for (index t = begin; t < end; ++t) {
      const auto i = static_cast<std::size_t>(t);
      part.old_log_prob.push_back(all.old_log_prob[i]);
      part.reference_log_prob.push_back(all.reference_log_prob[i]);
      part.value.push_back(0);
      part.advantage.push_back(random.uniform(i, 0) - 0.5);
      part.returns.push_back(random.uniform(i, 1));
    }
  }
  return part;
}

template <emend::communicator C>
void check_updates(C& ranks, complaints& found) {
  const auto make = [](const emend::token_columns& c) {
    return emend::policy_objective<emend::ppo_clip>{
        .policy = {c.old_log_prob, c.advantage}, .weight = c.weight, .entropy_coefficient = 0.1};
  };
  const auto make_value = [](emend::column old_value, emend::column returns) {
    return emend::value_clip{.old_value = old_value, .returns = returns};
  };
  const auto same_everywhere = [&](const std::string& what, const double* x, std::size_t n) {
    const numbers all = ranks.all_gather(std::span<const double>(x, n));
    for (std::size_t i = 0; i < all.size(); ++i)
      found.holds(what + " have the same bits on every rank", all[i] == x[i % n]);
  };
  emend::token_batch supervised;
  supervised.add(std::vector<int>{0}, std::vector<int>{2, 1});
  for (const auto how : {emend::aggregation::token_mean, emend::aggregation::per_example_mean}) {
    tabular::policy one(3, 2), many(3, 2);
    tabular::critic one_critic(3, 2), many_critic(3, 2);
    emend::update_options options{.epochs = 3, .how = how};
    const emend::rollout whole = tabular_rollout(0, 1),
                         part = tabular_rollout(static_cast<index>(ranks.rank()), static_cast<index>(ranks.size()));
    const auto wanted = emend::update_policy(one, whole, make, options);
    const auto got = emend::update_policy(many, part, make, options, [](const auto&) {}, ranks);
    found.near("loss", got.loss, wanted.loss, 1e-10);
    for (std::size_t k = 0; k < wanted.metrics.size(); ++k)
      found.near("metric", got.metrics[k], wanted.metrics[k], 1e-10);
    found.near("value loss", emend::update_critic(many_critic, part, make_value, options, ranks).loss,
               emend::update_critic(one_critic, whole, make_value, options).loss, 1e-10);
    const auto count = static_cast<std::size_t>(one.scores.rows() * one.scores.columns());
    for (std::size_t i = 0; i < count; ++i) found.near("parameter", many.scores.data()[i], one.scores.data()[i], 1e-10);
    for (std::size_t i = 0; i < one_critic.table.size(); ++i)
      found.near("parameter of the critic", many_critic.table[i], one_critic.table[i], 1e-10);
    // Minibatches do not divide evenly: ranks that have run out go on with the others.
    options.minibatch = 2;
    options.pretraining = &supervised;
    const auto uneven = emend::update_policy(many, part, make, options, [](const auto&) {}, ranks);
    found.near("steps", static_cast<double>(uneven.steps),
               emend::maximum_over_ranks(ranks, static_cast<double>(uneven.steps)), 0);
    found.near("tokens", static_cast<double>(uneven.tokens), 3 * 14, 0);
    same_everywhere("parameters", many.scores.data(), count);
  }
  tabular::policy policy(3, 2), reference(3, 2);
  tabular::critic critic(3, 2);
  emend::ppo_options options{.seed = 2};
  const auto score = [](const emend::rollout& r) {
    numbers s;
    for (const index target : r.batch.targets()) s.push_back(target == 1);
    return s;
  };
  double before = 0, after = 0;
  emend::train_ppo(
      policy, reference, critic, [](index) { return std::vector<std::vector<index>>(40, {0}); }, score, options, 0, 30,
      [&](const emend::rollout& r, const emend::ppo_report& report) {
        found.near("sequences of an iteration", static_cast<double>(report.sequences),
                   40 * static_cast<double>(ranks.size()), 0);
        found.near("own sequences", static_cast<double>(r.batch.sequences()), 40, 0);
        (report.iteration == 0 ? before : after) = report.score;
        return true;
      },
      ranks);
  found.holds("PPO over ranks learns", after > before + 0.5);
  same_everywhere("parameters after PPO", policy.scores.data(),
                  static_cast<std::size_t>(policy.scores.rows() * policy.scores.columns()));
}

/// All of it; each rank of a group calls it once.
template <emend::communicator C>
std::vector<std::string> run(C& ranks) {
  complaints found;
  const batch whole = batch::whole(),
              part = whole.part(static_cast<index>(ranks.rank()), static_cast<index>(ranks.size()));
  check_primitives(ranks, found);
  check_aggregation(ranks, whole, part, found);
  check_normalisers(ranks, whole, part, found);
  check_updates(ranks, found);
  return found.all();
}

}  // namespace communicator_suite
