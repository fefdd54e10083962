#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <lm/weights.hpp>

namespace lm {

/// How the learning rate falls after the warm-up, to final_fraction of its peak at total_steps.
enum class decay { none, linear, cosine };

struct adamw_options {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double max_norm = 1.0;  // of the gradient, over all parameters; 0: no clipping
  long long warmup_steps = 0;
  long long total_steps = 0;
  decay schedule = decay::none;
  double final_fraction = 0.0;
};

/// Learning rate of step number step (from 0): rises linearly to the peak over warmup_steps, then as the schedule says.
inline double learning_rate_at(const adamw_options& o, long long step) {
  if (step < o.warmup_steps)
    return o.learning_rate * static_cast<double>(step + 1) / static_cast<double>(o.warmup_steps);
  if (o.schedule == decay::none) return o.learning_rate;
  const double length = static_cast<double>(std::max<long long>(1, o.total_steps - o.warmup_steps));
  const double along = std::min(1.0, static_cast<double>(step - o.warmup_steps) / length);
  const double left = o.schedule == decay::linear ? 1.0 - along : 0.5 * (1.0 + std::cos(std::numbers::pi * along));
  return o.learning_rate * (o.final_fraction + (1.0 - o.final_fraction) * left);
}

/// AdamW over one flat span of parameters.
///   g = gradient * min(1, max_norm / ||gradient||)
///   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
///   x -= rate * ( m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay * x )
/// The weight decay holds inside the decayed ranges only.
/// Loshchilov and Hutter 2019; no decay on the gains of norms is the habit of GPT training.
template <class T>
class adamw {
 public:
  using range = std::pair<std::size_t, std::size_t>;  // begin, end

  adamw() = default;
  adamw(std::size_t size, adamw_options options, std::vector<range> decayed)
      : options_(options), decayed_(std::move(decayed)), first_(size), second_(size) {}
  /// For all parameters of w, the weight matrices decayed.
  adamw(const weights<T>& w, adamw_options options)
      : options_(options), first_(w.values().size()), second_(w.values().size()) {
    for (const tensor_info& t : w.tensors())
      if (t.is_matrix) decayed_.emplace_back(t.offset, t.offset + t.size());
  }

  /// One update of the values. Returns the norm of the gradient before clipping.
  /// Throws std::invalid_argument if the lengths are not those of the state. A gradient that is not finite throws
  /// std::runtime_error and changes nothing.
  double step(std::span<T> values, std::span<const T> gradient) {
    if (values.size() != first_.size() || gradient.size() != first_.size())
      throw std::invalid_argument("lm::adamw: values and gradient must have length " + std::to_string(first_.size()) +
                                  ", but have " + std::to_string(values.size()) + " and " +
                                  std::to_string(gradient.size()));
    double square = 0;
    constexpr std::size_t piece = 4096;
    for (std::size_t i = 0; i < gradient.size(); i += piece) {
      const std::size_t count = std::min(piece, gradient.size() - i);
      square += static_cast<double>(
          const_array_view<T>(gradient.data() + i, static_cast<Eigen::Index>(count)).square().sum());
    }
    const double norm = std::sqrt(square);
    if (!std::isfinite(norm)) throw std::runtime_error("lm::adamw: the gradient is not finite");
    const double clip = options_.max_norm > 0 && norm > options_.max_norm ? options_.max_norm / norm : 1.0;
    const double rate = learning_rate_at(options_, steps_);
    ++steps_;
    const double correction1 = 1.0 - std::pow(options_.beta1, static_cast<double>(steps_));
    const double correction2 = 1.0 - std::pow(options_.beta2, static_cast<double>(steps_));
    const Eigen::Index size = static_cast<Eigen::Index>(values.size());
    for (const range& r : decayed_)
      array_view<T>(values.data() + r.first, static_cast<Eigen::Index>(r.second - r.first)) *=
          static_cast<T>(1.0 - rate * options_.weight_decay);
    const_array_view<T> g(gradient.data(), size);
    array_view<T> x(values.data(), size), m(first_.data(), size), v(second_.data(), size);
    for (Eigen::Index begin = 0; begin < size;
         begin += static_cast<Eigen::Index>(piece)) {  // by pieces that stay in the first cache
      const Eigen::Index count = std::min<Eigen::Index>(static_cast<Eigen::Index>(piece), size - begin);
      auto mean = m.segment(begin, count), spread = v.segment(begin, count);
      mean = T(options_.beta1) * mean + T((1.0 - options_.beta1) * clip) * g.segment(begin, count);
      spread = T(options_.beta2) * spread + T((1.0 - options_.beta2) * clip * clip) * g.segment(begin, count).square();
      x.segment(begin, count) -=
          T(rate / correction1) * mean / ((spread * T(1.0 / correction2)).sqrt() + T(options_.epsilon));
    }
    return norm;
  }

  /// Number of steps taken.
  long long steps() const { return steps_; }
  double learning_rate() const { return learning_rate_at(options_, steps_); }
  adamw_options& options() { return options_; }
  const adamw_options& options() const { return options_; }

  // the state, for checkpoints
  std::span<const T> first_moment() const { return first_; }
  std::span<const T> second_moment() const { return second_; }
  /// Puts a saved state back. Throws std::invalid_argument if a length differs.
  void restore(long long steps, std::span<const T> first_moment, std::span<const T> second_moment) {
    if (steps < 0 || first_moment.size() != first_.size() || second_moment.size() != second_.size())
      throw std::invalid_argument("lm::adamw: the saved state is for " + std::to_string(first_moment.size()) +
                                  " parameters, but there are " + std::to_string(first_.size()));
    steps_ = steps;
    first_.assign(first_moment.begin(), first_moment.end());
    second_.assign(second_moment.begin(), second_moment.end());
  }

 private:
  adamw_options options_;
  std::vector<range> decayed_;
  aligned_vector<T> first_, second_;
  long long steps_ = 0;
};

}  // namespace lm
