// Scores where they already are in Eigen: row or column major, a Map over foreign memory, a Block of a larger matrix.
// Nothing is copied, and the gradient comes back as a matrix of the same scalar and storage order.

#include <cstdio>
#include <type_traits>
#include <vector>

#include <common/no_options.hpp>
#include <emend/eigen.hpp>
#include <emend/emend.hpp>

namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
const std::vector<int> targets{1, 4, 0};

template <class X>
void show(const char* name, const X& scores) {
  const auto result = emend::evaluate(emend::cross_entropy{}, scores, targets, {.normaliser = 3});
  using gradient = std::remove_cvref_t<decltype(result.gradient)>;
  std::printf("%-34s loss %.6f   |gradient| %.6f   gradient: %s major, %s\n", name, result.value,
              static_cast<double>(result.gradient.norm()), gradient::IsRowMajor ? "row" : "column",
              std::is_same_v<typename gradient::Scalar, double> ? "double" : "float");
}

}  // namespace

int main(int count, char** arguments) {
  if (const auto status = common::answer_arguments(
          count, arguments, "eigen_scores: cross-entropy over Eigen's matrices, maps and blocks without a copy"))
    return *status;
  const row_major scores = row_major::NullaryExpr(
      3, 5, [](Eigen::Index i, Eigen::Index j) { return static_cast<float>((7 * i + 3 * j) % 5) - 1.5F; });
  const Eigen::MatrixXf column_major = scores;
  const Eigen::MatrixXd doubles = scores.cast<double>();

  show("row major, float", scores);
  show("column major, float", column_major);
  show("column major, double", doubles);

  std::vector<float> memory(scores.data(), scores.data() + scores.size());
  show("Map over a std::vector", Eigen::Map<const row_major>(memory.data(), 3, 5));

  // The scores of positions 2 to 4 of a longer sequence, with a padded vocabulary.
  row_major batch = row_major::Zero(8, 16);
  batch.block(2, 0, 3, 5) = scores;
  show("Block of a larger matrix", batch.block(2, 0, 3, 5));

  // No allocation: into memory that there is already, here into a block of a batch's gradient.
  row_major d_batch = row_major::Zero(8, 16);
  auto d_block = d_batch.block(2, 0, 3, 5);
  const double value =
      emend::evaluate_into(emend::cross_entropy{}, batch.block(2, 0, 3, 5), targets, {.normaliser = 3}, d_block);
  std::printf("%-34s loss %.6f   |gradient| %.6f   the rest of the batch is untouched\n", "evaluate_into a Block",
              value, static_cast<double>(d_batch.norm()));

  // Every loss needs the same few statistics; one pass gives them alone.
  const emend::statistics_columns columns = emend::statistics(column_major, targets, {.with_arg_max = true});
  std::puts("\ntoken  target  log_prob   entropy  arg_max");
  for (std::size_t i = 0; i < targets.size(); ++i)
    std::printf("%5zu  %6d  %8.4f  %8.4f  %7td\n", i, targets[i], columns.log_prob[i], columns.entropy[i],
                columns.arg_max[i]);
}
