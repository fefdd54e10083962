#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include <lm/config.hpp>
#include <lm/matrix.hpp>

namespace lm {

/// One named tensor inside the flat buffer of weights: rows x cols, row-major, at offset.
/// is_matrix tells weight matrices (decayed by the optimizer) from the gains of the norms.
struct tensor_info {
  std::string name;
  std::size_t offset;
  int rows, cols;
  bool is_matrix;
  std::size_t size() const { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols); }
};

/// How many numbers a configuration's weights are; in double, which no configuration overflows, so that a file's size
/// can be held to its header before memory is taken.
inline double weight_count(const config& c) {
  const double d = c.dim, per_layer = 2 * d + 2 * d * d + 2.0 * c.key_value_dim() * d + 3.0 * c.hidden_dim * d;
  return d * c.vocab_size * (c.is_classifier_shared ? 1 : 2) + c.layers * per_layer + d;
}

/// Whether there is no infinity and no NaN among the numbers.
template <class T>
bool are_finite(std::span<const T> values) {
  return std::all_of(values.begin(), values.end(), [](T value) { return std::isfinite(value); });
}

/// All parameters of a transformer in one contiguous buffer, with a named row-major view on each.
/// A gradient is the same type. Weight matrices are [out, in]. Query, key and value of a layer lie one after another,
/// as do gate and up, so that each group is one matrix product: query_key_value [dim + 2 key_value_dim, dim],
/// gate_up [2 hidden_dim, dim].
template <class T>
class weights {
 public:
  weights() = default;

  /// All zero. Throws std::invalid_argument if the configuration is not valid.
  explicit weights(const config& c) : config_(c) {
    c.check();
    const std::size_t d = size(c.dim), h = size(c.hidden_dim), kv = size(c.key_value_dim());
    const std::size_t vocabulary = size(c.vocab_size) * d;
    at_attention_norm_ = 0;
    at_query_ = at_attention_norm_ + d;
    at_output_ = at_query_ + (d + 2 * kv) * d;
    at_feed_forward_norm_ = at_output_ + d * d;
    at_gate_ = at_feed_forward_norm_ + d;
    at_down_ = at_gate_ + 2 * h * d;
    layer_size_ = at_down_ + d * h;
    first_layer_ = vocabulary;
    at_final_norm_ = first_layer_ + size(c.layers) * layer_size_;
    at_classifier_ = c.is_classifier_shared ? 0 : at_final_norm_ + d;
    values_.assign(at_final_norm_ + d + (c.is_classifier_shared ? 0 : vocabulary), T(0));
  }

  const config& shape() const { return config_; }
  std::span<T> values() { return values_; }
  std::span<const T> values() const { return values_; }
  void set_zero() { std::fill(values_.begin(), values_.end(), T(0)); }

  matrix_view<T> token_embedding() { return at(0, config_.vocab_size, config_.dim); }
  matrix_view<T> classifier() { return at(at_classifier_, config_.vocab_size, config_.dim); }
  array_view<T> final_norm() { return {values_.data() + at_final_norm_, config_.dim}; }
  array_view<T> attention_norm(int layer) { return {values_.data() + in(layer, at_attention_norm_), config_.dim}; }
  array_view<T> feed_forward_norm(int layer) {
    return {values_.data() + in(layer, at_feed_forward_norm_), config_.dim};
  }
  matrix_view<T> query_key_value(int layer) {
    return at(in(layer, at_query_), config_.dim + 2 * config_.key_value_dim(), config_.dim);
  }
  matrix_view<T> query(int layer) { return at(in(layer, at_query_), config_.dim, config_.dim); }
  matrix_view<T> key_value(int layer) {
    return at(in(layer, at_query_) + square(), 2 * config_.key_value_dim(), config_.dim);
  }
  matrix_view<T> key(int layer) { return at(in(layer, at_query_) + square(), config_.key_value_dim(), config_.dim); }
  matrix_view<T> value(int layer) {
    return at(in(layer, at_query_) + square() + size(config_.key_value_dim()) * size(config_.dim),
              config_.key_value_dim(), config_.dim);
  }
  matrix_view<T> output(int layer) { return at(in(layer, at_output_), config_.dim, config_.dim); }
  matrix_view<T> gate_up(int layer) { return at(in(layer, at_gate_), 2 * config_.hidden_dim, config_.dim); }
  matrix_view<T> gate(int layer) { return at(in(layer, at_gate_), config_.hidden_dim, config_.dim); }
  matrix_view<T> up(int layer) {
    return at(in(layer, at_gate_) + size(config_.hidden_dim) * size(config_.dim), config_.hidden_dim, config_.dim);
  }
  matrix_view<T> down(int layer) { return at(in(layer, at_down_), config_.dim, config_.hidden_dim); }

