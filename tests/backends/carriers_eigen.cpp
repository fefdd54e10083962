#include <emend/eigen.hpp>

#include "carriers.hpp"

namespace suite {

template <class X>
using storage_of = typename emend::detail::eigen_storage<typename X::Scalar>::type;

template <class X>
void fill(X&& x, const table& t) {
  backend<std::remove_cvref_t<X>>::visit(x, [&](auto view) {
    if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(view.data)>>) write_table(t, view);
  });
}

template <class X>
struct holder<eigen_owner<X>> {
  using storage = storage_of<X>;
  X x, out;
  explicit holder(const table& t) : x(t.rows, t.vocab), out(t.rows, t.vocab) {
    fill(x, t);
    out.setConstant(typename X::Scalar(77.0f));
  }
  const X& scores() const { return x; }
  X& target() { return out; }
  X& same() { return x; }
};

template <class Scalar>
struct holder<eigen_map<Scalar>> {
  using dense = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using storage = storage_of<dense>;
  using strides = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  using map = Eigen::Map<dense, 0, strides>;
  std::vector<Scalar> memory, other;
  map x, out;
  explicit holder(const table& t)
      : memory(static_cast<std::size_t>((2 * t.rows + 3) * t.vocab + 1)),
        other(memory),
        x(memory.data(), t.rows, t.vocab, strides(2 * t.rows + 3, 2)),
        out(other.data(), t.rows, t.vocab, strides(2 * t.rows + 3, 2)) {
    fill(x, t);
    out.setConstant(Scalar(77));
  }
  const map& scores() const { return x; }
  map& target() { return out; }
  map& same() { return x; }
};

template <class Scalar>
struct holder<eigen_block<Scalar>> {
  using dense = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  using storage = storage_of<dense>;
  using block = Eigen::Block<dense>;
  dense parent, other;
  block x, out;
  explicit holder(const table& t)
      : parent(dense::Constant(t.rows + 2, t.vocab + 3, Scalar(nan))),
        other(parent),
        x(parent, 1, 2, t.rows, t.vocab),
        out(other, 1, 2, t.rows, t.vocab) {
    fill(x, t);
  }
  const block& scores() const { return x; }
  block& target() { return out; }
  block& same() { return x; }
};

EMEND_COMPILE_CARRIER(eigen_owner<Eigen::MatrixXf>);
EMEND_COMPILE_CARRIER(eigen_owner<row_major_xf>);
EMEND_COMPILE_CARRIER(eigen_owner<Eigen::ArrayXXd>);
EMEND_COMPILE_CARRIER(eigen_owner<row_major_half>);
EMEND_COMPILE_CARRIER(eigen_owner<column_major_bfloat16>);
EMEND_COMPILE_CARRIER(eigen_map<float>);
EMEND_COMPILE_CARRIER(eigen_block<double>);

}  // namespace suite
