// message: integers are no scores
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <cstdint>
#include <vector>

namespace own {
#ifdef REPAIRED
using storage = emend::float16;
#else
using storage = std::uint16_t;  // the bits of halves, as some libraries hold them
#endif
struct block {
  emend::index n, v;
  std::vector<storage> memory;
};
}  // namespace own

template <>
struct emend::backend<own::block> {
  static own::block like(const own::block& b) { return {b.n, b.v, std::vector<own::storage>(b.memory.size())}; }
  static void visit(const own::block& b, auto&& f) {
    f(score_view<const own::storage>{b.memory.data(), b.n, b.v, b.v, 1});
  }
  static void visit(own::block& b, auto&& f) { f(score_view<own::storage>{b.memory.data(), b.n, b.v, b.v, 1}); }
};

void use(const own::block& scores, const std::vector<int>& targets) {
  emend::evaluate(emend::cross_entropy{}, scores, targets);
}
