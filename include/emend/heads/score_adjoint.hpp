#pragma once

#include <emend/base/index.hpp>

namespace emend::detail {

/// One target's share of a row's gradient: g_score at its id.
struct score_adjoint {
  index id;
  double value;
};

}  // namespace emend::detail
