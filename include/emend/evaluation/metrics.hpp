#pragma once

#include <emend/core/token.hpp>

#include <tuple>
#include <type_traits>

namespace emend::detail {

/// A loss whose metrics ride along: metrics(token), or for a sequence-level loss metrics(token, summary, length).
template <class L>
concept has_token_metrics = requires(const L& l, const token<double>& t) { l.metrics(t); };
template <class L>
concept has_sequence_metrics = requires(const L& l, const token<double>& t) { l.metrics(t, 0.0, index{1}); };

template <class L>
inline constexpr std::size_t metric_count = 0;
template <has_token_metrics L>
inline constexpr std::size_t metric_count<L> = std::tuple_size_v<
    std::remove_cvref_t<decltype(std::declval<const L&>().metrics(std::declval<const token<double>&>()))>>;
template <has_sequence_metrics L>
inline constexpr std::size_t metric_count<L> =
    std::tuple_size_v<std::remove_cvref_t<decltype(std::declval<const L&>().metrics(
        std::declval<const token<double>&>(), 0.0, index{1}))>>;

}  // namespace emend::detail
