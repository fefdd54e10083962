// Columns, layouts and algorithms over tensors against the same over vectors; the executor on torch's threads.
#include <emend/libtorch/algorithms.hpp>
#include <emend/sequence_match/packing.hpp>

#include "exact_statistics.hpp"
#include "throws.hpp"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>

#include <atomic>
#include <cmath>
#include <vector>

namespace {

using emend::column;
using emend::id_column;
using emend::index;
using emend::tensor_column;

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }

std::vector<double> numbers(const column& x) {
  std::vector<double> result;
  for (index i = 0; i < x.size(); ++i) result.push_back(x[i]);
  return result;
}
std::vector<double> numbers(const at::Tensor& x) {
  const tensor_column of_tensor(x);
  return numbers(static_cast<const column&>(of_tensor));
}

TEST_CASE("tensor_column: every dtype, any strides, row-major order") {
  const at::Tensor values = at::arange(6, of(at::kDouble)).view({2, 3});
  for (const at::ScalarType type :
       {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong}) {
    CAPTURE(c10::toString(type));
    CHECK(numbers(values.to(type)) == std::vector<double>{0, 1, 2, 3, 4, 5});
    CHECK(numbers(values.to(type).t()) == std::vector<double>{0, 3, 1, 4, 2, 5});
    CHECK(numbers(values.to(type).select(1, 1)) == std::vector<double>{1, 4});
    CHECK(numbers(values.to(type).select(1, 2).unsqueeze(1).expand({2, 2})) == std::vector<double>{2, 2, 5, 5});
  }
  CHECK(numbers(values > 2) == std::vector<double>{0, 0, 0, 1, 1, 1});
  CHECK(numbers(at::Tensor()).empty());
  CHECK(numbers(at::randn({0, 3})).empty());
  CHECK(numbers(at::scalar_tensor(4)) == std::vector<double>{4});
  const tensor_column view(values);
  values[0][1] = 9;
  CHECK(static_cast<const column&>(view)[1] == 9);  // no copy was made
  CHECK_THROWS_NAMING(tensor_column(at::randn({2}, of(at::kComplexFloat)), "advantage"), "advantage");
  CHECK_THROWS_NAMING(tensor_column(at::tensor({1.0, 0.0}).to_sparse(), "advantage"), "advantage");
}

TEST_CASE("tensor_column: ids are integers; vectors and columns are columns, too") {
  const tensor_column ids(at::tensor({3, 1}).to(at::kInt), "targets");
  CHECK(static_cast<const id_column&>(ids)[0] == 3);
  const tensor_column floats(at::tensor({3.0, 1.0}), "targets"), flags(at::tensor({3, 1}) > 2, "targets");
  CHECK_THROWS_NAMING(static_cast<const id_column&>(floats), "targets");
  CHECK_THROWS_NAMING(static_cast<const id_column&>(flags), "targets");
  const std::vector<int> vector{4, 5};
  const tensor_column of_vector = vector;
  CHECK(static_cast<const id_column&>(of_vector)[1] == 5);
  CHECK(static_cast<const column&>(of_vector)[1] == 5);
  CHECK(static_cast<const id_column&>(tensor_column()).empty());
}

std::vector<int> made_ids() { return {4, 5, 6}; }
at::Tensor made_tensor(at::ScalarType type) { return at::arange(1, 5, of(at::kDouble)).to(type); }

