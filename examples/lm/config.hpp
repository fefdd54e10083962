#pragma once

#include <stdexcept>
#include <string>

namespace lm {

/// Shape of a decoder-only transformer in the llama2.c layout.
/// dim = heads * head_size; key_value_heads divides heads; head_size is even (rotary pairs).
/// is_classifier_shared: the output weights are the token embedding itself.
struct config {
  int dim = 128;
  int hidden_dim = 352;
  int layers = 4;
  int heads = 4;
  int key_value_heads = 4;
  int vocab_size = 0;
  int max_positions = 128;
  bool is_classifier_shared = true;

  int head_size() const { return dim / heads; }
  int key_value_dim() const { return head_size() * key_value_heads; }
  bool operator==(const config&) const = default;

  /// Throws std::invalid_argument naming the first field that is out of range.
  void check() const {
    auto require = [](bool holds, const char* field, const char* expected, long long came) {
      if (!holds)
        throw std::invalid_argument(std::string("lm::config: ") + field + " must be " + expected + ", but is " +
                                    std::to_string(came));
    };
    constexpr int limit = 1 << 24;
    auto in_range = [](int value) { return value > 0 && value <= limit; };
    require(in_range(dim), "dim", "in 1..2^24", dim);
    require(in_range(hidden_dim), "hidden_dim", "in 1..2^24", hidden_dim);
    require(layers > 0 && layers <= 4096, "layers", "in 1..4096", layers);
    require(in_range(heads), "heads", "in 1..2^24", heads);
    require(in_range(key_value_heads), "key_value_heads", "in 1..2^24", key_value_heads);
    require(in_range(vocab_size), "vocab_size", "in 1..2^24", vocab_size);
    require(in_range(max_positions), "max_positions", "in 1..2^24", max_positions);
    require(dim % heads == 0, "dim", "a multiple of heads", dim);
    require(heads % key_value_heads == 0, "heads", "a multiple of key_value_heads", heads);
    require(head_size() % 2 == 0, "dim / heads", "even", head_size());
  }
};

}  // namespace lm
