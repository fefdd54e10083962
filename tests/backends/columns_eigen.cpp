// Eigen's rows, blocks, maps and references as columns, ids, layouts and outputs.
#include <emend/advantage/gae.hpp>
#include <emend/advantage/whitening.hpp>
#include <emend/eigen.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <Eigen/Core>
#include <doctest/doctest.h>

#include <vector>

#include "throws.hpp"

namespace {

using Eigen::Index;
using emend::column;
using emend::id_column;
using row_major = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<double> entries(const column& c) {
  std::vector<double> result(static_cast<std::size_t>(c.size()));
  c.read(0, c.size(), result.data());
  return result;
}
using numbers = std::vector<double>;

Eigen::MatrixXd six() {
  Eigen::MatrixXd a(2, 3);
  a << 1, 2, 3, 4, 5, 6;
  return a;
}

TEST_CASE("strides of Eigen's types are honoured") {
  Eigen::MatrixXd a = six();
  CHECK(entries(a.row(1)) == numbers{4, 5, 6});
  CHECK(entries(a.col(1)) == numbers{2, 5});
  CHECK(entries(a) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(entries(row_major(a)) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(entries(a.block(0, 1, 2, 2)) == numbers{2, 3, 5, 6});
  CHECK(entries(a.transpose()) == numbers{1, 4, 2, 5, 3, 6});
  CHECK(entries(a.diagonal()) == numbers{1, 5});
  CHECK(entries(Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<>>(a.data(), 3, Eigen::InnerStride<>(2))) ==
        numbers{1, 2, 3});
  CHECK(entries(Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<>>(a.data() + 5, 3, Eigen::InnerStride<>(-1))) ==
        numbers{6, 3, 5});
  CHECK(entries(Eigen::Ref<Eigen::RowVectorXd, 0, Eigen::InnerStride<>>(a.row(1))) == numbers{4, 5, 6});
  // A constant reference may own a copy, which ends with it.
  CHECK(entries(Eigen::Ref<const Eigen::RowVectorXd>(2 * a.row(1))) == numbers{8, 10, 12});
  CHECK(entries(Eigen::Vector3d(7, 8, 9)) == numbers{7, 8, 9});
  CHECK(entries(six()) == numbers{1, 2, 3, 4, 5, 6});
  const Eigen::ArrayXf array = Eigen::ArrayXf::LinSpaced(3, 0, 1);
  CHECK(entries(array) == numbers{0, 0.5, 1});
}

TEST_CASE("a row of ids gives the loss of its own ids") {
  Eigen::MatrixXi ids(2, 3);
  ids << 0, 1, 2, 2, 0, 1;
  Eigen::MatrixXf logits(3, 3);
  logits << 1, 2, 4, 0, 3, 1, -1, 0, 5;
  const auto by_row = emend::evaluate(emend::cross_entropy{}, logits, ids.row(1));
  const auto by_vector = emend::evaluate(emend::cross_entropy{}, logits, std::vector<int>{2, 0, 1});
  CHECK(by_row.value == by_vector.value);
  CHECK(by_row.gradient == by_vector.gradient);
  CHECK(id_column(ids.row(1))[2] == 1);
}

TEST_CASE("a column-major [B, T] matrix under a padded layout is not transposed") {
  Eigen::MatrixXd reward = six(), value = Eigen::MatrixXd::Constant(2, 3, 0.5);
  Eigen::MatrixXi mask(2, 3);
  mask << 1, 1, 0, 1, 1, 1;
  const emend::gae_options options{.gamma = 0.9, .lambda = 0.8};
  const row_major reward_by_row = reward, value_by_row = value;
  const std::vector<int> mask_by_row{1, 1, 0, 1, 1, 1};
  const auto expected = emend::gae(reward_by_row, value_by_row, emend::padded(2, 3, mask_by_row), options);
  const auto got = emend::gae(reward, value, emend::padded(2, 3, mask), options);
  CHECK(got.advantage == expected.advantage);
  CHECK(got.returns == expected.returns);
}

TEST_CASE("outputs with strides receive their own numbers, and no others") {
  const numbers reward{1, 2, 3}, value{0.5, 0.25, 0.125};
  const emend::gae_options options{.gamma = 0.9, .lambda = 0.8};
  const emend::padded layout(1, 3);
  const auto expected = emend::gae(reward, value, layout, options);
  Eigen::MatrixXd a = Eigen::MatrixXd::Constant(4, 3, -7);
  emend::gae_into(reward, value, layout, options, a.row(0), a.row(2));
  CHECK(entries(a.row(0)) == expected.advantage);
  CHECK(entries(a.row(2)) == expected.returns);
  CHECK(entries(a.row(1)) == numbers{-7, -7, -7});
  CHECK(entries(a.row(3)) == numbers{-7, -7, -7});
  Eigen::VectorXf narrow(3);
  Eigen::VectorXd wide(3);
  emend::gae_into(reward, value, layout, options, narrow, wide);
  CHECK(narrow[0] == static_cast<float>(expected.advantage[0]));
  CHECK(wide[2] == expected.returns[2]);
  const numbers white = emend::whiten(reward, layout);
  emend::whiten_into(reward, layout, {}, a.row(1));
  CHECK(entries(a.row(1)) == white);
  // In place, over strides.
  a.row(3) << 1, 2, 3;
  emend::whiten_into(a.row(3), layout, {}, a.row(3));
  CHECK(entries(a.row(3)) == white);
  CHECK_THROWS_NAMING(emend::gae_into(reward, value, layout, options, a.col(0), a.row(2)), "advantage");
  CHECK_THROWS_NAMING(emend::whiten_into(reward, layout, {}, a.col(0)), "out");
}

TEST_CASE("the loss of each token goes where the caller wants it") {
  Eigen::MatrixXf logits(3, 3);
  logits << 1, 2, 4, 0, 3, 1, -1, 0, 5;
  const std::vector<int> targets{2, 0, 1};
  numbers expected;
  emend::evaluate_value(emend::cross_entropy{}, logits, targets, {.per_token = &expected});
  Eigen::MatrixXf a = Eigen::MatrixXf::Constant(2, 3, -7);
  emend::evaluate_value(emend::cross_entropy{}, logits, targets, {.per_token = a.row(1)});
  std::vector<float> floats;
  emend::evaluate_value(emend::cross_entropy{}, logits, targets, {.per_token = &floats});
  for (Index i = 0; i < 3; ++i) {
    CHECK(a(1, i) == static_cast<float>(expected[static_cast<std::size_t>(i)]));
    CHECK(floats[static_cast<std::size_t>(i)] == a(1, i));
    CHECK(a(0, i) == -7);
  }
  Eigen::MatrixXf gradient = Eigen::MatrixXf::Constant(3, 3, -7);
  Eigen::VectorXd few(2);
  CHECK_THROWS_NAMING(emend::evaluate_into(emend::cross_entropy{}, logits, targets, {.per_token = few}, gradient),
                      "per_token");
  CHECK(gradient == Eigen::MatrixXf::Constant(3, 3, -7));
}

TEST_CASE("columns from temporaries live as long as the loss") {
  const Eigen::MatrixXf logits = Eigen::MatrixXf::Random(3, 4);
  const auto make = [] { return Eigen::VectorXd(Eigen::VectorXd::Constant(3, 2)); };
  const column weight = make(), mask = {1, 0, 1};
  const auto got = emend::evaluate(emend::cross_entropy{}, logits, {0, 1, 2}, {.mask = mask, .weight = weight});
  const std::vector<int> targets{0, 1, 2};
  const numbers twos{2, 2, 2}, flags{1, 0, 1};
  const auto expected = emend::evaluate(emend::cross_entropy{}, logits, targets, {.mask = flags, .weight = twos});
  CHECK(got.value == expected.value);
  CHECK(got.gradient == expected.gradient);
}

}  // namespace

TEST_CASE("a temporary reference that holds a copy of its own is taken over with its numbers") {
  const auto twice = [](const Eigen::VectorXd& v) -> Eigen::Ref<const Eigen::VectorXd> { return 2 * v; };
  const Eigen::VectorXd v = Eigen::VectorXd::LinSpaced(200, 0, 199);
  const column c(twice(v)), from_expression(Eigen::Ref<const Eigen::VectorXd>(3 * v));
  const Eigen::VectorXd other = Eigen::VectorXd::Constant(200, -7);  // where the temporary lay
  CHECK(c[3] == 6);
  CHECK(from_expression[199] == 597);
  CHECK(other[0] == -7);
  // Of what has a name a view is enough.
  const Eigen::Ref<const Eigen::VectorXd> named = v;
  CHECK(column(named)[3] == 3);
}

TEST_CASE("outputs: a stride of 0, a temporary matrix and one memory for two outputs are refused") {
  const numbers x{1, 2, 3};
  const emend::padded layout(1, 3);
  double a[3] = {};
  Eigen::Map<Eigen::VectorXd, 0, Eigen::InnerStride<>> same(a, 3, Eigen::InnerStride<>(0));
  CHECK_THROWS_NAMING(emend::whiten_into(x, layout, {}, same), "out");
  Eigen::VectorXd advantage(3), returns(3);
  CHECK_THROWS_NAMING(emend::gae_into(x, x, layout, {}, same, returns), "advantage");
  CHECK_THROWS_NAMING(emend::gae_into(x, x, layout, {}, advantage, advantage), "returns");
  CHECK_THROWS_NAMING(emend::output_column(Eigen::Vector2d()), "an output column");
  emend::gae_into(x, x, layout, {}, advantage, returns);
  const auto expected = emend::gae(x, x, layout);
  CHECK(advantage[0] == expected.advantage[0]);
}
