#pragma once

#include <memory>
#include <vector>

#include <lm/attention.hpp>
#include <lm/batch.hpp>
#include <lm/engine.hpp>
#include <lm/layers.hpp>
#include <lm/matrix.hpp>

namespace lm {

/// What a forward pass keeps of one layer for the backward pass. N: tokens; M: tokens that the layer's queries are
/// wanted of, which is N but in the last layer.
template <class T>
struct layer_activations {
  buffer<T> input;             // [N, dim]
  buffer<T> attention_normed;  // [N, dim]
  buffer<T> query_key_value;   // [N, dim + 2 key_value_dim]; last layer: key and value only, [N, 2 key_value_dim]
  buffer<T> query_normed;      // last layer: [M, dim]
  buffer<T> query;             // last layer: [M, dim]
  buffer<T> probabilities;
  buffer<T> attended;              // [M, dim]
  buffer<T> middle;                // [M, dim]
  buffer<T> feed_forward_normed;   // [M, dim]
  buffer<T> gate_up;               // [M, 2 hidden_dim]
  buffer<T> hidden;                // [M, hidden_dim]
  buffer<T> attention_inverse;     // [N]
  buffer<T> feed_forward_inverse;  // [M]
};

/// Memory of forward and backward, kept from step to step: once it has seen the largest batch nothing is allocated.
/// One workspace serves one thread at a time.
template <class T>
class workspace {
 public:
  /// Scores of the wanted rows, [R, vocab_size], after forward.
  matrix_view<T> logits() { return logits_.view(); }
  /// Final hidden state of the wanted rows, after the final norm, [R, dim], after forward.
  matrix_view<T> hidden() { return hidden_.view(); }

  rotary_table<T> rotary;
  attention_plan all_plan, row_plan;
  std::vector<int> all_tokens;
  std::vector<layer_activations<T>> layers;
  buffer<T> final_input, final_inverse, hidden_, logits_;
  // gradients
  buffer<T> d_rows, d_stream, d_wide, d_hidden, d_normed, d_query, d_query_key_value, d_input, d_score;
  // Where another engine has been chosen: its pass, and which it is.
  std::unique_ptr<typename engine<T>::pass> outer;
  const engine<T>* outer_engine = nullptr;
};

}  // namespace lm
