#include <emend/evaluation/scores.hpp>
#include <emend/core/matrix.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

static_assert(scores<matrix<float>> && scores<score_view<const double>> && scores<const matrix<bfloat16>&>);
static_assert(scores<linear_scores<matrix<float>, matrix<float>>>);
static_assert(!scores<int> && !scores<std::vector<float>> && !scores<linear_scores<int, int>>);
static_assert(gradient_target<matrix<float>, matrix<float>> && gradient_target<score_view<double>, matrix<double>>);
static_assert(!gradient_target<const matrix<float>, matrix<float>> && !gradient_target<int, matrix<float>>);

TEST_CASE("what scores are is told by concepts") { CHECK(scores<matrix<float16>>); }

}  // namespace
