// message: this type is not known to hold scores.*specialise emend::backend<X>; see backends/README.md
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

namespace my {
struct matrix {
  emend::index n, v;
  std::vector<float> d = std::vector<float>(static_cast<std::size_t>(n * v));
};
}  // namespace my

#ifdef REPAIRED
template <>
struct emend::backend<my::matrix> {
  static my::matrix like(const my::matrix& m) { return {m.n, m.v}; }
  static void visit(const my::matrix& m, auto&& f) { f(score_view<const float>{m.d.data(), m.n, m.v, m.v, 1}); }
  static void visit(my::matrix& m, auto&& f) { f(score_view<float>{m.d.data(), m.n, m.v, m.v, 1}); }
};
#endif

void use(const my::matrix& scores, const std::vector<int>& targets) {
  emend::evaluate(emend::cross_entropy{}, scores, targets);
}
