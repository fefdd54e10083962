#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <emend/eigen.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/reward/seq2seq_examples.hpp>
#include <emend/reward/seq2seq_loss.hpp>
#include <lm/lm.hpp>
#include <seq2seq_rewards/pairs.hpp>

namespace seq2seq {

struct training_options {
  long long steps = 3500;
  long long batch = 64;          // examples a step
  double identity_share = 0.22;  // of the examples; 0.5 is the paper's one identity for every correction
  double identity_weight = 1;    // lambda_identity of the loss
  double learning_rate = 3e-3;
  long long warmup = 100;
  int shards = 2;  // parts of a batch that may run side by side; the numbers depend on it, on the threads they do not
  std::uint64_t seed = 1;
};

/// One step's examples, packed, with what the loss needs beside the scores of each wanted row.
struct training_batch {
  lm::batch tokens;
  std::vector<int> target;        // [R]
  std::vector<double> weight;     // [R], so that the batch's loss is the weighted sum
  std::vector<char> is_identity;  // [R]
};

/// Mean loss per token of a stretch of steps [nats].
struct loss_point {
  long long step = 0;  // the last of the stretch, counted from 1
  double correction = 0, identity = 0;
};

/// Trains a seq2seq reward model by sequence likelihood of both mappings: rejected -> chosen and chosen -> chosen.
/// Every random choice is a function of (seed, step), so that a run that goes on from a checkpoint gives the same bits.
class training {
 public:
  training(lm::weights<float> w, const vocabulary& v, std::vector<encoded_pair> pairs, const training_options& options)
      : options_(options),
        weights_(std::move(w)),
        optimizer_(weights_, {.learning_rate = options.learning_rate,
                              .beta2 = 0.98,
                              .weight_decay = 0.1,
                              .max_norm = 1,
                              .warmup_steps = options.warmup,
                              .total_steps = options.steps,
                              .schedule = lm::decay::linear}),
        gradient_(weights_.shape(), {.shards = options.shards}),
        form_(v.form()),
        pairs_(std::move(pairs)),
        copies_(distinct_chosen(pairs_)) {
    if (pairs_.empty()) throw std::runtime_error("no pair is left to train on");
    std::uint64_t hash = hash_of("");
    for (const encoded_pair& pair : pairs_)
      for (const auto* ids : {&pair.prompt, &pair.chosen, &pair.rejected})
        hash = hash_of({reinterpret_cast<const char*>(ids->data()), ids->size() * sizeof(int)}, hash);
    data_hash_ = hash;
  }

  const lm::weights<float>& model() const { return weights_; }
  const training_options& options() const { return options_; }
  long long steps_done() const { return optimizer_.steps(); }
  bool is_done() const { return steps_done() >= options_.steps; }
  long long tokens_done() const { return tokens_done_; }  // in this process
  const std::vector<loss_point>& curve() const { return curve_; }
  std::size_t pair_count() const { return pairs_.size(); }

  /// The examples of a step: a fixed share of identities, and corrections by a new shuffle every time round.
  training_batch make_batch(long long step) {
    const auto identities_before = [&](long long s) {
      return static_cast<long long>(std::floor(static_cast<double>(s * options_.batch) * options_.identity_share));
    };
    const long long identities = identities_before(step + 1) - identities_before(step);
    long long correction = step * options_.batch - identities_before(step);  // all so far
    const emend::counter_random random{options_.seed};

    training_batch result;
    std::vector<emend::index> label, offsets{0};
    std::vector<char> example_is_identity;
    for (long long i = 0; i < options_.batch; ++i) {
      const bool is_identity = i < identities;
      emend::seq2seq_example example;
      if (is_identity) {
        const auto which = random.below(static_cast<emend::index>(copies_.size()), stream_of_copies,
                                        static_cast<std::uint64_t>(step * options_.batch + i));
        const auto& [prompt, chosen] = copies_[static_cast<std::size_t>(which)];
        example = emend::identity_example(form_, prompt, chosen);
      } else {
        const encoded_pair& pair = pairs_[shuffled(correction++)];
        example = emend::correction_example(form_, pair.prompt, pair.chosen, pair.rejected);
      }
      // The last id, the end, predicts nothing.
      const std::vector<int> ids(example.ids.begin(), example.ids.end() - 1);
      result.tokens.add_sequence(ids, static_cast<int>(example.target_start));
      label.insert(label.end(), example.label.begin(), example.label.end() - 1);
      offsets.push_back(static_cast<emend::index>(label.size()));
      example_is_identity.push_back(is_identity);
    }
    const std::vector<double> weight =
        emend::seq2seq_weights(label, offsets, example_is_identity, {.lambda_identity = options_.identity_weight});
    std::size_t example = 0;
    for (const int row : result.tokens.rows) {
      const auto position = static_cast<std::size_t>(row);
      while (offsets[example + 1] <= row) ++example;
      result.target.push_back(static_cast<int>(label[position]));
      result.weight.push_back(weight[position]);
      result.is_identity.push_back(example_is_identity[example]);
    }
    return result;
  }

