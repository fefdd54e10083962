#pragma once

#include <emend/core/backend.hpp>
#include <emend/core/column.hpp>

#include <opencv2/core.hpp>

namespace emend {

namespace detail {

/// f(T*) with the first element and its type as emend knows it. Throws std::invalid_argument naming `argument` on more
/// than two dimensions, on several channels, or where `f` is not for this depth.
template <class F>
void visit_opencv(const char* argument, const cv::Mat& x, bool takes_integers, F&& f) {
  if (x.dims > 2) fail(argument, "a matrix of at most 2 dimensions", std::to_string(x.dims));
  if (!x.empty() && x.channels() != 1) fail(argument, "a matrix of 1 channel", std::to_string(x.channels()));
  const auto call = [&]<class T>(T*) { f(reinterpret_cast<T*>(x.data)); };
  switch (x.depth()) {
    case CV_32F:
      return call(static_cast<float*>(nullptr));
    case CV_64F:
      return call(static_cast<double*>(nullptr));
    case CV_8U:
      if (takes_integers) return call(static_cast<std::uint8_t*>(nullptr));
      break;
    case CV_8S:
      if (takes_integers) return call(static_cast<std::int8_t*>(nullptr));
      break;
    case CV_16U:
      if (takes_integers) return call(static_cast<std::uint16_t*>(nullptr));
      break;
    case CV_16S:
      if (takes_integers) return call(static_cast<std::int16_t*>(nullptr));
      break;
    case CV_32S:
      if (takes_integers) return call(static_cast<std::int32_t*>(nullptr));
      break;
    case CV_16F:
      if (!takes_integers) return call(static_cast<float16*>(nullptr));
      break;
    default:
      break;
  }
  fail(argument, takes_integers ? "a matrix of numbers other than half precision" : "CV_32F, CV_64F or CV_16F",
       "OpenCV's depth " + std::to_string(x.depth()));
}

}  // namespace detail

/// OpenCV's matrices, of one channel and at most two dimensions, rows at any step.
/// Scores: rows are tokens, columns the vocabulary; CV_32F, CV_64F or CV_16F. A gradient is a new cv::Mat.
/// Columns: every depth but CV_16F, read row by row; a cv::Mat that is about to end is taken over, which keeps its
/// memory alive. Throws std::invalid_argument on another depth, several channels, or more dimensions.
template <std::derived_from<cv::Mat> X>
struct backend<X> {
  static cv::Mat like(const X& x) { return cv::Mat(x.rows, x.cols, x.type()); }

  template <class F>
  static void visit(const X& x, F&& f) {
    detail::visit_opencv("scores", x, false, [&]<class T>(T* data) {
      if constexpr (score_type<T>) f(score_view<const T>{data, x.rows, x.cols, row_stride<T>(x), 1});
    });
  }
  template <class F>
  static void visit(X& x, F&& f) {
    detail::visit_opencv("gradient", x, false, [&]<class T>(T* data) {
      if constexpr (score_type<T>) f(score_view<T>{data, x.rows, x.cols, row_stride<T>(x), 1});
    });
  }
  /// f(strided_numbers<const T>) of the entries, row by row.
  template <class F>
  static void visit_numbers(const X& x, F&& f) {
    detail::visit_opencv("a column", x, true, [&]<class T>(T* data) {
      if constexpr (std::is_arithmetic_v<T>)
        f(strided_numbers<const T>(data, x.rows, x.cols, row_stride<T>(x), index{1}));
    });
  }

 private:
  template <class T>
  static index row_stride(const X& x) {
    return x.dims < 1 ? 0 : static_cast<index>(x.step[0] / sizeof(T));
  }
};

static_assert(host_scores<cv::Mat> && host_scores<cv::Mat_<float>>);

}  // namespace emend
