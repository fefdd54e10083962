#include <emend/xtensor.hpp>

#include "carriers.hpp"

namespace suite {

/// Fills the numbers of an xtensor and of a target, and hands both out.
template <class X>
struct xtensor_pair {
  using storage = typename backend<X>::storage;
  X x, out;
  xtensor_pair(X scores, X target, const table& t) : x(std::move(scores)), out(std::move(target)) {
    backend<X>::visit(x, [&](auto view) {
      if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(view.data)>>) write_table(t, view);
    });
  }
  const X& scores() const { return x; }
  X& target() { return out; }
  X& same() { return x; }
};

inline std::array<std::size_t, 2> extents(const table& t) {
  return {static_cast<std::size_t>(t.rows), static_cast<std::size_t>(t.vocab)};
}

template <class X>
struct holder<xtensor_owner<X>> : xtensor_pair<X> {
  static X make(const table& t) {
    X x;
    x.resize({static_cast<std::size_t>(t.rows), static_cast<std::size_t>(t.vocab)});
    x.fill(typename X::value_type(77.0f));
    return x;
  }
  explicit holder(const table& t) : xtensor_pair<X>(make(t), make(t), t) {}
};

/// A view of part of a larger xtensor, columns apart by 2.
struct xtensor_parent {
  xt::xtensor<double, 2> memory;
  explicit xtensor_parent(const table& t)
      : memory(xt::xtensor<double, 2>::from_shape({extents(t)[0] + 2, 2 * extents(t)[1] + 3})) {
    memory.fill(nan);
  }
  auto part(const table& t) {
    return xt::view(memory, xt::range(std::size_t{1}, 1 + extents(t)[0]),
                    xt::range(std::size_t{2}, 2 + 2 * extents(t)[1], std::size_t{2}));
  }
};
template <>
struct holder<xtensor_view> {
  using view = decltype(std::declval<xtensor_parent&>().part(std::declval<const table&>()));
  using storage = double;
  xtensor_parent parent, other;
  view x, out;
  explicit holder(const table& t) : parent(t), other(t), x(parent.part(t)), out(other.part(t)) {
    backend<view>::visit(x, [&](auto v) {
      if constexpr (!std::is_const_v<std::remove_pointer_t<decltype(v.data)>>) write_table(t, v);
    });
  }
  const view& scores() const { return x; }
  view& target() { return out; }
  view& same() { return x; }
};

/// Memory of somebody else.
template <>
struct holder<xtensor_adaptor> {
  using adaptor =
      decltype(xt::adapt(std::declval<float*&>(), std::size_t{}, xt::no_ownership(), std::array<std::size_t, 2>{}));
  using storage = float;
  std::vector<float> memory, other;
  float *begin, *other_begin;
  adaptor x, out;
  explicit holder(const table& t)
      : memory(t.values.size() + 1),
        other(memory),
        begin(memory.data()),
        other_begin(other.data()),
        x(xt::adapt(begin, t.values.size(), xt::no_ownership(), extents(t))),
        out(xt::adapt(other_begin, t.values.size(), xt::no_ownership(), extents(t))) {
    for (std::size_t i = 0; i < t.values.size(); ++i) memory[i] = static_cast<float>(t.values[i]);
  }
  const adaptor& scores() const { return x; }
  adaptor& target() { return out; }
  adaptor& same() { return x; }
};

EMEND_COMPILE_CARRIER(xtensor_owner<xt::xtensor<float, 2>>);
EMEND_COMPILE_CARRIER(xtensor_owner<column_major_xtensor>);
EMEND_COMPILE_CARRIER(xtensor_owner<xt::xarray<bfloat16>>);
EMEND_COMPILE_CARRIER(xtensor_view);
EMEND_COMPILE_CARRIER(xtensor_adaptor);

TEST_CASE("xtensor: [V], [N, V], [B, T, V] and slices of it, gradients of the same type") {
  xt::xtensor<float, 3> x = xt::xtensor<float, 3>::from_shape({2, 3, 5});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 7) / 3;
  const auto loss = [](const auto& t) { return -t.log_prob; };
  const std::vector<int> all{0, 1, 2, 3, 4, 0};
  const auto whole = evaluate(loss, x, all);
  static_assert(std::is_same_v<decltype(whole.gradient), xt::xtensor<float, 3>>);
  const auto compare = [&](const auto& got, std::size_t batch, std::size_t token, const auto& at) {
    for (std::size_t j = 0; j < 5; ++j) CHECK(at(got, j) == whole.gradient(batch, token, j));
  };
  const auto slice = xt::view(x, xt::all(), xt::range(0, 2), xt::all());
  const auto of_slice = evaluate(loss, slice, std::vector<int>{0, 1, 3, 4});
  static_assert(std::is_same_v<std::remove_const_t<decltype(of_slice.gradient)>, xt::xtensor<float, 3>>);
  compare(of_slice.gradient, 1, 1, [](const auto& g, std::size_t j) { return g(1, 1, j); });
  const auto strided = xt::strided_view(x, {1, xt::range(1, 3)});
  const auto of_strided = evaluate(loss, strided, std::vector<int>{4, 0});
  static_assert(std::is_same_v<std::remove_const_t<decltype(of_strided.gradient)>, xt::xarray<float>>);
  CHECK(of_strided.gradient.dimension() == 2);
  compare(of_strided.gradient, 1, 2, [](const auto& g, std::size_t j) { return g(1, j); });
  const xt::xtensor<float, 1> one = xt::view(x, 1, 0, xt::all());
  compare(evaluate(loss, one, std::vector<int>{3}).gradient, 1, 0, [](const auto& g, std::size_t j) { return g(j); });
  static_assert(!host_scores<decltype(x + 1.0f)>);
}

}  // namespace suite