  /// One step of the optimizer. pool: an emend::executor.
  template <emend::executor Pool>
  void step(Pool& pool) {
    const training_batch batch = make_batch(steps_done());
    std::vector<double> loss_of_row(batch.target.size());
    gradient_(weights_, batch.tokens, pool, [&](lm::shard<float>& part) {
      std::vector<int> target;
      std::vector<double> weight, per_token;
      for (const int row : part.batch_row) {
        target.push_back(batch.target[static_cast<std::size_t>(row)]);
        weight.push_back(batch.weight[static_cast<std::size_t>(row)]);
      }
      const double value = emend::evaluate_into(emend::cross_entropy{}, part.logits(), target,
                                                {.weight = weight, .per_token = &per_token}, part.d_logits);
      for (std::size_t i = 0; i < per_token.size(); ++i)
        loss_of_row[static_cast<std::size_t>(part.batch_row[i])] = per_token[i];
      return value;
    });
    const lm::weights<float>& gradient = gradient_.gradient();
    optimizer_.step(weights_.values(), gradient.values());
    tokens_done_ += batch.tokens.size();
    for (std::size_t i = 0; i < loss_of_row.size(); ++i) {
      stretch& sum = batch.is_identity[i] ? identity_ : correction_;
      sum.loss += loss_of_row[i];
      sum.tokens += 1;
    }
    const long long stretch_length = std::max(1LL, options_.steps / 120);
    if (steps_done() % stretch_length == 0 || is_done()) {
      curve_.push_back({steps_done(), correction_.mean(), identity_.mean()});
      correction_ = identity_ = {};
    }
  }

  /// Everything that `resume` needs beside the weights and the optimizer.
  nlohmann::json state() const {
    nlohmann::json curve = nlohmann::json::array();
    for (const loss_point& point : curve_) curve.push_back({point.step, point.correction, point.identity});
    return {{"options", fingerprint()},
            {"curve", curve},
            {"stretch", {correction_.loss, correction_.tokens, identity_.loss, identity_.tokens}}};
  }

  /// Goes on from a checkpoint of the same run. Throws std::runtime_error if options or data differ.
  void resume(const lm::checkpoint<float>& saved, const nlohmann::json& state) {
    const nlohmann::json own = fingerprint();
    for (const auto& [key, value] : own.items())
      if (state.at("options").value(key, nlohmann::json()) != value)
        throw std::runtime_error("the checkpoint is of another run: its " + key + " is " +
                                 state.at("options").value(key, nlohmann::json()).dump() + ", here it is " +
                                 value.dump());
    if (!(saved.parameters.shape() == weights_.shape()))
      throw std::runtime_error("the checkpoint's model has another shape");
    std::copy(saved.parameters.values().begin(), saved.parameters.values().end(), weights_.values().begin());
    saved.restore(optimizer_);
    curve_.clear();
    // JSON has no NaN; a kind without a token in the stretch was written as null.
    const auto mean_of = [](const nlohmann::json& value) {
      return value.is_null() ? std::nan("") : value.get<double>();
    };
    for (const auto& point : state.at("curve"))
      curve_.push_back({point.at(0).get<long long>(), mean_of(point.at(1)), mean_of(point.at(2))});
    const auto& sums = state.at("stretch");
    correction_ = {sums.at(0).get<double>(), sums.at(1).get<double>()};
    identity_ = {sums.at(2).get<double>(), sums.at(3).get<double>()};
  }

  void save(const std::string& path, const nlohmann::json& user) const {
    lm::save_checkpoint(path, weights_, &optimizer_, steps_done(), user.dump());
  }

 private:
  static constexpr std::uint64_t stream_of_copies = 1, first_stream_of_shuffles = 1000;
  struct stretch {
    double loss = 0, tokens = 0;
    double mean() const { return tokens > 0 ? loss / tokens : std::nan(""); }
  };

  nlohmann::json fingerprint() const {
    return {{"steps", options_.steps},
            {"batch", options_.batch},
            {"identity share", options_.identity_share},
            {"identity weight", options_.identity_weight},
            {"learning rate", options_.learning_rate},
            {"warm-up", options_.warmup},
            {"shards", options_.shards},
            {"seed", options_.seed},
            {"training data (hash)", data_hash_}};
  }

  /// Index of the n-th correction of the run.
  std::size_t shuffled(long long n) {
    const auto size = static_cast<long long>(pairs_.size());
    const long long round = n / size;
    if (round != round_) {
      round_ = round;
      order_.resize(pairs_.size());
      std::iota(order_.begin(), order_.end(), std::size_t{0});
      const emend::counter_random random{options_.seed};
      for (std::size_t i = order_.size() - 1; i > 0; --i)
        std::swap(
            order_[i],
            order_[static_cast<std::size_t>(random.below(
                static_cast<emend::index>(i) + 1, first_stream_of_shuffles + static_cast<std::uint64_t>(round), i))]);
    }
    return order_[static_cast<std::size_t>(n % size)];
  }

  training_options options_;
  lm::weights<float> weights_;
  lm::adamw<float> optimizer_;
  lm::gradient_of<float> gradient_;
  emend::seq2seq_template form_;
  std::vector<encoded_pair> pairs_;
  std::vector<std::pair<std::vector<int>, std::vector<int>>> copies_;
  std::uint64_t data_hash_ = 0;
  std::vector<std::size_t> order_;
  long long round_ = -1;
  long long tokens_done_ = 0;
  std::vector<loss_point> curve_;
  stretch correction_, identity_;
};

}  // namespace seq2seq
