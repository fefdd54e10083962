// The algorithms of a step by ATen's operations, as tensors of a device have them done, against the same over columns
// on the host; and on torch's meta device, whose tensors have no numbers that anybody could read.
#include <emend/libtorch/algorithms.hpp>

#include "other_device.hpp"
#include "throws.hpp"

#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include <limits>
#include <vector>

namespace {

using emend::tensor_column;
namespace detail = emend::detail;
constexpr double infinite = std::numeric_limits<double>::infinity();

at::TensorOptions of(at::ScalarType type) { return at::TensorOptions().dtype(type); }

/// Largest difference, of NaN too; infinite where shapes, types or infinities differ.
double distance(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return infinite;
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.cpu().to(at::kDouble), y = b.cpu().to(at::kDouble);
  if (!x.isnan().equal(y.isnan())) return infinite;
  return at::where(x == y, at::zeros_like(x), (x - y).abs()).nan_to_num(0.0, infinite).max().item().toDouble();
}

struct batch {
  at::Tensor values, mask;
};

/// Batches with every kind of hole: none, padding on either side, holes anywhere, rows without a token, one token, no
/// token at all.
std::vector<batch> batches() {
  at::manual_seed(3);
  std::vector<batch> result{{at::randn({3, 7}, of(at::kDouble)), {}}, {at::randn({2, 2, 5}, of(at::kDouble)), {}},
                            {at::randn({3, 1}, of(at::kDouble)), {}}, {at::randn({6}, of(at::kDouble)), {}},
                            {at::randn({0, 4}, of(at::kDouble)), {}}, {at::randn({4, 0}, of(at::kDouble)), {}}};
  for (const double density : {0.9, 0.5, 0.1, 0.0})
    result.push_back({at::randn({5, 33}, of(at::kDouble)), at::rand({5, 33}) < density});
  const at::Tensor places = at::arange(9).expand({4, 9}), lengths = at::tensor({9, 4, 1, 0}).unsqueeze(1);
  result.push_back({at::randn({4, 9}, of(at::kDouble)), places < lengths});
  result.push_back({at::randn({4, 9}, of(at::kDouble)), places >= 9 - lengths});
  result.push_back({at::randn({2, 1500}, of(at::kDouble)), at::rand({2, 1500}) < 0.8});
  return result;
}

TEST_CASE("device algorithms: GAE and returns by doubling") {
  for (const batch& b : batches()) {
    CAPTURE(b.values.numel());
    const at::Tensor value = at::randn(b.values.sizes(), of(at::kDouble));
    const emend::tensor_layout layout(b.values, b.mask);
    const tensor_column bootstrap(at::randn({layout.sequences()}, of(at::kDouble)));
    if (b.mask.defined()) {
      // What stands in a hole is nobody's business.
      value.masked_fill_(b.mask.logical_not(), std::numeric_limits<double>::quiet_NaN());
      b.values.masked_fill_(b.mask.logical_not(), infinite);
    }
    for (const auto holes : {emend::hole_rule::carry, emend::hole_rule::decay})
      for (const double lambda : {0.95, 1.0, 0.0})
        for (const double value_lambda : {-1.0, 1.0})
          for (const double alpha : {0.0, 0.05})
            for (const bool is_cut : {false, true}) {
              emend::gae_options options{.gamma = 0.97,
                                         .lambda = lambda,
                                         .value_lambda = value_lambda,
                                         .length_adaptive_alpha = alpha,
                                         .holes = holes};
              if (is_cut) options.bootstrap = bootstrap;
              const auto got = detail::gae_by_operations(there(b.values), there(value), there(b.mask), options),
                         expected = emend::gae(b.values, value, b.mask, options);
              CHECK(distance(got.advantage, expected.advantage) < 1e-11);
              CHECK(distance(got.returns, expected.returns) < 1e-11);
            }
  }
  const at::Tensor reward = at::randn({2, 3}), value = at::randn({2, 3});
  CHECK((detail::gae_by_operations(reward, value, {}, {}).advantage.scalar_type() == at::kFloat));
  CHECK_THROWS_NAMING(detail::gae_by_operations(reward, value.narrow(1, 0, 2), {}, {}), "value");
  CHECK_THROWS_NAMING(detail::gae_by_operations(reward, value, at::ones({3, 2}), {}), "mask");
  CHECK_THROWS_NAMING(detail::gae_by_operations(reward, value, {}, {.lambda = 2}), "lambda");
  const std::vector<double> three(3);
  CHECK_THROWS_NAMING(detail::gae_by_operations(reward, value, {}, {.bootstrap = three}), "bootstrap");
}

TEST_CASE("device algorithms: a value that is no number reaches what stands before it, and no hole") {
  const at::Tensor reward = at::ones({1, 6}, of(at::kDouble)), value = at::ones({1, 6}, of(at::kDouble)),
                   mask = at::tensor({1, 0, 1, 0, 1, 1}).view({1, 6});
  for (const double odd : {infinite, std::numeric_limits<double>::quiet_NaN()}) {
    value.select(1, 2).fill_(odd);
    const auto got = detail::gae_by_operations(there(reward), there(value), there(mask), {.gamma = 0.9}),
               expected = emend::gae(reward, value, mask, {.gamma = 0.9});
    CHECK(distance(got.advantage, expected.advantage) < 1e-12);
    CHECK(distance(got.returns, expected.returns) < 1e-12);
  }
}

TEST_CASE("device algorithms: whitening, every convention") {
  for (const batch& b : batches()) {
    CAPTURE(b.values.numel());
    for (const auto place :
         {emend::epsilon_place::variance, emend::epsilon_place::deviation, emend::epsilon_place::floor})
      for (const auto uncounted :
           {emend::uncounted_value::zero, emend::uncounted_value::transformed, emend::uncounted_value::as_of_zero})
        for (const int variant : {0, 1, 2, 3}) {
          emend::whiten_options options{.is_unbiased = variant != 1,
                                        .epsilon = 1e-5,
                                        .place = place,
                                        .count_epsilon = variant == 1 ? 1e-3 : 0,
                                        .is_scaled = variant != 2,
                                        .is_mean_removed = variant != 3,
                                        .uncounted = uncounted};
          CHECK(distance(detail::whiten_by_operations(there(b.values), there(b.mask), options),
                         emend::whiten(b.values, b.mask, options)) < 1e-11);
          options.given = {.count = 40, .mean = 0.3, .squares = 17};
          CHECK(distance(detail::whiten_by_operations(there(b.values), there(b.mask), options),
                         emend::whiten(b.values, b.mask, options)) < 1e-11);
        }
  }
  // Equal numbers have no spread, and one number none either.
  const at::Tensor equal = at::ones({3, 5}, of(at::kDouble)) * 0.1;
  CHECK(detail::whiten_by_operations(equal, {}, {.epsilon = 0}).abs().max().item().toDouble() == 0);
  CHECK(detail::whiten_by_operations(equal.narrow(0, 0, 1).narrow(1, 0, 1), {}, {}).item().toDouble() == 0);
  equal.select(0, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  CHECK(distance(detail::whiten_by_operations(equal, {}, {}), emend::whiten(equal, {}, {})) == 0);
  CHECK_THROWS_NAMING(detail::whiten_by_operations(equal, {}, {.epsilon = -1}), "epsilon");
}

TEST_CASE("device algorithms: divergence estimates, rewards of tokens, weights") {
  for (const batch& b : batches()) {
    CAPTURE(b.values.numel());
    const at::Tensor old = at::randn(b.values.sizes(), of(at::kDouble)),
                     reference = at::randn(b.values.sizes(), of(at::kDouble));
    const emend::tensor_layout layout(b.values, b.mask);
    const emend::index sequences = layout.sequences();
    const tensor_column scalar(at::randn({sequences}, of(at::kDouble)));
    for (const auto kind :
         {emend::kl_kind::k1, emend::kl_kind::k2, emend::kl_kind::k3, emend::kl_kind::absolute,
          emend::kl_kind::positive_part, emend::kl_kind::k1_through_k2, emend::kl_kind::k3_through_k2}) {
      const emend::kl_clamps clamps{.input = 1, .output = 0.4};
      CHECK(distance(detail::kl_by_operations(kind, there(b.values), clamps),
                     emend::kl_estimate(kind, b.values, clamps)) < 1e-13);
      CHECK(distance(detail::kl_by_operations(kind, there(b.values), {}), emend::kl_estimate(kind, b.values)) < 1e-13);
      const emend::token_reward_options options{.score_scale = 0.7,
                                                .kl_coefficient = 0.1,
                                                .scalar_scale = 2,
                                                .scalar_reward = scalar,
                                                .clamp = 1.5,
                                                .kl = kind,
                                                .kl_bounds = clamps,
                                                .scalar_low = -0.5,
                                                .scalar_high = 1};
      CHECK(distance(detail::token_rewards_by_operations(there(b.values), there(old), there(reference), there(b.mask),
                                                         options),
                     emend::token_rewards(b.values, old, reference, b.mask, options)) < 1e-13);
    }
    CHECK(distance(detail::token_rewards_by_operations(there(b.values), {}, {}, there(b.mask), {}),
                   emend::token_rewards(b.values, {}, {}, b.mask)) == 0);
    if (b.values.numel() > 0 && b.values.dim() == 2) {
      const at::Tensor places = at::arange(sequences) * b.values.size(1);
      places[0] = -1;
      const tensor_column somewhere(places);
      const emend::token_reward_options options{
          .scalar_scale = 1, .scalar_reward = scalar, .scalar_position = somewhere};
      CHECK(distance(detail::token_rewards_by_operations(there(b.values), there(old), there(reference), there(b.mask),
                                                         options),
                     emend::token_rewards(b.values, old, reference, b.mask, options)) < 1e-13);
    }
    const at::Tensor mask = b.mask.defined() ? b.mask : at::ones(b.values.sizes(), of(at::kBool));
    for (const auto how :
         {emend::aggregation::token_mean, emend::aggregation::token_sum, emend::aggregation::sequence_sum,
          emend::aggregation::per_example_mean, emend::aggregation::sequence_sum_per_length})
      for (const bool counts_empty : {false, true})
        for (const double given : {0.0, 50.0}) {
          const emend::aggregation_options options{.counts = {.tokens = given, .sequences = given},
                                                   .length = 40,
                                                   .counts_empty_sequences = counts_empty,
                                                   .length_epsilon = 1e-3};
          CHECK(distance(detail::token_weights_by_operations(there(mask), how, options),
                         emend::token_weights(mask, how, options)) < 1e-7);
        }
  }
  CHECK_THROWS_NAMING(
      detail::token_weights_by_operations(at::ones({2, 2}), emend::aggregation::sequence_sum_per_length, {}), "length");
  CHECK_THROWS_NAMING(detail::token_rewards_by_operations(at::ones({2, 2}), at::ones({2, 2}), {}, {}, {}),
                      "reference_log_prob");
  const std::vector<int> beyond{0, 4};
  const std::vector<double> two{1, 2};
  CHECK_THROWS_NAMING(
      detail::token_rewards_by_operations(at::zeros({2, 2}), {}, {}, {},
                                          {.scalar_scale = 1, .scalar_reward = two, .scalar_position = beyond}),
      "scalar_position");
}

TEST_CASE(
    "device algorithms: advantages relative to a group, every scope, lone ones, rewards that are missing or do not "
    "count") {
  at::manual_seed(8);
  using emend::reward_scope;
  const reward_scope scopes[] = {reward_scope::none, reward_scope::group, reward_scope::batch,
                                 reward_scope::leave_one_out};
  for (const int sequences : {0, 1, 2, 40}) {
    const at::Tensor reward = at::randn({sequences}, of(at::kDouble)),
                     group = at::randint(-3, 9, {sequences}, of(at::kLong)), counts = at::rand({sequences}) < 0.8;
    if (sequences == 40) {
      reward.narrow(0, 3, 4).fill_(0.1);
      group.narrow(0, 3, 4).fill_(100);  // equal rewards
      reward[8] = std::numeric_limits<double>::quiet_NaN();
      group[9] = 200;  // alone
      group[10] = group[11] = 300;
      counts[11] = false;  // as good as alone
    }
    const tensor_column counted(counts);
    for (const bool has_groups : {true, false})
      for (const bool has_counts : {false, true})
        for (const reward_scope mean : scopes)
          for (const reward_scope deviation : scopes)
            for (const int variant : {0, 1, 2, 3}) {
              CAPTURE(sequences);
              CAPTURE(static_cast<int>(mean));
              CAPTURE(static_cast<int>(deviation));
              CAPTURE(variant);
              emend::group_relative_options options{
                  .mean = mean,
                  .deviation = deviation,
                  .is_unbiased = variant != 1,
                  .epsilon = variant == 2 ? 0 : 1e-4,
                  .keeps_constant = variant == 1,
                  .lone = variant == 3 ? emend::lone_sequence::raw : emend::lone_sequence::zero};
              if (has_counts) options.counts = counted;
              if (variant == 3) options.batch = {.count = 50, .mean = 0.2, .squares = 70};
              const at::Tensor ids = has_groups ? group : at::Tensor();
              const auto got = detail::group_relative_by_operations(there(reward), there(ids), options),
                         expected = emend::group_relative(reward, ids, options);
              CHECK(distance(got.advantage, expected.advantage) < 1e-9);
              CHECK(distance(got.baseline, expected.baseline) < 1e-12);
              CHECK(distance(got.deviation, expected.deviation) < 1e-12);
            }
  }
  const at::Tensor three = at::randn({3});
  CHECK((detail::group_relative_by_operations(three, {}, {}).advantage.scalar_type() == at::kFloat));
  CHECK_THROWS_NAMING(detail::group_relative_by_operations(three, at::tensor({1, 2}), {}), "group");
  CHECK_THROWS_NAMING(detail::group_relative_by_operations(three, {}, {.epsilon = -1}), "epsilon");
  const std::vector<int> two{1, 1};
  CHECK_THROWS_NAMING(detail::group_relative_by_operations(three, {}, {.counts = two}), "counts");
}

TEST_CASE("device algorithms: results have memory of their own, and what is no column of numbers is refused") {
  const at::Tensor x = at::randn({2, 3}, of(at::kDouble)), before = x.clone();
  detail::kl_by_operations(emend::kl_kind::k1, x, {}).mul_(2);
  detail::whiten_by_operations(x, {}, {.is_scaled = false, .given = {.count = 1, .mean = 0, .squares = 0}}).mul_(2);
  CHECK(x.equal(before));
  CHECK_THROWS_NAMING(detail::kl_by_operations(emend::kl_kind::k1, x.to(at::kComplexDouble), {}), "log_ratio");
  CHECK_THROWS_NAMING(detail::positions_by_operations(x), "parent");
  CHECK_THROWS_NAMING(detail::attention_mask_by_operations(x > 0), "parent");
  CHECK(detail::positions_by_operations(at::tensor({-1, 0, 1}).unsqueeze(0)).sizes() == at::IntArrayRef({1, 3}));
}

TEST_CASE("device algorithms: rewards of a sequence-to-sequence model, every mode") {
  at::manual_seed(5);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16})
    for (const int holes : {0, 1, 2}) {
      const at::Tensor x = (at::randn({4, 9, 6}, of(at::kDouble)) * 2).to(type), best = x.argmax(-1);
      at::Tensor response = at::where(at::rand({4, 9}) < 0.7, best, at::randint(6, {4, 9}));
      x.select(0, 1).select(0, 3).narrow(0, 0, 5).fill_(-infinite);
      x.select(0, 2).select(0, 2).fill_(1.5);  // ties
      const at::Tensor mask = holes == 0   ? at::Tensor()
                              : holes == 1 ? at::rand({4, 9}) < 0.7
                                           : at::arange(9).expand({4, 9}) < at::tensor({9, 5, 1, 0}).unsqueeze(1);
      const tensor_column reference(at::randn({4, 9}, of(at::kDouble)));
      const std::vector<int> ends{0, 3};
      for (const auto mode : {emend::reward_mode::sign, emend::reward_mode::prob, emend::reward_mode::margin,
                              emend::reward_mode::logratio, emend::reward_mode::dense})
        for (const auto normalise : {emend::reward_normalisation::none, emend::reward_normalisation::per_length,
                                     emend::reward_normalisation::whiten})
          for (const bool is_variant : {false, true}) {
            CAPTURE(static_cast<int>(mode));
            CAPTURE(static_cast<int>(normalise));
            const emend::seq2seq_reward_options options{.mode = mode,
                                                        .positive = 0.7,
                                                        .negative = 1.3,
                                                        .clip = 2,
                                                        .neutral = 0.25,
                                                        .is_neutral_positive = is_variant,
                                                        .has_truncation_penalty = is_variant,
                                                        .end_ids = ends,
                                                        .normalise = normalise,
                                                        .is_unbiased = !is_variant,
                                                        .reference_log_prob = reference,
                                                        .transform = {.temperature = 0.8}};
            const auto got = detail::rewards_by_operations(there(x), there(response), there(mask), options),
                       expected = emend::extract_rewards(x, response, mask, options);
            CHECK(distance(got.score, expected.score) < 3e-6);
            CHECK(distance(got.arg_max, expected.arg_max) == 0);
            CHECK(distance(got.log_prob, expected.log_prob) < 3e-6);
            CHECK(distance(got.divergence, expected.divergence) == 0);
            CHECK(distance(got.sequence_score, expected.sequence_score) < 3e-6);
            CHECK(distance(got.copy_log_likelihood, expected.copy_log_likelihood) < 3e-6);
          }
    }
  // One response, and responses of one token: the shapes that as_tensor gives.
  const at::Tensor one = at::randn({1, 3, 4}), three = at::randn({3, 1, 4}), ids = at::randint(4, {3});
  CHECK(detail::rewards_by_operations(one, ids.view({1, 3}), {}, {}).divergence.sizes() ==
        emend::extract_rewards(one, ids.view({1, 3}), {}).divergence.sizes());
  CHECK(detail::rewards_by_operations(one.squeeze(0), ids, {}, {}).divergence.sizes() ==
        emend::extract_rewards(one.squeeze(0), ids, {}).divergence.sizes());
  CHECK(detail::rewards_by_operations(three, ids.view({3, 1}), {}, {}).divergence.sizes() ==
        emend::extract_rewards(three, ids.view({3, 1}), {}).divergence.sizes());
  const at::Tensor x = at::randn({2, 3, 4}), response = at::randint(4, {2, 3});
  CHECK_THROWS_NAMING(detail::rewards_by_operations(x, response, {}, {.mode = emend::reward_mode::dense}),
                      "reference_log_prob");
  CHECK_THROWS_NAMING(detail::rewards_by_operations(x, response, {}, {.has_truncation_penalty = true}), "end_ids");
  CHECK_THROWS_NAMING(detail::rewards_by_operations(x, response.narrow(1, 0, 2), {}, {}), "targets");
}

