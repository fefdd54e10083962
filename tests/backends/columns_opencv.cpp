// OpenCV's matrices as columns and as scores.
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/opencv.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

namespace {

using emend::column;
using emend::id_column;

TEST_CASE("rows and blocks of OpenCV are columns, at their steps") {
  cv::Mat_<double> a(2, 3);
  a << 1, 2, 3, 4, 5, 6;
  const column row = a.row(1), of_column = a.col(1), all = a;
  CHECK(row.size() == 3);
  CHECK(row[2] == 6.0);
  CHECK(of_column.size() == 2);
  CHECK(of_column[1] == 5.0);
  CHECK(all.size() == 6);
  CHECK(all[3] == 4.0);
  // A handle that ends keeps its memory.
  const column kept = cv::Mat(a.clone().colRange(1, 3));
  CHECK(kept[0] == 2.0);
  CHECK(kept[3] == 6.0);
  const cv::Mat ids = (cv::Mat_<int>(1, 3) << 7, 8, 9);
  CHECK(id_column(ids)[1] == 8);
  CHECK(column(ids)[1] == 8.0);
  CHECK_THROWS_NAMING(id_column(cv::Mat(a)), "ids");
  CHECK_THROWS_NAMING(column(cv::Mat(2, 2, CV_32FC3)), "a column");
  CHECK_THROWS_NAMING(column(cv::Mat(2, 2, CV_16F)), "a column");
  CHECK(column(cv::Mat()).empty());
}

TEST_CASE("scores in OpenCV's matrices have the gradient of any other") {
  cv::Mat wide(2, 5, CV_32F);
  emend::matrix<float> expected(2, 3);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 5; ++j) {
      wide.at<float>(i, j) = static_cast<float>(i) - 0.7f * static_cast<float>(j);
      if (j >= 1 && j < 4) expected(i, j - 1) = wide.at<float>(i, j);
    }
  const cv::Mat x = wide.colRange(1, 4);
  const std::vector<int> targets{2, 0};
  const auto got = emend::evaluate(emend::cross_entropy{}, x, targets);
  const auto of_matrix = emend::evaluate(emend::cross_entropy{}, expected, targets);
  CHECK(got.value == of_matrix.value);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j) CHECK(got.gradient.at<float>(i, j) == of_matrix.gradient(i, j));
  CHECK_THROWS_NAMING(emend::evaluate(emend::cross_entropy{}, cv::Mat(2, 3, CV_32S), targets), "scores");
}

}  // namespace
