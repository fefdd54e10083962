// message: a divergence needs two blocks of scores in memory.*specialise emend::backend<X>; see backends/README.md
#include <emend/core/matrix.hpp>
#include <emend/distillation/divergence.hpp>

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

void use(const emend::matrix<float>& student, const my::matrix& teacher) {
  emend::divergence(emend::divergence_kind::reverse_kl, student, teacher);
}