TEST_CASE("tensor_column: temporaries are taken over, what has a name is viewed") {
  const tensor_column of_temporary = made_ids(), of_list = {1, 0, 2}, of_numbers = {0.5, 1.5}, of_one = {7};
  CHECK(numbers(static_cast<const column&>(of_temporary)) == std::vector<double>{4, 5, 6});
  CHECK(static_cast<const id_column&>(of_temporary)[2] == 6);
  CHECK(numbers(static_cast<const column&>(of_list)) == std::vector<double>{1, 0, 2});
  CHECK(static_cast<const id_column&>(of_list)[2] == 2);
  CHECK(numbers(static_cast<const column&>(of_numbers)) == std::vector<double>{0.5, 1.5});
  CHECK_THROWS_NAMING(static_cast<const id_column&>(of_numbers), "a column");
  CHECK(static_cast<const id_column&>(of_one)[0] == 7);

  std::vector<float> floats{1, 2};
  std::vector<long> longs{1, 2};
  const tensor_column of_floats = floats, of_longs = longs;
  floats[1] = 9;
  longs[1] = 9;
  CHECK(static_cast<const column&>(of_floats)[1] == 9);
  CHECK(static_cast<const column&>(of_longs)[1] == 9);
  CHECK(static_cast<const id_column&>(of_longs)[1] == 9);

  const int plain[] = {3, 1};
  const tensor_column of_array = plain, of_column = column(plain), of_ids = id_column(plain);
  CHECK(static_cast<const id_column&>(of_array)[0] == 3);
  CHECK(static_cast<const column&>(of_column)[0] == 3);
  CHECK_THROWS_NAMING(static_cast<const id_column&>(of_column), "a column");
  CHECK(static_cast<const id_column&>(of_ids)[0] == 3);
  CHECK(numbers(static_cast<const column&>(of_ids)) == std::vector<double>{3, 1});
}

TEST_CASE("tensor_column: strides of a range, and which ranges are ids") {
  const int entries[] = {1, 2, 3, 4, 5, 6};
  const emend::strided_numbers<const int> every_second(entries + 1, 3, 2);
  struct row {
    emend::strided_numbers<const int> numbers;
    const int* data() const { return numbers.data; }
    index rows() const { return 1; }
    index cols() const { return numbers.size; }
    index rowStride() const { return 0; }
    index colStride() const { return numbers.stride; }
  };
  const row view{every_second};
  const tensor_column of_row = view;
  CHECK(numbers(static_cast<const column&>(of_row)) == std::vector<double>{2, 4, 6});
  CHECK(static_cast<const id_column&>(of_row)[1] == 4);
}

TEST_CASE("tensor_column: a column made from it keeps the tensor") {
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kLong, at::kBool}) {
    CAPTURE(c10::toString(type));
    const column kept = tensor_column(made_tensor(type));
    const bool is_flag = type == at::kBool;
    CHECK(numbers(kept) == (is_flag ? std::vector<double>{1, 1, 1, 1} : std::vector<double>{1, 2, 3, 4}));
  }
  const id_column ids = tensor_column(made_tensor(at::kInt).slice(0, 1, 4, 2));
  CHECK(ids[1] == 4);
  const at::Tensor block = at::arange(24, of(at::kDouble)).view({2, 3, 4});
  CHECK(numbers(block.slice(1, 0, 2)) == std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16, 17, 18, 19});
  CHECK(numbers(block.select(2, 1)) == std::vector<double>{1, 5, 9, 13, 17, 21});
}

TEST_CASE("tensor_column: a tensor that requires grad is refused unless it is meant as a constant") {
  const at::Tensor given = at::randn({3}).requires_grad_(), ids = at::randint(3, {3});
  CHECK_THROWS_NAMING(tensor_column(given, "advantage"), "advantage");
  CHECK_THROWS_NAMING(tensor_column(given * 2, "advantage"), "advantage");
  CHECK_THROWS_NAMING(emend::whiten(given, {}), "values");
  CHECK_THROWS_NAMING(emend::kl_estimate(emend::kl_kind::k3, given), "log_ratio");
  CHECK_THROWS_NAMING(emend::gae(given.detach(), given, {}), "value");
  CHECK_THROWS_NAMING(emend::detail::gae_by_operations(given.detach(), given, {}, {}), "value");
  CHECK_THROWS_NAMING(emend::detail::kl_by_operations(emend::kl_kind::k3, given, {}), "log_ratio");
  CHECK_THROWS_NAMING(emend::detail::whiten_by_operations(given, {}, {}), "values");
  CHECK_THROWS_NAMING(emend::detail::token_rewards_by_operations(given.detach(), given, given, {}, {}), "old_log_prob");
  CHECK_THROWS_NAMING(emend::detail::group_relative_by_operations(given, {}, {}), "reward");
  CHECK(numbers(given.detach()) == numbers((given * 1).detach()));
  const at::NoGradGuard no_graph;
  CHECK(static_cast<const column&>(tensor_column(given, "advantage"))[0] == given[0].item().toDouble());
}

