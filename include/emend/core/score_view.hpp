#pragma once

#include <emend/base/index.hpp>

namespace emend {

/// A block of scores in memory that somebody else owns: [tokens, vocab], or [batch, tokens, vocab].
///
/// Row i is batch entry i / tokens, token i % tokens; element j of it is
///   data[(i / tokens) batch_stride + (i % tokens) token_stride + j vocab_stride].
/// Strides are in elements, of any sign; 0 is allowed for inputs (an expanded row or batch). T may be const.
template <class T>
struct score_view {
  T* data = nullptr;
  index tokens = 0, vocab = 0;
  index token_stride = 0, vocab_stride = 1;
  index batch = 1, batch_stride = 0;

  constexpr index rows() const { return batch * tokens; }
  constexpr T* row(index i) const { return data + (i / tokens) * batch_stride + (i % tokens) * token_stride; }
  constexpr T& operator()(index i, index j) const { return row(i)[j * vocab_stride]; }
  constexpr operator score_view<const T>() const {
    return {data, tokens, vocab, token_stride, vocab_stride, batch, batch_stride};
  }
};

}  // namespace emend
