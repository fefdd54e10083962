// message: a column is a view of numbers that lie in memory.*evaluate an expression first
#include <emend/advantage/whitening.hpp>
#include <emend/xtensor.hpp>

auto use(const xt::xtensor<double, 1>& a, const xt::xtensor<double, 1>& b) {
#ifdef REPAIRED
  return emend::whiten(xt::xtensor<double, 1>(a - b), emend::padded(1, 3));
#else
  return emend::whiten(a - b, emend::padded(1, 3));
#endif
}
