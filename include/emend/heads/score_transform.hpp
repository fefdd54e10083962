#pragma once

#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

namespace emend {

/// What a loss sees of the scores x in memory, with its chain rule in every gradient.
///   z = cap(logit_scale x) / temperature,   cap(y) = soft_cap tanh(y / soft_cap), or y where soft_cap is 0
/// temperature, logit_scale: above 0. temperatures: one per row, replaces temperature. soft_cap: 0 (none) or above 0.
/// A score of -inf stays -inf. Cost: none for scale and temperature; a soft cap adds one exponential an element a pass.
/// The order (scale, cap, temperature) is TRL's.
struct score_transform {
  double temperature = 1;
  column temperatures = {};
  double logit_scale = 1;
  double soft_cap = 0;
};

/// Statistics over a kept set of ids of each row (what a top-p or top-k sampler reports) instead of all of them:
/// row i keeps ids[offsets[i]] .. ids[offsets[i+1]-1], each once. Without offsets everything is kept.
/// An id twice in a row, and ids without offsets, are refused.
/// A target outside its kept set has score and log-probability -inf. Cost of a row: its number of kept ids.
struct kept_ids {
  id_column offsets = {};
  id_column ids = {};
};

}  // namespace emend
