#pragma once

#include <emend/base/errors.hpp>
#include <emend/base/storage.hpp>
#include <emend/core/score_view.hpp>

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
/// What is checked where a call uses it: that the views are of a storage type, a gradient's mutable, that f is called
/// once, that extents are not below 0, and that no stride of a gradient is 0.
/// What nobody checks: that `like` does not alias, that the view stays inside the memory, and that two tokens of a
/// mutable view never share an element in another way.
template <class X>
concept host_scores = requires(const std::remove_cvref_t<X>& x, gradient_type<X>& gradient) {
  backend<std::remove_cvref_t<X>>::visit(x, detail::view_probe{});
  backend<gradient_type<X>>::visit(gradient, detail::mutable_view_probe{});
};

namespace detail {

/// Throws std::invalid_argument unless the view can be one of scores in memory.
template <class T>
void check_view(const char* argument, const score_view<T>& view) {
  index rows = 0, entries = 0;
  if (view.tokens < 0 || view.vocab < 0 || view.batch < 0 || __builtin_mul_overflow(view.batch, view.tokens, &rows) ||
      __builtin_mul_overflow(rows, view.vocab, &entries))
    fail(argument, "extents not below 0 whose product is in range",
         std::to_string(view.batch) + " x " + std::to_string(view.tokens) + " x " + std::to_string(view.vocab));
  if (entries > 0 && view.data == nullptr) fail(argument, "memory of " + std::to_string(entries) + " scores", "none");
  if constexpr (!std::is_const_v<T>) {
    const bool is_shared = (view.tokens > 1 && view.token_stride == 0) || (view.vocab > 1 && view.vocab_stride == 0) ||
                           (view.batch > 1 && view.batch_stride == 0);
    if (entries > 0 && is_shared) fail(argument, "memory of its own for each number", "a stride of 0");
  }
}

/// What `visit` calls: checks the view, then hands it on.
template <class F>
struct scores_visitor {
  const char* argument;
  F& f;
  int& calls;
  template <class T>
  void operator()(score_view<T> view) const {
    using storage = std::remove_const_t<T>;
    static_assert(
        score_type<storage>,
        "emend: backend<X>::visit must give a score_view of float, double, emend::bfloat16 or emend::float16; "
        "integers are no scores: view the bits of a half type as emend::bfloat16 or emend::float16");
    if constexpr (score_type<storage>) {
      if (calls++ > 0) fail(argument, "a backend whose visit calls its function once", "a second call");
      check_view<const storage>(argument, view);
      f(score_view<const storage>(view));
    }
  }
};
template <class F>
struct gradient_visitor {
  const char* argument;
  F& f;
  int& calls;
  template <class T>
  void operator()(score_view<T> view) const {
    static_assert(!std::is_const_v<T>,
                  "emend: backend<G>::visit of a gradient must give a mutable score_view<T>; add an overload of visit "
                  "that takes the object as G& and gives score_view<T>, or pass a gradient that can be written to");
    static_assert(
        score_type<std::remove_const_t<T>>,
        "emend: backend<G>::visit must give a score_view of float, double, emend::bfloat16 or emend::float16");
    if constexpr (score_type<T>) {
      if (calls++ > 0) fail(argument, "a backend whose visit calls its function once", "a second call");
      check_view(argument, view);
      f(view);
    }
  }
};

/// f(score_view<const T>) of the scores of x, once. The checks of the compiler that `host_scores` cannot make: those of
/// the body of `visit`. Throws std::invalid_argument on a view that cannot be right, and if visit calls f not once.
template <class X, class F>
void visit_scores(const char* argument, const X& x, F&& f) {
  int calls = 0;
  backend<std::remove_cvref_t<X>>::visit(x, scores_visitor<std::remove_reference_t<F>>{argument, f, calls});
  if (calls == 0) fail(argument, "a backend whose visit calls its function once", "no call");
}
/// The same of a gradient, f(score_view<T>).
template <class G, class F>
void visit_gradient(const char* argument, G& g, F&& f) {
  int calls = 0;
  backend<G>::visit(g, gradient_visitor<std::remove_reference_t<F>>{argument, f, calls});
  if (calls == 0) fail(argument, "a backend whose visit calls its function once", "no call");
}

}  // namespace detail

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
