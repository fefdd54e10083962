#pragma once

#include <memory>
#include <span>
#include <vector>

#include <lm/batch.hpp>
#include <lm/weights.hpp>

namespace lm {

/// Gradients of the outputs of forward; null: no gradient from there.
template <class T>
struct output_gradients {
  const T* logits = nullptr;  // [R, vocab_size], row-major
  const T* hidden = nullptr;  // [R, dim], row-major
};

/// Another way to compute the transformer than this folder's own code over Eigen: forward, backward and advance hand
/// over to the engine that a program has chosen with use_engine. What it is given has been checked; numbers go in and
/// out in this process's memory, row-major.
template <class T>
class engine {
 public:
  virtual ~engine() = default;

  /// One forward pass at a time, with what its backward pass needs.
  class pass {
   public:
    virtual ~pass() = default;
    /// depth: [N] position of each token. hidden: [R, dim], written; logits: [R, vocab_size], written, or null.
    virtual void forward(const weights<T>& w, const batch& b, const std::vector<int>& depth, T* hidden, T* logits) = 0;
    /// Adds the gradient of the last forward's weights to d_w; once for each forward. Throws std::logic_error if there
    /// was none.
    virtual void backward(output_gradients<T> d_out, weights<T>& d_w) = 0;
  };

  /// Keys and values of tokens already read, by node.
  class cache {
   public:
    virtual ~cache() = default;
    /// Reads tokens into the nodes first, first + 1, .. and what was there is gone. depth: [K]; path: [K, longest], the
    /// nodes from the root to the token itself, filled up with -1; rows: of which tokens hidden [R, dim] and logits [R,
    /// vocab_size] are written.
    virtual void advance(const weights<T>& w, int first, std::span<const int> ids, const std::vector<int>& depth,
                         const std::vector<int>& path, int longest, std::span<const int> rows, T* hidden,
                         T* logits) = 0;
  };

  virtual std::unique_ptr<pass> new_pass() const = 0;
  virtual std::unique_ptr<cache> new_cache() const = 0;
};

/// The engine of every pass from now on, and of every cache that is empty; null: this folder's own code. A cache that
/// one engine has filled is advanced by no other: that throws std::logic_error.
template <class T>
const engine<T>*& chosen_engine() {
  static const engine<T>* chosen = nullptr;
  return chosen;
}
template <class T>
void use_engine(const engine<T>* other) {
  chosen_engine<T>() = other;
}

}  // namespace lm
