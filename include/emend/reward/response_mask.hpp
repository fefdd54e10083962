#pragma once

#include <emend/core/layout.hpp>

namespace emend {

namespace detail {

inline bool is_one_of(index id, id_column ids) {
  for (index k = 0; k < ids.size(); ++k)
    if (ids[k] == id) return true;
  return false;
}

}  // namespace detail

/// 1 at the tokens of each sequence up to its first end, which is its last token; 0 after it and where the layout does
/// not count. A sequence without an end counts whole. ids: [layout.tokens()]; end_ids: any of these ends a response (a
/// model may declare several). Throws std::invalid_argument on a length that does not fit. The result is a mask for
/// `padded` or `ragged`.
template <layout_argument L>
std::vector<char> response_mask(id_column ids, const L& layout, id_column end_ids) {
  detail::require_length("ids", ids.size(), layout.tokens());
  std::vector<char> mask(static_cast<std::size_t>(layout.tokens()), 0);
  for (index b = 0; b < layout.sequences(); ++b) {
    bool has_ended = false;
    layout.for_each_token(b, [&](index t) {
      if (has_ended) return;
      mask[static_cast<std::size_t>(t)] = 1;
      has_ended = detail::is_one_of(ids[t], end_ids);
    });
  }
  return mask;
}

/// The ids with everything after the first end of a sequence replaced by padding.
/// Arguments as in `response_mask`; where the layout does not count, ids stay.
template <layout_argument L>
std::vector<index> truncate_response(id_column ids, const L& layout, id_column end_ids, index pad_id) {
  const std::vector<char> mask = response_mask(ids, layout, end_ids);
  std::vector<index> result(mask.size());
  for (std::size_t t = 0; t < result.size(); ++t) result[t] = ids[static_cast<index>(t)];
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      if (mask[static_cast<std::size_t>(t)] == 0) result[static_cast<std::size_t>(t)] = pad_id;
    });
  return result;
}

/// Which sequences have an end among their counted tokens: [B], 1 or 0. The others were cut.
template <layout_argument L>
std::vector<char> has_end(id_column ids, const L& layout, id_column end_ids) {
  detail::require_length("ids", ids.size(), layout.tokens());
  std::vector<char> result(static_cast<std::size_t>(layout.sequences()), 0);
  for (index b = 0; b < layout.sequences(); ++b)
    layout.for_each_token(b, [&](index t) {
      if (detail::is_one_of(ids[t], end_ids)) result[static_cast<std::size_t>(b)] = 1;
    });
  return result;
}

}  // namespace emend
