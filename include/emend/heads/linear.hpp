#pragma once

#include <emend/base/errors.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/shared_owner.hpp>

#include <concepts>

namespace emend {

/// Scores that are never stored: x = hidden weight^T, row by row.
/// hidden: [N, D]; weight: [V, D]. A source of scores for `statistics` and `evaluate`; its gradient is
/// {d_hidden, d_weight}, each of the type of its own matrix.
/// Lifetime: a matrix that has a name is viewed and must outlive the calls; a temporary is taken over, at the cost of
/// one allocation, whether it stands in parentheses or braces.
template <class H, class W>
struct linear_scores {
 private:
  detail::shared_owner hidden_owner_, weight_owner_;

 public:
  template <class A = H, class B = W>
    requires std::same_as<std::remove_cvref_t<A>, H> && std::same_as<std::remove_cvref_t<B>, W>
  linear_scores(A&& hidden_states, B&& output_weight)
      : hidden(kept(std::forward<A>(hidden_states), hidden_owner_)),
        weight(kept(std::forward<B>(output_weight), weight_owner_)) {}

  const H& hidden;
  const W& weight;

 private:
  template <class X>
  static const std::remove_cvref_t<X>& kept(X&& x, detail::shared_owner& owner) {
    if constexpr (std::is_lvalue_reference_v<X>)
      return x;
    else
      return owner.take_over(std::forward<X>(x));
  }
};
template <class H, class W>
linear_scores(H&&, W&&) -> linear_scores<std::remove_cvref_t<H>, std::remove_cvref_t<W>>;

/// Gradient with respect to a `linear_scores`.
template <class H, class W>
struct linear_gradient {
  H d_hidden;
  W d_weight;
};

template <host_scores H, host_scores W>
struct backend<linear_scores<H, W>> {
  static linear_gradient<gradient_type<H>, gradient_type<W>> like(const linear_scores<H, W>& x) {
    return {backend<H>::like(x.hidden), backend<W>::like(x.weight)};
  }
};

}  // namespace emend

namespace emend::detail {

template <class X>
inline constexpr bool is_linear_scores = false;
template <class H, class W>
inline constexpr bool is_linear_scores<linear_scores<H, W>> = host_scores<H> && host_scores<W>;

/// f(hidden, weight, d_hidden, d_weight) with views of one storage type; without a gradient the last two are empty.
template <class H, class W, class G, class F>
void linear_views(const linear_scores<H, W>& x, G* gradient, F&& f) {
  visit_scores("hidden", x.hidden, [&]<class T>(score_view<const T> hidden) {
    visit_scores("weight", x.weight, [&]<class U>(score_view<const U> weight) {
      if constexpr (!std::is_same_v<T, U>) {
        fail("linear_scores", "hidden and weight of one storage type", "two");
      } else {
        if (hidden.vocab != weight.vocab)
          fail("linear_scores", "weight of " + std::to_string(hidden.vocab) + " columns, as hidden",
               std::to_string(weight.vocab));
        if (!gradient) {
          f(hidden, weight, score_view<T>{}, score_view<T>{});
          return;
        }
        visit_gradient("d_hidden", gradient->d_hidden, [&]<class P>(score_view<P> d_hidden) {
          visit_gradient("d_weight", gradient->d_weight, [&]<class Q>(score_view<Q> d_weight) {
            if constexpr (std::is_same_v<P, T> && std::is_same_v<Q, T>)
              f(hidden, weight, d_hidden, d_weight);
            else
              fail("gradient", "the storage type of the scores", "another one");
          });
        });
      }
    });
  });
}

}  // namespace emend::detail
