// message: a column is a view of numbers that lie in memory.*instead of std::vector<bool> use
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <cstdint>
#include <vector>

#ifdef REPAIRED
using flag = std::uint8_t;
#else
using flag = bool;
#endif

void use(const emend::matrix<float>& scores, const std::vector<int>& targets, const std::vector<flag>& mask) {
  emend::evaluate_value(emend::cross_entropy{}, scores, targets, {.mask = mask});
}
