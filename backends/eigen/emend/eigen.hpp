#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/core/backend.hpp>

#include <Eigen/Core>

namespace emend {

namespace detail {

template <class Scalar>
struct eigen_storage {
  using type = Scalar;
};
template <>
struct eigen_storage<Eigen::bfloat16> {
  using type = bfloat16;
};
template <>
struct eigen_storage<Eigen::half> {
  using type = float16;
};

/// A Matrix, Array, Map, Ref or Block: an object with memory of its own or a view of some, not an expression.
template <class X>
concept eigen_dense = std::derived_from<X, Eigen::DenseBase<X>> && (X::Flags & Eigen::DirectAccessBit) != 0 &&
                      score_type<typename eigen_storage<typename X::Scalar>::type>;

}  // namespace detail

/// Scores held by Eigen: rows are tokens, columns the vocabulary; row or column major, any strides.
/// Gradients are the plain matrix or array of the same scalar and storage order. Scalars: float, double,
/// Eigen::bfloat16, Eigen::half. An expression is not accepted: evaluate it first, with .eval().
template <detail::eigen_dense X>
struct backend<X> {
  using storage = typename detail::eigen_storage<typename X::Scalar>::type;
  using plain = typename X::PlainObject;

  static plain like(const X& x) {
    plain result(x.rows(), x.cols());
    emend::detail::advise_huge_pages(result.data(), static_cast<std::size_t>(result.size()) * sizeof(*result.data()));
    return result;
  }

  template <class F>
  static void visit(const X& x, F&& f) {
    f(view<const storage>(x, reinterpret_cast<const storage*>(x.data())));
  }
  template <class F>
    requires((X::Flags & Eigen::LvalueBit) != 0)
  static void visit(X& x, F&& f) {
    f(view<storage>(x, reinterpret_cast<storage*>(x.data())));
  }

 private:
  template <class T>
  static score_view<T> view(const X& x, T* data) {
    const index inner = x.innerStride(), outer = x.outerStride();
    return {data, x.rows(), x.cols(), X::IsRowMajor ? outer : inner, X::IsRowMajor ? inner : outer};
  }
};

static_assert(host_scores<Eigen::MatrixXf> && host_scores<Eigen::Map<const Eigen::ArrayXXd>> &&
              host_scores<Eigen::Ref<const Eigen::MatrixXf>> && host_scores<Eigen::Block<Eigen::MatrixXf>>);

}  // namespace emend
