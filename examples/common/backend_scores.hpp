#pragma once

// The scores of a small example, in the type of one backend: a source is compiled once for each that was found, with
// EMEND_EXAMPLE_OVER_EIGEN,
// .._XTENSOR or .._LIBTORCH, and without any of them for the library's own matrix.
#if defined(EMEND_EXAMPLE_OVER_EIGEN)
#include <emend/eigen.hpp>
#elif defined(EMEND_EXAMPLE_OVER_XTENSOR)
#include <xtensor/xtensor.hpp>

#include <emend/xtensor.hpp>
#elif defined(EMEND_EXAMPLE_OVER_LIBTORCH)
#include <ATen/ops/empty.h>

#include <emend/libtorch.hpp>
#endif
#include <emend/core/matrix.hpp>

namespace common {

#if defined(EMEND_EXAMPLE_OVER_EIGEN)
using backend_scores = Eigen::MatrixXd;
inline constexpr const char* backend_scores_name = "Eigen::MatrixXd";
inline backend_scores make_scores(emend::index tokens, emend::index vocab) { return {tokens, vocab}; }
#elif defined(EMEND_EXAMPLE_OVER_XTENSOR)
using backend_scores = xt::xtensor<double, 2>;
inline constexpr const char* backend_scores_name = "xt::xtensor<double, 2>";
inline backend_scores make_scores(emend::index tokens, emend::index vocab) {
  return backend_scores::from_shape({static_cast<std::size_t>(tokens), static_cast<std::size_t>(vocab)});
}
#elif defined(EMEND_EXAMPLE_OVER_LIBTORCH)
using backend_scores = at::Tensor;
inline constexpr const char* backend_scores_name = "at::Tensor of double";
inline backend_scores make_scores(emend::index tokens, emend::index vocab) {
  return at::empty({tokens, vocab}, at::kDouble);
}
#else
using backend_scores = emend::matrix<double>;
inline constexpr const char* backend_scores_name = "emend::matrix<double>";
inline backend_scores make_scores(emend::index tokens, emend::index vocab) { return {tokens, vocab}; }
#endif

#if defined(EMEND_EXAMPLE_OVER_LIBTORCH)
inline backend_scores copy_of(const backend_scores& x) { return x.clone(); }  // copies of a tensor share its memory
inline double& score_at(const backend_scores& x, emend::index i, emend::index j) {
  return x.data_ptr<double>()[i * x.stride(0) + j * x.stride(1)];
}
#else
inline backend_scores copy_of(const backend_scores& x) { return x; }
template <class X>
auto& score_at(X& x, emend::index i, emend::index j) {
  return x(i, j);
}
#endif

}  // namespace common
