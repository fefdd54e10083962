#pragma once

#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <lm/attention.hpp>
#include <lm/batch.hpp>
#include <lm/layers.hpp>
#include <lm/weights.hpp>
#include <lm/workspace.hpp>

namespace lm {

namespace detail {

template <class T>
const_matrix_view<T> fixed(const buffer<T>& b) {
  return b.view();
}

/// The feed-forward half of a layer: to = middle + down(swiglu(gate_up(norm(middle)))).
template <class T>
void feed_forward(const weights<T>& w, int layer, layer_activations<T>& a, matrix_view<T> to) {
  const config& c = w.shape();
  const Eigen::Index rows = a.middle.rows();
  a.feed_forward_normed.resize(rows, c.dim);
  a.feed_forward_inverse.resize(rows, 1);
  a.gate_up.resize(rows, 2 * c.hidden_dim);
  a.hidden.resize(rows, c.hidden_dim);
  rms_norm<T>(fixed(a.middle), w.feed_forward_norm(layer), a.feed_forward_normed.view(), a.feed_forward_inverse.data());
  a.gate_up.view().noalias() = a.feed_forward_normed.view() * w.gate_up(layer).transpose();
  swiglu<T>(fixed(a.gate_up), a.hidden.view());
  to.noalias() = a.hidden.view() * w.down(layer).transpose();
  to += a.middle.view();
}

/// d_stream: [M, dim], gradient of the layer's output on entry, of middle on return.
template <class T>
void feed_forward_backward(const weights<T>& w, int layer, const layer_activations<T>& a, workspace<T>& s,
                           buffer<T>& d_stream, weights<T>& d_w) {
  const config& c = w.shape();
  const Eigen::Index rows = a.middle.rows();
  s.d_hidden.resize(rows, c.hidden_dim);
  s.d_wide.resize(rows, 2 * c.hidden_dim);
  s.d_normed.resize(rows, c.dim);
  s.d_hidden.view().noalias() = d_stream.view() * w.down(layer);
  d_w.down(layer).noalias() += d_stream.view().transpose() * a.hidden.view();
  swiglu_backward<T>(fixed(a.gate_up), fixed(s.d_hidden), s.d_wide.view());
  s.d_normed.view().noalias() = s.d_wide.view() * w.gate_up(layer);
  d_w.gate_up(layer).noalias() += s.d_wide.view().transpose() * a.feed_forward_normed.view();
  rms_norm_backward<T>(fixed(a.middle), w.feed_forward_norm(layer), a.feed_forward_inverse.data(), fixed(s.d_normed),
                       d_stream.view(), d_w.feed_forward_norm(layer));
}

template <class T>
attention_inputs<const T> attention_of(const config& c, const layer_activations<T>& a, bool is_last) {
  const int d = c.dim, kv = c.key_value_dim();
  // Of an empty batch there is no memory to point into.
  const T* const first = a.query_key_value.data();
  const auto at = [first](int offset) { return first == nullptr ? nullptr : first + offset; };
  if (is_last) return {a.query.data(), d, first, at(kv), 2 * kv};
  return {first, d + 2 * kv, at(d), at(d + kv), d + 2 * kv};
}

}  // namespace detail

/// What forward computes beside the final hidden state.
struct forward_options {
  bool wants_logits = true;  // false: value heads and the like need the hidden state only
};

/// Runs a packed batch through the transformer and keeps the activations in the workspace.
/// Results: s.logits(), [R, vocab_size], and s.hidden(), [R, dim], one row for each of b.rows, in that order. The last
/// layer and the classifier compute the wanted rows only (of the other tokens: keys and values).
/// Throws std::invalid_argument if the batch does not fit the configuration (batch::check) or is deeper than
/// max_positions.
template <class T>
void forward(const weights<T>& w, const batch& b, workspace<T>& s, forward_options options = {}) {
  const config& c = w.shape();
  b.check(c);
  const Eigen::Index tokens = b.size(), rows = b.row_count();
  const int d = c.dim, kv = c.key_value_dim();
  if (s.layers.size() < static_cast<std::size_t>(c.layers)) s.layers.resize(static_cast<std::size_t>(c.layers));
  s.all_tokens.resize(static_cast<std::size_t>(tokens));
  std::iota(s.all_tokens.begin(), s.all_tokens.end(), 0);
  s.all_plan.build(b.parent, s.all_tokens, c.heads);
  s.row_plan.build(b.parent, b.rows, c.heads);
  const std::vector<int>& depth = s.all_plan.depth;
  for (int position : depth)
    if (position >= c.max_positions)
      throw std::invalid_argument("lm::forward: a token is at position " + std::to_string(position) +
                                  ", but max_positions is " + std::to_string(c.max_positions));
  if (const engine<T>* other = chosen_engine<T>()) {
    if (!s.outer || s.outer_engine != other) s.outer = other->new_pass();
    s.outer_engine = other;
    s.hidden_.resize(rows, d);
    s.logits_.resize(options.wants_logits ? rows : 0, c.vocab_size);
    s.outer->forward(w, b, depth, s.hidden_.data(), options.wants_logits ? s.logits_.data() : nullptr);
    return;
  }
  s.outer.reset();
  s.rotary.build(tokens > 0 ? *std::max_element(depth.begin(), depth.end()) + 1 : 0, c.max_positions, d, c.head_size());

  s.layers[0].input.resize(tokens, d);
  for (Eigen::Index i = 0; i < tokens; ++i)
    s.layers[0].input.view().row(i) = w.token_embedding().row(b.ids[static_cast<std::size_t>(i)]);

  for (int layer = 0; layer < c.layers; ++layer) {
    const bool is_last = layer + 1 == c.layers;
    layer_activations<T>& a = s.layers[static_cast<std::size_t>(layer)];
    const attention_plan& plan = is_last ? s.row_plan : s.all_plan;
    const Eigen::Index queries = is_last ? rows : tokens;
    a.attention_normed.resize(tokens, d);
    a.attention_inverse.resize(tokens, 1);
    rms_norm<T>(detail::fixed(a.input), w.attention_norm(layer), a.attention_normed.view(), a.attention_inverse.data());
    a.query_key_value.resize(tokens, is_last ? 2 * kv : d + 2 * kv);
    a.middle.resize(queries, d);
    if (is_last) {
      a.query_normed.resize(rows, d);
      a.query.resize(rows, d);
      for (Eigen::Index i = 0; i < rows; ++i) {
        const int token = b.rows[static_cast<std::size_t>(i)];
        a.query_normed.view().row(i) = a.attention_normed.view().row(token);
        a.middle.view().row(i) = a.input.view().row(token);
      }
      a.query.view().noalias() = a.query_normed.view() * w.query(layer).transpose();
      a.query_key_value.view().noalias() = a.attention_normed.view() * w.key_value(layer).transpose();
      for (Eigen::Index i = 0; i < rows; ++i)
        s.rotary.rotate(a.query.row(i), d, depth[static_cast<std::size_t>(b.rows[static_cast<std::size_t>(i)])]);
      for (Eigen::Index i = 0; i < tokens; ++i)
        s.rotary.rotate(a.query_key_value.row(i), kv, depth[static_cast<std::size_t>(i)]);
    } else {
      a.middle.view() = a.input.view();
      a.query_key_value.view().noalias() = a.attention_normed.view() * w.query_key_value(layer).transpose();
      for (Eigen::Index i = 0; i < tokens; ++i) {
        s.rotary.rotate(a.query_key_value.row(i), d, depth[static_cast<std::size_t>(i)]);
        s.rotary.rotate(a.query_key_value.row(i) + d, kv, depth[static_cast<std::size_t>(i)]);
      }
    }
    a.attended.resize(queries, d);
    a.probabilities.resize(static_cast<Eigen::Index>(plan.probability_count), 1);
    attention<T>(c, plan, detail::attention_of(c, a, is_last), a.attended.data(), a.probabilities.data());
    a.middle.view().noalias() += a.attended.view() * w.output(layer).transpose();
    buffer<T>& next = is_last ? s.final_input : s.layers[static_cast<std::size_t>(layer) + 1].input;
    next.resize(queries, d);
    detail::feed_forward(w, layer, a, next.view());
  }

  s.final_inverse.resize(rows, 1);
  s.hidden_.resize(rows, d);
  rms_norm<T>(detail::fixed(s.final_input), w.final_norm(), s.hidden_.view(), s.final_inverse.data());
  s.logits_.resize(options.wants_logits ? rows : 0, c.vocab_size);
  if (options.wants_logits) s.logits_.view().noalias() = s.hidden_.view() * w.classifier().transpose();
}

/// Adds the gradient with respect to every parameter to d_w, from the activations that forward left in s.
/// b, w: as they were in forward. d_w: the configuration of w.
template <class T>
void backward(const weights<T>& w, const batch& b, workspace<T>& s, output_gradients<T> d_out, weights<T>& d_w) {
  const config& c = w.shape();
  const Eigen::Index tokens = b.size(), rows = b.row_count();
  const int d = c.dim, kv = c.key_value_dim();
  if (!(d_w.shape() == c)) throw std::invalid_argument("lm::backward: d_w must have the configuration of w");
  if (s.outer) {
    s.outer->backward(d_out, d_w);
    return;
  }

  s.d_normed.resize(rows, d);
  s.d_rows.resize(rows, d);
  s.d_rows.view().setZero();
  if (d_out.logits) {
    const_matrix_view<T> d_logits(d_out.logits, rows, c.vocab_size);
    s.d_normed.view().noalias() = d_logits * w.classifier();
    d_w.classifier().noalias() += d_logits.transpose() * s.hidden_.view();
  } else {
    s.d_normed.view().setZero();
  }
  if (d_out.hidden) s.d_normed.view() += const_matrix_view<T>(d_out.hidden, rows, d);
  rms_norm_backward<T>(detail::fixed(s.final_input), w.final_norm(), s.final_inverse.data(), detail::fixed(s.d_normed),
                       s.d_rows.view(), d_w.final_norm());

  for (int layer = c.layers - 1; layer >= 0; --layer) {
    const bool is_last = layer + 1 == c.layers;
    layer_activations<T>& a = s.layers[static_cast<std::size_t>(layer)];
    const attention_plan& plan = is_last ? s.row_plan : s.all_plan;
    const Eigen::Index queries = is_last ? rows : tokens;
    buffer<T>& d_stream = is_last ? s.d_rows : s.d_stream;
    detail::feed_forward_backward(w, layer, a, s, d_stream, d_w);

    s.d_input.resize(queries, d);  // gradient of attended
    s.d_input.view().noalias() = d_stream.view() * w.output(layer);
    d_w.output(layer).noalias() += d_stream.view().transpose() * a.attended.view();

    const int width = is_last ? 2 * kv : d + 2 * kv;
    s.d_query_key_value.resize(tokens, width);
    s.d_query_key_value.view().setZero();
    T* first = s.d_query_key_value.data();
    attention_inputs<T> d_in{first, width, first + d, first + d + kv, width};
    if (is_last) {
      s.d_query.resize(rows, d);
      d_in = {s.d_query.data(), d, first, first + kv, width};
    }
    attention_backward<T>(c, plan, detail::attention_of(c, a, is_last), a.probabilities.data(), s.d_input.data(), d_in,
                          s.d_score);

    s.d_normed.resize(tokens, d);
    for (Eigen::Index i = 0; i < tokens; ++i) {
      const int position = plan.depth[static_cast<std::size_t>(i)];
      T* row = s.d_query_key_value.row(i);
      if (!is_last) {
        s.rotary.rotate_back(row, d, position);
        row += d;
      }
      s.rotary.rotate_back(row, kv, position);
    }
    if (is_last) {
      for (Eigen::Index i = 0; i < rows; ++i)
        s.rotary.rotate_back(s.d_query.row(i), d,
                             plan.depth[static_cast<std::size_t>(b.rows[static_cast<std::size_t>(i)])]);
      s.d_normed.view().noalias() = s.d_query_key_value.view() * w.key_value(layer);
      d_w.key_value(layer).noalias() += s.d_query_key_value.view().transpose() * a.attention_normed.view();
      d_w.query(layer).noalias() += s.d_query.view().transpose() * a.query_normed.view();
      s.d_input.view().noalias() = s.d_query.view() * w.query(layer);
      s.d_stream.resize(tokens, d);
      s.d_stream.view().setZero();
      for (Eigen::Index i = 0; i < rows; ++i) {
        const int token = b.rows[static_cast<std::size_t>(i)];
        s.d_normed.view().row(token) += s.d_input.view().row(i);
        s.d_stream.view().row(token) = s.d_rows.view().row(i);
      }
    } else {
      s.d_normed.view().noalias() = s.d_query_key_value.view() * w.query_key_value(layer);
      d_w.query_key_value(layer).noalias() += s.d_query_key_value.view().transpose() * a.attention_normed.view();
    }
    rms_norm_backward<T>(detail::fixed(a.input), w.attention_norm(layer), a.attention_inverse.data(),
                         detail::fixed(s.d_normed), s.d_stream.view(), d_w.attention_norm(layer));
  }
  for (Eigen::Index i = 0; i < tokens; ++i)
    d_w.token_embedding().row(b.ids[static_cast<std::size_t>(i)]) += s.d_stream.view().row(i);
}

}  // namespace lm
