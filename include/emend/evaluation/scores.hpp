#pragma once

#include <emend/core/backend.hpp>
#include <emend/heads/head_scores.hpp>
#include <emend/heads/linear.hpp>

namespace emend {

/// Anything that `statistics` and `evaluate` take: scores in memory, or a head that computes them.
template <class X>
concept scores = host_scores<X> || head_scores<X> || detail::is_linear_scores<std::remove_cvref_t<X>>;

/// Something that the gradient of X can be written to: what `like` returns, or any block of scores in memory.
template <class G, class X>
concept gradient_target = std::same_as<G, gradient_type<X>> || detail::is_linear_scores<X> ||
                          (host_scores<X> && requires(G& g) { backend<G>::visit(g, detail::mutable_view_probe{}); });

}  // namespace emend
