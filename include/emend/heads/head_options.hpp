#pragma once

#include <emend/heads/score_transform.hpp>
#include <emend/simd/instruction_set.hpp>

namespace emend::detail {

/// What a head needs of a call's options to read rows. Views: transform and kept must outlive the head.
struct head_options {
  const score_transform& transform;
  const kept_ids& kept;
  instruction_set instructions = instruction_set::best;
  bool with_extras = false;  ///< the sum of squares, the mean and the largest score, too
};

}  // namespace emend::detail
