// xtensor's arrays and views as columns and ids, at their strides and offsets.
#include <emend/advantage/gae.hpp>
#include <emend/xtensor.hpp>

#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using emend::column;
using emend::id_column;
using numbers = std::vector<double>;

numbers entries(const column& c) {
  numbers result(static_cast<std::size_t>(c.size()));
  c.read(0, c.size(), result.data());
  return result;
}

TEST_CASE("views of xtensor begin at their offset and keep their strides") {
  xt::xtensor<double, 2> a{{1, 2, 3}, {4, 5, 6}};
  CHECK(entries(a) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(entries(xt::view(a, 1, xt::all())) == numbers{4, 5, 6});
  CHECK(entries(xt::view(a, xt::all(), 1)) == numbers{2, 5});
  CHECK(entries(xt::view(a, xt::all(), xt::range(0, 3, 2))) == numbers{1, 3, 4, 6});
  CHECK(entries(xt::strided_view(a, {1, xt::range(1, 3)})) == numbers{5, 6});
  CHECK(entries(xt::strided_view(a, {0, xt::range(xt::placeholders::_, xt::placeholders::_, -1)})) == numbers{3, 2, 1});
  const xt::xtensor<float, 2, xt::layout_type::column_major> by_column = a;
  CHECK(entries(by_column) == numbers{1, 2, 3, 4, 5, 6});
  const xt::xarray<int> ids{{7, 8}, {9, 10}};
  CHECK(id_column(xt::view(ids, 1, xt::all()))[0] == 9);
  xt::xarray<double> three = xt::reshape_view(xt::arange<double>(24), {2, 3, 4});
  CHECK(entries(xt::view(three, 1, xt::all(), 2)) == numbers{14, 18, 22});
  CHECK(entries(xt::view(three, xt::all(), 1, xt::all())) == numbers{4, 5, 6, 7, 16, 17, 18, 19});
  CHECK_THROWS_NAMING(column(xt::view(three, xt::all(), xt::range(0, 3, 2), xt::range(0, 4, 2))), "a column");
}

TEST_CASE("a container that a function returned is taken over") {
  const auto make = [] { return xt::xtensor<double, 1>{1, 2, 3}; };
  const column kept = make();
  CHECK(entries(kept) == numbers{1, 2, 3});
  const column of_eval = xt::eval(make() * 2);
  CHECK(entries(of_eval) == numbers{2, 4, 6});
}

TEST_CASE("outputs with strides receive their own numbers") {
  const numbers reward{1, 2, 3}, value{0.5, 0.25, 0.125};
  const emend::padded layout(1, 3);
  const auto expected = emend::gae(reward, value, layout);
  xt::xtensor<double, 2> out = xt::ones<double>({3, 2});
  auto advantage = xt::view(out, xt::all(), 0);
  xt::xtensor<float, 1> returns = xt::zeros<float>({3});
  emend::gae_into(reward, value, layout, {}, advantage, returns);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(out(i, 0) == expected.advantage[i]);
    CHECK(out(i, 1) == 1);
    CHECK(returns(i) == static_cast<float>(expected.returns[i]));
  }
}

}  // namespace
