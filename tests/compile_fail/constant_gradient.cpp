// message: must give a mutable score_view<T>; add an overload of visit
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <vector>

namespace own {
struct block {
  emend::index n, v;
  std::vector<float> memory;
};
}  // namespace own

template <>
struct emend::backend<own::block> {
  static own::block like(const own::block& b) { return {b.n, b.v, std::vector<float>(b.memory.size())}; }
  static void visit(const own::block& b, auto&& f) { f(score_view<const float>{b.memory.data(), b.n, b.v, b.v, 1}); }
#ifdef REPAIRED
  static void visit(own::block& b, auto&& f) { f(score_view<float>{b.memory.data(), b.n, b.v, b.v, 1}); }
#endif
};

void use(const own::block& scores, const std::vector<int>& targets) {
  emend::evaluate(emend::cross_entropy{}, scores, targets);
}
