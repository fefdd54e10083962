// message: a column is a view of numbers that lie in memory.*evaluate an expression first
#include <emend/advantage/whitening.hpp>
#include <emend/eigen.hpp>

auto use(const Eigen::VectorXd& a, const Eigen::VectorXd& b) {
#ifdef REPAIRED
  return emend::whiten((a - b).eval(), emend::padded(1, 3));
#else
  return emend::whiten(a - b, emend::padded(1, 3));
#endif
}
