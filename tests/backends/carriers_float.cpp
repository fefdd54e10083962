#include "carriers.hpp"

namespace {

struct users_matrix {
  emend::index n, v;
  std::vector<float> d;
};

}  // namespace

template <>
struct emend::backend<users_matrix> {
  static users_matrix like(const users_matrix& m) { return {m.n, m.v, std::vector<float>(m.d.size())}; }
  static void visit(const users_matrix& m, auto&& f) { f(score_view<const float>{m.d.data(), m.n, m.v, m.v, 1}); }
  static void visit(users_matrix& m, auto&& f) { f(score_view<float>{m.d.data(), m.n, m.v, m.v, 1}); }
};

namespace suite {

template <>
struct holder<users> {
  using storage = float;
  users_matrix x, out;
  explicit holder(const table& t) : x{t.rows, t.vocab, std::vector<float>(t.values.begin(), t.values.end())}, out(x) {}
  const users_matrix& scores() const { return x; }
  users_matrix& target() { return out; }
  users_matrix& same() { return x; }
};

EMEND_COMPILE_CARRIER(plain<float>);
EMEND_COMPILE_CARRIER(strided<float, order::transposed>);
EMEND_COMPILE_CARRIER(strided<float, order::reversed>);
EMEND_COMPILE_CARRIER(strided<float, order::spread>);
EMEND_COMPILE_CARRIER(strided<float, order::slice>);
EMEND_COMPILE_CARRIER(strided<float, order::padded>);
EMEND_COMPILE_CARRIER(users);

}  // namespace suite
