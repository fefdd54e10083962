#pragma once

#include <cmath>
#include <vector>

#include <emend/eigen.hpp>
#include <emend/sampling/categorical.hpp>
#include <emend/training/trainable.hpp>
#include <lm/lm.hpp>
#include <seq2seq_ppo/task.hpp>

namespace seq2seq_ppo {

/// The rows of a token batch as the transformer packs them: the position before each response token is asked for.
inline lm::batch packed_of(const emend::token_batch& batch) {
  lm::batch packed;
  for (emend::index b = 0; b < batch.sequences(); ++b) {
    if (batch.response_length(b) == 0) continue;
    const emend::index begin = batch.offsets()[static_cast<std::size_t>(b)],
                       end = batch.offsets()[static_cast<std::size_t>(b) + 1];
    // The last token predicts nothing.
    const std::vector<int> sequence(batch.ids().begin() + begin, batch.ids().begin() + end - 1);
    packed.add_sequence(sequence, static_cast<int>(batch.response_begin(b) - begin - 1));
  }
  return packed;
}

/// All response tokens of a batch, in order.
inline std::vector<emend::index> all_tokens(const emend::token_batch& batch) {
  std::vector<emend::index> tokens(static_cast<std::size_t>(batch.tokens()));
  for (std::size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<emend::index>(t);
  return tokens;
}

/// examples/lm's transformer as the library's training wants it: one thread, one part.
class language_policy {
 public:
  language_policy(lm::weights<float> w, const lm::adamw_options& options, response_end end)
      : weights_(std::move(w)), optimizer_(weights_, options), gathered_(weights_.shape()), end_(end) {}

  const lm::weights<float>& model() const { return weights_; }
  lm::weights<float>& model() { return weights_; }

  template <class F>
  void score(const emend::token_batch& batch, F&& f) {
    if (batch.tokens() == 0) return;
    lm::forward(weights_, packed_of(batch), memory_);
    f(memory_.logits(), all_tokens(batch));
  }
  template <class F>
  void differentiate(const emend::token_batch& batch, F&& f) {
    if (batch.tokens() == 0) return;
    const lm::batch packed = packed_of(batch);
    lm::forward(weights_, packed, memory_);
    d_logits_.resize(packed.row_count(), weights_.shape().vocab_size);
    f(memory_.logits(), all_tokens(batch), d_logits_);
    lm::backward(weights_, packed, memory_, lm::output_gradients<float>{.logits = d_logits_.data()}, gathered_);
  }
  template <class C>
  void sum_gradient(C& ranks) {
    ranks.all_reduce_sum(gathered_.values());
  }
  void step() {
    optimizer_.step(weights_.values(), std::as_const(gathered_).values());
    gathered_.set_zero();
  }
  std::vector<ids> respond(const std::vector<ids>& prompts, std::uint64_t seed) {
    std::vector<std::vector<int>> asked;
    for (const ids& prompt : prompts) asked.emplace_back(prompt.begin(), prompt.end());
    const emend::counter_random random{seed};
    std::vector<std::uint64_t> written(prompts.size(), 0);
    std::vector<char> has_ended(prompts.size(), 0);
    const auto choose = [&](std::span<const float> scores, int prompt) {
      const auto p = static_cast<std::size_t>(prompt);
      const emend::index id = emend::draw_categorical(scores.data(), static_cast<emend::index>(scores.size()),
                                                      random.uniform(p, written[p]++));
      has_ended[p] = id == end_.id;
      return static_cast<int>(id);
    };
    const auto texts = lm::decode<float>(weights_, asked, choose, emend::sequential{},
                                         {.max_new_tokens = end_.longest, .end_id = static_cast<int>(end_.id)});
    std::vector<ids> responses;
    for (std::size_t p = 0; p < texts.size(); ++p) {
      responses.emplace_back(texts[p].begin(), texts[p].end());
      if (has_ended[p]) responses.back().push_back(end_.id);
    }
    return responses;
  }

 private:
  lm::weights<float> weights_;
  lm::adamw<float> optimizer_;
  lm::weights<float> gathered_;
  lm::workspace<float> memory_;
  lm::row_matrix<float> d_logits_;
  response_end end_;
};

/// A transformer with one number per wanted row instead of scores: head . hidden + bias. A critic, or a scalar reward
/// model.
class value_network {
 public:
  value_network(lm::weights<float> w, const lm::adamw_options& options)
      : weights_(std::move(w)),
        optimizer_(weights_, options),
        gathered_(weights_.shape()),
        head_(static_cast<std::size_t>(weights_.shape().dim) + 1, 0.0f),
        d_head_(head_.size(), 0.0f),
        head_optimizer_(head_.size(), options, {}) {}

  std::vector<double> forward(const lm::batch& packed) {
    lm::forward(weights_, packed, memory_, {.wants_logits = false});
    std::vector<double> values;
    const auto hidden = memory_.hidden();
    for (Eigen::Index r = 0; r < hidden.rows(); ++r) {
      double value = head_.back();
      for (Eigen::Index k = 0; k < hidden.cols(); ++k)
        value += static_cast<double>(hidden(r, k)) * static_cast<double>(head_[static_cast<std::size_t>(k)]);
      values.push_back(value);
    }
    return values;
  }
  /// Adds the gradient of a loss with these derivatives of the last forward's values; packed as it was there.
  void backward(const lm::batch& packed, const std::vector<double>& d_value) {
    const auto hidden = memory_.hidden();
    d_hidden_.resize(hidden.rows(), hidden.cols());
    for (Eigen::Index r = 0; r < hidden.rows(); ++r) {
      const auto d = static_cast<float>(d_value[static_cast<std::size_t>(r)]);
      for (Eigen::Index k = 0; k < hidden.cols(); ++k) {
        d_hidden_(r, k) = d * head_[static_cast<std::size_t>(k)];
        d_head_[static_cast<std::size_t>(k)] += d * hidden(r, k);
      }
      d_head_.back() += d;
    }
    lm::backward(weights_, packed, memory_, lm::output_gradients<float>{.hidden = d_hidden_.data()}, gathered_);
  }
  template <class C>
  void sum_gradient(C& ranks) {
    ranks.all_reduce_sum(gathered_.values());
    ranks.all_reduce_sum(std::span<float>(d_head_));
  }
  void step() {
    optimizer_.step(weights_.values(), std::as_const(gathered_).values());
    head_optimizer_.step(head_, d_head_);
    gathered_.set_zero();
    std::fill(d_head_.begin(), d_head_.end(), 0.0f);
  }

  template <class F>
  void value(const emend::token_batch& batch, F&& f) {
    if (batch.tokens() > 0) f(forward(packed_of(batch)), all_tokens(batch));
  }
  template <class F>
  void differentiate_value(const emend::token_batch& batch, F&& f) {
    if (batch.tokens() == 0) return;
    const lm::batch packed = packed_of(batch);
    const std::vector<double> values = forward(packed);
    std::vector<double> gradient(values.size());
    f(values, all_tokens(batch), gradient);
    backward(packed, gradient);
  }

 private:
  lm::weights<float> weights_;
  lm::adamw<float> optimizer_;
  lm::weights<float> gathered_;
  lm::aligned_vector<float> head_, d_head_;
  lm::adamw<float> head_optimizer_;
  lm::workspace<float> memory_;
  lm::row_matrix<float> d_hidden_;
};

static_assert(emend::trainable_policy<language_policy> && emend::responding_policy<language_policy> &&
              emend::trainable_critic<value_network>);

}  // namespace seq2seq_ppo
