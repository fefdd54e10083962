#pragma once

#include <emend/reward/response_mask.hpp>

namespace emend {

/// The penalty of responses that never end, to be added to their rewards.
///   -penalty where no counted token is one of end_ids, 0 elsewhere
/// ids: [layout.tokens()] -> [B]. Throws std::invalid_argument on a length that does not fit, or
/// without an end id. TRL (missing_eos_penalty).
template <layout_argument L>
std::vector<double> missing_end_penalty(id_column ids, const L& layout, id_column end_ids, double penalty) {
  if (end_ids.empty()) detail::fail("end_ids", "at least one id", "none");
  const std::vector<char> ended = has_end(ids, layout, end_ids);
  std::vector<double> result(ended.size());
  for (std::size_t b = 0; b < result.size(); ++b) result[b] = ended[b] != 0 ? 0 : -penalty;
  return result;
}

}  // namespace emend