TEST_CASE("algorithms over tensors: a transposed argument is refused, not read in another order") {
  const at::Tensor reward = at::randn({2, 3}), other = at::randn({3, 2}), x = at::randn({2, 3, 5}),
                   ids = at::randint(5, {3, 2});
  CHECK_THROWS_NAMING(emend::gae(reward, other, {}), "value");
  CHECK_THROWS_NAMING(emend::token_rewards(reward, other, reward, {}), "old_log_prob");
  CHECK_THROWS_NAMING(emend::token_rewards(reward, reward, other, {}), "reference_log_prob");
  CHECK_THROWS_NAMING(emend::statistics(x, ids), "targets");
  CHECK_THROWS_NAMING(emend::extract_rewards(x, ids, {}), "response");
  CHECK(numbers(emend::gae(reward, other.reshape({6}), {}).returns).size() == 6);
}

TEST_CASE("per_sequence: one number a sequence at each of its tokens") {
  const at::Tensor ids = at::randint(5, {2, 3}), values = at::tensor({1.0, -2.0});
  const std::vector<double> expected{1, 1, 1, -2, -2, -2};
  CHECK(numbers(emend::per_sequence(values, ids)) == expected);
  CHECK(numbers(emend::per_sequence(values.view({2, 1}), ids)) == expected);
  CHECK(numbers(emend::per_sequence(values, ids.narrow(1, 0, 2))) == std::vector<double>{1, 1, -2, -2});
  CHECK(emend::per_sequence(at::arange(6).view({2, 3}), ids).equal(at::arange(6).view({2, 3})));
  CHECK(!emend::per_sequence({}, ids).defined());
  const at::Tensor deep = at::randint(5, {2, 2, 3});
  CHECK(numbers(emend::per_sequence(at::arange(4), deep)) == std::vector<double>{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3});
  CHECK(numbers(emend::per_sequence(at::arange(4).view({2, 2}), deep))[5] == 1);
  CHECK_THROWS_NAMING(emend::per_sequence(at::tensor({1.0, 2.0, 3.0}), ids), "a number per sequence");
  CHECK_THROWS_NAMING(emend::per_sequence(values.view({1, 2}), ids), "a number per sequence");
  CHECK_THROWS_NAMING(emend::per_sequence(values, at::scalar_tensor(1)), "like");
}

