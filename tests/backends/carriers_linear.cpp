#include "carriers.hpp"

#include <emend/heads/linear.hpp>

namespace suite {

template <class T>
using linear_parts = linear_gradient<matrix<T>, matrix<T>>;

template <class T>
struct holder<linear<T>> {
  using storage = T;
  static constexpr bool is_product = true;
  matrix<T> hidden, identity;
  linear_scores<matrix<T>, matrix<T>> x{hidden, identity};
  linear_parts<T> out;
  explicit holder(const table& t)
      : hidden(t.rows, t.vocab),
        identity(t.vocab, t.vocab),
        out{matrix<T>(t.rows, t.vocab), matrix<T>(t.vocab, t.vocab)} {
    write_table(t, score_view<T>{hidden.data(), t.rows, t.vocab, t.vocab, 1});
    for (index j = 0; j < t.vocab; ++j) identity(j, j) = 1;
  }
  const linear_scores<matrix<T>, matrix<T>>& scores() const { return x; }
  linear_parts<T>& target() { return out; }
  static std::vector<double> read(const linear_parts<T>& g) { return values_of(g.d_hidden); }
};

EMEND_COMPILE_CARRIER(linear<float>);
EMEND_COMPILE_CARRIER(linear<double>);

}  // namespace suite
