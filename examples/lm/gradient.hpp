#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include <emend/core/executor.hpp>
#include <lm/transformer.hpp>

namespace lm {

/// One part of a batch, as a loss sees it. The tokens of one root are never parted.
template <class T>
struct shard {
  int number = 0;
  batch tokens;                  // packed again from 0
  std::vector<int> batch_token;  // [tokens], index in the whole batch
  std::vector<int> batch_row;    // [R], index into the whole batch's rows
  workspace<T> memory;
  row_matrix<T> d_logits;  // [R, vocab_size], to be written by the loss
  row_matrix<T> d_hidden;  // [R, dim], zero on entry; used if the options say so
  weights<T> gradient;

  matrix_view<T> logits() { return memory.logits(); }
  matrix_view<T> hidden() { return memory.hidden(); }
};

struct gradient_options {
  int shards = 2;  // fixed, whatever the threads: the sums do not depend on them
  bool wants_logits = true;
  bool has_hidden_gradient = false;
};

/// The gradient of a loss over a packed batch, by shards that run side by side.
/// The shards are summed in their order, so that the result is the same bits for any number of threads.
template <class T>
class gradient_of {
 public:
  explicit gradient_of(const config& c, gradient_options options = {}) : options_(options), total_(c) {
    if (options.shards < 1) throw std::invalid_argument("lm::gradient_of: shards must be positive");
    shards_.resize(static_cast<std::size_t>(options.shards));
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      shards_[i].number = static_cast<int>(i);
      shards_[i].gradient = weights<T>(c);
    }
  }

  /// Sets gradient() to the derivative of the sum of the shards' losses and returns that sum.
  /// loss: (shard<T>&) -> double. It reads logits() and hidden(), writes all of d_logits, and d_hidden if asked for; it
  /// is called concurrently for different shards if the pool has threads. A shard without rows is left out.
  /// pool: an emend::executor.
  template <emend::executor Pool, class Loss>
  double operator()(const weights<T>& w, const batch& b, Pool&& pool, Loss&& loss) {
    return run_all(w, b, pool, loss, true);
  }

  /// The same, added to gradient(): micro-batches.
  template <emend::executor Pool, class Loss>
  double add(const weights<T>& w, const batch& b, Pool&& pool, Loss&& loss) {
    return run_all(w, b, pool, loss, false);
  }

  weights<T>& gradient() { return total_; }
  const weights<T>& gradient() const { return total_; }

 private:
  template <emend::executor Pool, class Loss>
  double run_all(const weights<T>& w, const batch& b, Pool& pool, Loss& loss, bool is_fresh) {
    b.check(w.shape());
    split(b);
    std::vector<double> value(shards_.size(), 0.0);
    pool.for_each_chunk(static_cast<emend::index>(shards_.size()), [&](emend::index begin, emend::index end) {
      for (std::size_t i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        if (!shards_[i].tokens.rows.empty()) value[i] = run(w, shards_[i], loss);
    });
    if (is_fresh) total_.set_zero();
    double sum = 0;
    const Eigen::Index size = static_cast<Eigen::Index>(total_.values().size());
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      if (shards_[i].tokens.rows.empty()) continue;
      sum += value[i];
      array_view<T>(total_.values().data(), size) += array_view<T>(shards_[i].gradient.values().data(), size);
    }
    return sum;
  }

  template <class Loss>
  double run(const weights<T>& w, shard<T>& part, Loss& loss) {
    forward(w, part.tokens, part.memory, {.wants_logits = options_.wants_logits});
    const Eigen::Index rows = part.tokens.row_count();
    if (options_.wants_logits && (part.d_logits.rows() != rows || part.d_logits.cols() != w.shape().vocab_size))
      part.d_logits.resize(rows, w.shape().vocab_size);
    if (options_.has_hidden_gradient) part.d_hidden.setZero(rows, w.shape().dim);
    const double value = loss(part);
    part.gradient.set_zero();
    backward(w, part.tokens, part.memory,
             output_gradients<T>{options_.wants_logits ? part.d_logits.data() : nullptr,
                                 options_.has_hidden_gradient ? part.d_hidden.data() : nullptr},
             part.gradient);
    return value;
  }

  /// Roots go to the shards in their order, so that the token counts come out even.
  void split(const batch& b) {
    const std::size_t tokens = b.ids.size(), count = shards_.size();
    owner_.assign(tokens, 0);
    local_.assign(tokens, 0);
    tree_size_.assign(tokens, 0);
    for (std::size_t i = 0; i < tokens; ++i) {  // owner: for now the root
      owner_[i] = b.parent[i] < 0 ? static_cast<int>(i) : owner_[static_cast<std::size_t>(b.parent[i])];
      ++tree_size_[static_cast<std::size_t>(owner_[i])];
    }
    for (auto& part : shards_) {
      part.tokens.clear();
      part.batch_token.clear();
      part.batch_row.clear();
    }
    std::size_t before = 0;
    for (std::size_t i = 0; i < tokens; ++i) {
      if (b.parent[i] < 0) {
        const std::size_t size = static_cast<std::size_t>(tree_size_[i]);
        owner_[i] = static_cast<int>(std::min(count - 1, (2 * before + size) * count / (2 * tokens)));
        before += size;
      } else {
        owner_[i] = owner_[static_cast<std::size_t>(b.parent[i])];
      }
      shard<T>& part = shards_[static_cast<std::size_t>(owner_[i])];
      local_[i] = part.tokens.size();
      part.tokens.ids.push_back(b.ids[i]);
      part.tokens.parent.push_back(b.parent[i] < 0 ? -1 : local_[static_cast<std::size_t>(b.parent[i])]);
      part.batch_token.push_back(static_cast<int>(i));
    }
    for (std::size_t r = 0; r < b.rows.size(); ++r) {
      const std::size_t token = static_cast<std::size_t>(b.rows[r]);
      shard<T>& part = shards_[static_cast<std::size_t>(owner_[token])];
      part.tokens.rows.push_back(local_[token]);
      part.batch_row.push_back(static_cast<int>(r));
    }
  }

  gradient_options options_;
  weights<T> total_;
  std::vector<shard<T>> shards_;
  std::vector<int> owner_, local_, tree_size_;
};

}  // namespace lm