  const_matrix_view<T> token_embedding() const { return fixed(self().token_embedding()); }
  const_matrix_view<T> classifier() const { return fixed(self().classifier()); }
  const_array_view<T> final_norm() const { return {self().final_norm().data(), config_.dim}; }
  const_array_view<T> attention_norm(int layer) const { return {self().attention_norm(layer).data(), config_.dim}; }
  const_array_view<T> feed_forward_norm(int layer) const {
    return {self().feed_forward_norm(layer).data(), config_.dim};
  }
  const_matrix_view<T> query_key_value(int layer) const { return fixed(self().query_key_value(layer)); }
  const_matrix_view<T> query(int layer) const { return fixed(self().query(layer)); }
  const_matrix_view<T> key_value(int layer) const { return fixed(self().key_value(layer)); }
  const_matrix_view<T> key(int layer) const { return fixed(self().key(layer)); }
  const_matrix_view<T> value(int layer) const { return fixed(self().value(layer)); }
  const_matrix_view<T> output(int layer) const { return fixed(self().output(layer)); }
  const_matrix_view<T> gate_up(int layer) const { return fixed(self().gate_up(layer)); }
  const_matrix_view<T> gate(int layer) const { return fixed(self().gate(layer)); }
  const_matrix_view<T> up(int layer) const { return fixed(self().up(layer)); }
  const_matrix_view<T> down(int layer) const { return fixed(self().down(layer)); }

  /// Every tensor once, in the order of the buffer, without gaps.
  std::vector<tensor_info> tensors() const {
    const int d = config_.dim, h = config_.hidden_dim, kv = config_.key_value_dim();
    std::vector<tensor_info> all;
    std::size_t offset = 0;
    auto add = [&](std::string name, int rows, int cols, bool is_matrix) {
      all.push_back({std::move(name), offset, rows, cols, is_matrix});
      offset += all.back().size();
    };
    add("token_embedding", config_.vocab_size, d, true);
    for (int layer = 0; layer < config_.layers; ++layer) {
      std::string of = "[";
      of += std::to_string(layer);
      of += ']';
      add("attention_norm" + of, 1, d, false);
      add("query" + of, d, d, true);
      add("key" + of, kv, d, true);
      add("value" + of, kv, d, true);
      add("output" + of, d, d, true);
      add("feed_forward_norm" + of, 1, d, false);
      add("gate" + of, h, d, true);
      add("up" + of, h, d, true);
      add("down" + of, d, h, true);
    }
    add("final_norm", 1, d, false);
    if (!config_.is_classifier_shared) add("classifier", config_.vocab_size, d, true);
    return all;
  }

  /// The same numbers in another scalar type.
  template <class U>
  weights<U> cast() const {
    weights<U> other(config_);
    for (std::size_t i = 0; i < values_.size(); ++i) other.values()[i] = static_cast<U>(values_[i]);
    return other;
  }

 private:
  static std::size_t size(int n) { return static_cast<std::size_t>(n); }
  std::size_t square() const { return size(config_.dim) * size(config_.dim); }
  std::size_t in(int layer, std::size_t offset) const { return first_layer_ + size(layer) * layer_size_ + offset; }
  matrix_view<T> at(std::size_t offset, int rows, int cols) { return {values_.data() + offset, rows, cols}; }
  static const_matrix_view<T> fixed(const matrix_view<T>& m) { return {m.data(), m.rows(), m.cols()}; }
  weights& self() const { return const_cast<weights&>(*this); }

  config config_;
  aligned_vector<T> values_;
  std::size_t at_attention_norm_ = 0, at_query_ = 0, at_output_ = 0, at_feed_forward_norm_ = 0, at_gate_ = 0,
              at_down_ = 0;
  std::size_t layer_size_ = 0, first_layer_ = 0, at_final_norm_ = 0, at_classifier_ = 0;
};

/// Random start, the same on every platform: gains 1, matrices normal(0, 0.02), and the matrices that write into the
/// residual stream (output, down) normal(0, 0.02 / sqrt(2 layers)). Radford et al. 2019, section 2.3.
/// deviation: of the normal, instead of 0.02.
template <class T>
weights<T> random_weights(const config& c, std::uint64_t seed, double deviation = 0.02) {
  weights<T> w(c);
  std::uint64_t state = seed;
  auto uniform = [&state] {  // splitmix64, in (0, 1]
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (static_cast<double>(z >> 11) + 1.0) * 0x1.0p-53;
  };
  for (const tensor_info& t : w.tensors()) {
    const bool is_residual = t.name.starts_with("output") || t.name.starts_with("down");
    const double scale = is_residual ? deviation / std::sqrt(2.0 * c.layers) : deviation;
    for (T& value : w.values().subspan(t.offset, t.size())) {
      if (!t.is_matrix) {
        value = T(1);
        continue;
      }
      const double radius = std::sqrt(-2.0 * std::log(uniform()));
      value = static_cast<T>(scale * radius * std::cos(2.0 * std::numbers::pi * uniform()));
    }
  }
  return w;
}

}  // namespace lm
