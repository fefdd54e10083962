#pragma once

#include <emend/core/score_view.hpp>
#include <emend/core/storage.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace emend {

/// The one customisation point: how a type X holds scores. Specialise it for your own type.
///
///   like(x)      -> G   an owning object with the shape, dtype and device of x; contents unspecified; never aliases x.
///                       G is X itself where X owns its memory, else the type that owns what X views.
///   visit(x, f)         calls f exactly once with the score_view<const T> of a const x, and for a mutable G with its
///                       score_view<T>; T, a storage type of scores, may be chosen at run time.
/// A type whose scores are not in this process's memory gives `forward` and `backward` instead: see `head_scores`.
template <class X>
struct backend;

namespace detail {

struct view_probe {
  template <score_type T>
  void operator()(score_view<const T>) const {}
};
struct mutable_view_probe {
  template <score_type T>
  void operator()(score_view<T>) const {}
};

}  // namespace detail

/// Type of the gradient with respect to scores of type X: what `like` returns.
template <class X>
using gradient_type =
    std::remove_cvref_t<decltype(backend<std::remove_cvref_t<X>>::like(std::declval<const std::remove_cvref_t<X>&>()))>;

/// Scores in this process's memory.
///
/// Valid expressions, with B = backend<X>, `x` a const X, `g` a gradient_type<X>:
///   B::like(x)                            an owning gradient_type<X> of the shape of x
///   B::visit(x, f)                        f(score_view<const T>) once
///   backend<gradient_type<X>>::visit(g, f)   f(score_view<T>) once
/// A model, complete:
///   template <> struct emend::backend<my::matrix> {
///     static my::matrix like(const my::matrix& m) { return {m.n, m.v}; }
///     static void visit(const my::matrix& m, auto&& f) { f(score_view<const float>{m.d.data(), m.n, m.v, m.v, 1}); }
///     static void visit(my::matrix& m, auto&& f)       { f(score_view<float>{m.d.data(), m.n, m.v, m.v, 1}); }
///   };
///   static_assert(emend::host_scores<my::matrix>);
/// What the compiler cannot check: that `like` does not alias, that the view stays inside the memory, that f is called
/// exactly once, and that two tokens of a mutable view never share an element.
template <class X>
concept host_scores = requires(const std::remove_cvref_t<X>& x, gradient_type<X>& gradient) {
  backend<std::remove_cvref_t<X>>::visit(x, detail::view_probe{});
  backend<gradient_type<X>>::visit(gradient, detail::mutable_view_probe{});
};

/// A score_view is itself a score block; its gradient is a `matrix` of the same storage type (see core/matrix.hpp).
template <score_type T>
class matrix;

template <class T>
  requires score_type<std::remove_const_t<T>>
struct backend<score_view<T>> {
  using storage = std::remove_const_t<T>;
  static matrix<storage> like(const score_view<T>& x);
  template <class F>
  static void visit(const score_view<T>& x, F&& f) {
    f(score_view<const storage>(x));
  }
  template <class F>
    requires(!std::is_const_v<T>)
  static void visit(score_view<T>& x, F&& f) {
    f(x);
  }
};

}  // namespace emend
