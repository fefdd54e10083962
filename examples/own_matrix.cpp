// A type of your own in five lines: once emend::backend knows how to view its memory, every call takes it, and
// gradients come back in the same type.

#include <cstdio>
#include <vector>

#include <common/no_options.hpp>
#include <emend/emend.hpp>

namespace my {

struct matrix {
  emend::index rows, columns;
  std::vector<float> values = std::vector<float>(static_cast<std::size_t>(rows * columns));
};

}  // namespace my

template <>
struct emend::backend<my::matrix> {
  static my::matrix like(const my::matrix& m) { return {m.rows, m.columns}; }
  static void visit(const my::matrix& m, auto&& f) {
    f(score_view<const float>{m.values.data(), m.rows, m.columns, m.columns, 1});
  }
  static void visit(my::matrix& m, auto&& f) { f(score_view<float>{m.values.data(), m.rows, m.columns, m.columns, 1}); }
};
static_assert(emend::host_scores<my::matrix>);

int main(int count, char** arguments) {
  if (const auto status = common::answer_arguments(
          count, arguments, "own_matrix: cross-entropy and its gradient over a matrix type of the user's own"))
    return *status;
  // Scores of three tokens over a vocabulary of four.
  const my::matrix scores{3, 4, {2, 1, 0, -1, 0, 3, 0, 0, 1, 1, 1, 1}};
  const std::vector<int> targets{0, 1, 3};

  const auto result = emend::evaluate(emend::cross_entropy{}, scores, targets, {.normaliser = 3});

  std::printf("cross-entropy of %td tokens: %.6f nats a token\n\n", result.evaluated, result.value);
  std::puts("gradient, a my::matrix: (softmax - one at the target) / 3");
  for (emend::index i = 0; i < result.gradient.rows; ++i) {
    for (emend::index j = 0; j < result.gradient.columns; ++j)
      std::printf(" %9.6f", static_cast<double>(result.gradient.values[static_cast<std::size_t>(i * 4 + j)]));
    std::printf("   target %d\n", targets[static_cast<std::size_t>(i)]);
  }
}
