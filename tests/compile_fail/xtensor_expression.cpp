// message: this type is not known to hold scores
#include <emend/xtensor.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

void use(const xt::xtensor<float, 2>& scores, const std::vector<int>& targets) {
#ifdef REPAIRED
  emend::evaluate(emend::cross_entropy{}, xt::eval(scores + 1.0f), targets);
#else
  emend::evaluate(emend::cross_entropy{}, scores + 1.0f, targets);
#endif
}