TEST_CASE("device algorithms: forests by doubling") {
  at::manual_seed(6);
  for (const int nodes : {0, 1, 2, 3, 17, 64, 130}) {
    std::vector<std::int64_t> parents;
    for (int i = 0; i < nodes; ++i)
      parents.push_back(i % 23 == 0 ? -1 : i % 5 == 0 ? at::randint(i, {1}).item().toLong() : i - 1);
    const at::Tensor parent = at::tensor(parents);
    CHECK(detail::attention_mask_by_operations(there(parent)).cpu().equal(emend::attention_mask(parent)));
    CHECK(detail::positions_by_operations(there(parent)).cpu().equal(emend::position_ids(parent)));
  }
  // A chain is the longest way back.
  const at::Tensor chain = at::arange(-1, 99);
  CHECK(detail::positions_by_operations(there(chain)).cpu().equal(at::arange(100)));
  CHECK(detail::positions_by_operations(at::tensor({-1, 1, 7, 1})).equal(at::tensor({0, 0, 0, 1})));
}

TEST_CASE("device algorithms: on the meta device, where there is nothing to bring back") {
  const auto meta = [](at::ScalarType type) { return at::TensorOptions().dtype(type).device(at::kMeta); };
  const at::Tensor numbers = at::empty({3, 8}, meta(at::kFloat)), mask = at::empty({3, 8}, meta(at::kBool)),
                   ids = at::empty({3, 8}, meta(at::kLong)), one = at::empty({3}, meta(at::kFloat));
  const tensor_column of_sequences(one), places(at::empty({3}, meta(at::kLong))), of_tokens(numbers);
  const auto stays = [](const at::Tensor& x, at::IntArrayRef shape) { return x.is_meta() && x.sizes() == shape; };
  for (const auto holes : {emend::hole_rule::carry, emend::hole_rule::decay}) {
    const auto [advantage, returns] = emend::gae(numbers, numbers, mask, {.holes = holes, .bootstrap = of_sequences});
    CHECK(stays(advantage, {3, 8}));
    CHECK(stays(returns, {3, 8}));
  }
  CHECK(stays(emend::discounted_returns(numbers, mask), {3, 8}));
  for (const auto uncounted :
       {emend::uncounted_value::zero, emend::uncounted_value::transformed, emend::uncounted_value::as_of_zero})
    CHECK(stays(emend::whiten(numbers, mask, {.uncounted = uncounted}), {3, 8}));
  const at::Tensor groups = at::empty({3}, meta(at::kLong));
  for (const auto scope :
       {emend::reward_scope::group, emend::reward_scope::batch, emend::reward_scope::leave_one_out}) {
    const auto relative =
        emend::group_relative(one, groups, {.mean = scope, .deviation = scope, .counts = of_sequences});
    CHECK(stays(relative.advantage, {3}));
    CHECK(stays(relative.deviation, {3}));
  }
  CHECK(stays(emend::kl_estimate(emend::kl_kind::k3, numbers, {.input = 20, .output = 10}), {3, 8}));
  CHECK(stays(emend::token_rewards(numbers, numbers, numbers, mask, {.scalar_scale = 1, .scalar_reward = of_sequences}),
              {3, 8}));
  CHECK(stays(emend::token_rewards(numbers, numbers, numbers, mask,
                                   {.scalar_scale = 1, .scalar_reward = of_sequences, .scalar_position = places}),
              {3, 8}));
  CHECK(stays(emend::token_weights(mask, emend::aggregation::per_example_mean), {3, 8}));
  const std::vector<int> ends{1};
  for (const auto mode : {emend::reward_mode::sign, emend::reward_mode::logratio, emend::reward_mode::dense}) {
    const auto rewards = emend::extract_rewards(at::empty({3, 8, 11}, meta(at::kBFloat16)), ids, mask,
                                                {.mode = mode,
                                                 .has_truncation_penalty = true,
                                                 .end_ids = ends,
                                                 .normalise = emend::reward_normalisation::whiten,
                                                 .reference_log_prob = of_tokens});
    CHECK(stays(rewards.score, {3, 8}));
    CHECK(stays(rewards.divergence, {3}));
  }
  const at::Tensor parent = at::empty({9}, meta(at::kLong));
  CHECK(stays(emend::attention_mask(parent), {9, 9}));
  CHECK(stays(emend::position_ids(parent), {9}));
}

}  // namespace