TEST_CASE("as_tensor: dtype and shape by what it stands beside") {
  const at::Tensor like = at::randn({2, 3}, of(at::kBFloat16));
  const at::Tensor per_token = emend::as_tensor(std::vector<double>(6, 0.1), like);
  CHECK(per_token.sizes() == like.sizes());
  CHECK((per_token.scalar_type() == at::kFloat));
  CHECK((emend::as_tensor(std::vector<double>{1, 2}, like.to(at::kDouble)).scalar_type() == at::kDouble));
  CHECK((emend::as_tensor(std::vector<index>{1, 2}, like).scalar_type() == at::kLong));
  CHECK((emend::as_tensor(std::vector<char>{1, 0}, like).scalar_type() == at::kBool));
  CHECK(emend::as_tensor(std::vector<double>{1, 2}, like).sizes() == at::IntArrayRef({2}));
  CHECK(emend::as_tensor(std::vector<double>{1, 2, 3, 4}, like).sizes() == at::IntArrayRef({4}));
  CHECK(emend::as_tensor(std::vector<double>{}, at::randn({0, 3})).sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("tensor_layout: sequences of the last dimension; masks of another shape are refused") {
  const at::Tensor values = at::randn({2, 2, 3}), mask = at::randint(2, {2, 2, 3});
  const emend::tensor_layout layout(values, mask);
  CHECK(layout.sequences() == 4);
  CHECK(layout.tokens() == 12);
  CHECK(numbers(layout.mask()) == numbers(mask));
  CHECK_THROWS_NAMING(emend::tensor_layout(values, mask.view({4, 3})), "mask");
  CHECK_THROWS_NAMING(emend::tensor_layout(at::scalar_tensor(1)), "values");
}

TEST_CASE("algorithms from tensors to tensors are those over columns") {
  at::manual_seed(1);
  const at::Tensor reward = at::randn({2, 4}, of(at::kDouble)), value = at::randn({4, 2}, of(at::kFloat)).t(),
                   mask = at::tensor({1, 1, 1, 0, 0, 1, 1, 1}).view({2, 4}).to(at::kBool);
  const std::vector<double> rewards = numbers(reward), values = numbers(value), masks = numbers(mask);
  const emend::padded layout(2, 4, masks);

  const auto [advantage, returns] = emend::gae(reward, value, mask, {.gamma = 0.9});
  const emend::advantages expected = emend::gae(rewards, values, layout, {.gamma = 0.9});
  CHECK(numbers(advantage) == expected.advantage);
  CHECK(numbers(returns) == expected.returns);
  CHECK(advantage.sizes() == reward.sizes());
  CHECK(numbers(emend::whiten(reward, mask)) == emend::whiten(rewards, layout));
  CHECK(numbers(emend::whiten(reward, {})) == emend::whiten(rewards, emend::padded(2, 4)));
  CHECK(numbers(emend::discounted_returns(reward, mask, {.gamma = 0.5})) ==
        emend::discounted_returns(rewards, layout, {.gamma = 0.5}));
  CHECK(numbers(emend::token_rewards(reward, reward * 2, value, mask)) ==
        emend::token_rewards(rewards, numbers(reward * 2), values, layout));
  const std::vector<double> weights = emend::token_weights(layout, emend::aggregation::per_example_mean);
  const std::vector<double> of_tensor = numbers(emend::token_weights(mask, emend::aggregation::per_example_mean));
  for (std::size_t i = 0; i < weights.size(); ++i) CHECK(of_tensor[i] == doctest::Approx(weights[i]).epsilon(1e-6));
  CHECK(numbers(emend::kl_estimate(emend::kl_kind::k3, reward))[3] ==
        emend::kl_estimate(emend::kl_kind::k3, rewards[3]));
  const at::Tensor group = at::tensor({0, 0, 1, 1});
  CHECK(numbers(emend::group_relative(value.reshape({-1}).slice(0, 0, 4).to(at::kDouble), group).advantage) ==
        emend::group_relative(std::vector<double>(values.begin(), values.begin() + 4), std::vector<int>{0, 0, 1, 1})
            .advantage);
  CHECK_THROWS_NAMING(emend::gae(reward, value.slice(1, 0, 3), mask), "value");
}

TEST_CASE("statistics and reward extraction over tensors, on the host and by the op chain") {
  at::manual_seed(2);
  const at::Tensor x = at::randn({2, 4, 9}, of(at::kDouble)), ids = at::randint(9, {2, 4}),
                   mask = at::tensor({1, 1, 1, 0, 1, 1, 0, 0}).view({2, 4});
  const tensor_column targets(ids), counted(mask);
  const std::vector<int> chosen(16, 3);
  const emend::statistics_options options{
      .mask = counted, .with_log_sum_squares = true, .with_arg_max = true, .chosen = chosen, .chosen_per_row = 2};
  const emend::statistics_tensors got = emend::statistics(x, ids, options);
  const emend::statistics_columns expected = emend::statistics(x, static_cast<const id_column&>(targets), options);
  CHECK(got.log_prob.sizes() == ids.sizes());
  CHECK(numbers(got.log_prob) == expected.log_prob);
  CHECK(numbers(got.entropy) == expected.entropy);
  CHECK(numbers(got.log_sum_squares) == expected.log_sum_squares);
  CHECK(numbers(got.arg_max) == std::vector<double>(expected.arg_max.begin(), expected.arg_max.end()));
  CHECK((got.is_arg_max.scalar_type() == at::kBool));
  CHECK(got.chosen_log_prob.sizes() == at::IntArrayRef({2, 4, 2}));
  CHECK(!got.mean_score.defined());
  const emend::statistics_columns chain =
      emend::statistics(emend::device_scores{x}, static_cast<const id_column&>(targets), options);
  for (std::size_t i = 0; i < 8; ++i) CHECK(chain.log_prob[i] == doctest::Approx(expected.log_prob[i]).epsilon(1e-13));

  const emend::seq2seq_reward_tensors rewards =
      emend::extract_rewards(x, ids, mask, {.mode = emend::reward_mode::margin});
  const emend::seq2seq_rewards by_columns = emend::extract_rewards(
      x, static_cast<const id_column&>(targets), emend::padded(2, 4, counted), {.mode = emend::reward_mode::margin});
  const std::vector<double> scores = numbers(rewards.score);
  for (std::size_t i = 0; i < 8; ++i) CHECK(scores[i] == doctest::Approx(by_columns.score[i]).epsilon(1e-6));
  CHECK(rewards.divergence.sizes() == at::IntArrayRef({2}));
  CHECK(numbers(rewards.divergence) == std::vector<double>(by_columns.divergence.begin(), by_columns.divergence.end()));
  const emend::statistics_tensors none = emend::statistics(at::randn({0, 3}), at::randint(3, {0}));
  CHECK(none.log_prob.numel() == 0);
}

TEST_CASE("statistics by operations: log_z and entropy are within the stated bounds") {
  for (const at::ScalarType type : {at::kFloat, at::kDouble})
    for (const index vocab : {128, 4096, 131072})
      for (const std::vector<double>& row : hard_rows(vocab)) {
        CAPTURE(vocab);
        const at::Tensor x = at::tensor(row).to(type).unsqueeze(0), stored = x.to(at::kDouble);
        const double* const scores = stored.const_data_ptr<double>();
        const exact_statistics expected =
            exact_statistics_of(vocab, [&](index j) { return static_cast<long double>(scores[j]); });
        const std::vector<int> target{0};
        const emend::statistics_columns found = emend::statistics(emend::device_scores{x}, target);
        CHECK(error_of(found.log_z[0], expected.log_z) <= (type == at::kFloat ? 2e-6 : 1e-14));
        CHECK(error_of(found.entropy[0], expected.entropy) <= (type == at::kFloat ? 2e-6 : 1e-14));
      }
}

TEST_CASE("packing: masks and positions") {
  const at::Tensor parent = at::tensor({-1, 0, 1, 1, 0, -1});
  const at::Tensor mask = emend::attention_mask(parent);
  CHECK((mask.scalar_type() == at::kBool));
  CHECK(numbers(mask[3]) == std::vector<double>{1, 1, 0, 1, 0, 0});
  CHECK(numbers(mask[5]) == std::vector<double>{0, 0, 0, 0, 0, 1});
  CHECK(numbers(emend::position_ids(parent)) == std::vector<double>{0, 1, 2, 2, 1, 0});
  CHECK(emend::attention_mask(at::randint(2, {0})).numel() == 0);
  CHECK_THROWS_NAMING(emend::position_ids(at::tensor({-1, 1})), "parent");
}

TEST_CASE("torch_threads covers every element once, and hands exceptions on") {
  for (const index n : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
    emend::torch_threads{}.for_each_chunk(n, [&](index begin, index end) {
      for (index i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
    });
    for (const auto& count : seen) CHECK(count == 1);
  }
  CHECK_THROWS_AS(emend::torch_threads{}.for_each_chunk(5, [](index, index) { throw std::out_of_range("here"); }),
                  std::out_of_range);
}

}  // namespace
