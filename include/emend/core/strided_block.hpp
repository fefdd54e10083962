#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/score_view.hpp>

#include <string>

namespace emend {

/// A score_view of an array of any number of dimensions, the last of which is the vocabulary.
///   [V] is one token; leading dimensions that lie in memory one within the other are one dimension, so that [.., T, V]
///   is read as it stands wherever two strides can describe it: every contiguous array, and every slice of one along
///   one dimension.
/// data: the first element; shape, strides: [dimensions], strides in elements, of any sign.
/// argument: what an error is to name. Throws std::invalid_argument without a dimension, or where two strides do not
/// do: copy it into contiguous memory first. Cost: constant.
template <class T, class Shape, class Strides>
score_view<T> strided_block(const char* argument, T* data, const Shape& shape, const Strides& strides) {
  const auto dimensions = static_cast<index>(shape.size());
  if (dimensions == 0) detail::fail(argument, "at least one dimension, the vocabulary", "a scalar");
  const auto extent = [&](index d) { return static_cast<index>(shape[static_cast<std::size_t>(d)]); };
  const auto stride = [&](index d) { return static_cast<index>(strides[static_cast<std::size_t>(d)]); };
  score_view<T> view{data, 1, extent(dimensions - 1), 0, extent(dimensions - 1) == 1 ? 1 : stride(dimensions - 1)};
  // A single token keeps the stride that it came with: whether tokens or the vocabulary are contiguous decides which
  // kernel runs.
  view.token_stride = dimensions > 1 && stride(dimensions - 2) != 0 ? stride(dimensions - 2) : view.vocab;
  // From the last leading dimension outwards: `inner` is done, `outer` begins where a stride breaks the row.
  bool has_tokens = false, has_batch = false;
  for (index d = dimensions - 2; d >= 0; --d) {
    if (extent(d) == 1) continue;
    if (!has_tokens) {
      view.tokens = extent(d);
      view.token_stride = stride(d);
      has_tokens = true;
    } else if (!has_batch && stride(d) == view.token_stride * view.tokens) {
      view.tokens *= extent(d);
    } else if (!has_batch) {
      view.batch = extent(d);
      view.batch_stride = stride(d);
      has_batch = true;
    } else if (stride(d) == view.batch_stride * view.batch) {
      view.batch *= extent(d);
    } else if (view.rows() * extent(d) != 0) {
      std::string text;
      for (index k = 0; k < dimensions; ++k) text.append(k == 0 ? "" : " x ").append(std::to_string(extent(k)));
      detail::fail(argument, "leading dimensions that two strides describe; copy it into contiguous memory first",
                   text + " in other strides");
    } else {
      view.batch = 0;
    }
  }
  return view;
}

}  // namespace emend
