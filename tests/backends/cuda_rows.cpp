// The formulas of the CUDA kernels, run on the host: the threads of a block one after the other, their shares merged as
// the block does.
#include "exact_statistics.hpp"
#include "suite.hpp"
#include "throws.hpp"

#include <emend/cuda.hpp>
#include <emend/losses/ppo_clip.hpp>

namespace suite {

namespace {

/// Merges all shares into the first in the kernel's order: within warps of 32 by halving distances, then warp by warp.
template <class A>
void merge_shares(std::vector<cuda::row_share<A>>& shares, A scale) {
  const std::size_t threads = shares.size();
  for (std::size_t distance = 16; distance > 0; distance /= 2) {
    const std::vector<cuda::row_share<A>> before = shares;
    for (std::size_t t = 0; t < threads; ++t) shares[t].merge(before[t ^ distance], scale);
  }
  for (std::size_t t = 32; t < threads; t += 32) shares[0].merge(shares[t], scale);
}

template <class T, class A>
cuda::row_share<A> share_of_block(const T* x, index vocab, index stride, A scale, index threads) {
  std::vector<cuda::row_share<A>> shares;
  for (index t = 0; t < threads; ++t)
    shares.push_back(cuda::share_of<cuda::row_share<A>>(x, vocab, stride, scale, t, threads));
  merge_shares(shares, scale);
  return shares[0];
}

template <class T, class Loss>
outcome run_block(const std::vector<T>& x, index rows, index vocab, const std::vector<index>& targets, const Loss& loss,
                  double multiplier, double factor, index threads, std::vector<T>& out) {
  using A = arithmetic<T>;
  outcome result;
  for (index row = 0; row < rows; ++row) {
    const T* scores = x.data() + row * vocab;
    const A scale = static_cast<A>(multiplier * cuda::detail::log2_of_e);
    const auto share = share_of_block<T, A>(scores, vocab, 1, scale, threads);
    const index target = targets[static_cast<std::size_t>(row)];
    const double score = static_cast<double>(static_cast<A>(scores[target]));
    const auto got = cuda::evaluate_row(loss, share, score, target, row, multiplier, factor);
    result.value += got.value;
    result.metrics[0] += got.log_prob / static_cast<double>(rows);
    result.metrics[1] += got.entropy / static_cast<double>(rows);
    for (index t = 0; t < threads; ++t)
      cuda::write_share<T, A>(scores, 1, out.data() + row * vocab, 1, vocab, got.slope, t, threads);
  }
  result.evaluated = rows;
  for (const T value : out) result.gradient.push_back(static_cast<double>(static_cast<A>(value)));
  return result;
}

template <class T>
traits traits_of_type() {
  return {.is_double = std::is_same_v<T, double>,
          .is_half = sizeof(T) == 2,
          .epsilon = std::is_same_v<T, bfloat16>  ? 0x1p-8
                     : std::is_same_v<T, float16> ? 0x1p-11
                                                  : 0,
          .tiny = std::is_same_v<T, float16>  ? 0x1p-25
                  : std::is_same_v<T, double> ? 1e-300
                                              : 1e-37,
          .highest = 60000};
}

template <class T>
void check_block(table x, const std::vector<index>& targets, const mixed_loss& loss, double multiplier = 1) {
  std::vector<T> scores;
  for (double& v : x.values) {
    scores.push_back(T(static_cast<arithmetic<T>>(v)));
    v = static_cast<double>(static_cast<arithmetic<T>>(scores.back()));
  }
  const request r{.targets = targets,
                  .loss = loss,
                  .options = {.normaliser = 4, .transform = {.logit_scale = multiplier}, .with_log_sum_squares = true}};
  const expectation expected = reference(x, r);
  for (const index threads : {32, 128, 512}) {
    CAPTURE(threads);
    std::vector<T> out(scores.size());
    const outcome got = run_block(scores, x.rows, x.vocab, targets, loss, multiplier, 0.25, threads, out);
    check_value(traits_of_type<T>(), got, expected);
    check_gradient(traits_of_type<T>(), x, got, expected);
    std::vector<T> in_place = scores;
    CHECK(run_block(in_place, x.rows, x.vocab, targets, loss, multiplier, 0.25, threads, in_place).gradient ==
          got.gradient);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("device rows: values and gradients are those of the reference", T, float, double, bfloat16,
                   float16) {
  for (const index vocab : {1, 2, 31, 32, 33, 129, 1000, 5000})
    for (const mixed_loss& loss : {mixed_loss{}, mixed_loss{.entropy = 0.5}, every_statistic}) {
      CAPTURE(vocab);
      check_block<T>(random_table(3, vocab), random_targets(3, vocab), loss);
      check_block<T>(random_table(3, vocab), random_targets(3, vocab), loss, 0.75);
    }
}

TEST_CASE_TEMPLATE("device rows: -inf, an ascending row, ties, one certain id", T, float, double, bfloat16) {
  const index vocab = 200;
  table x = random_table(5, vocab);
  for (index j = 0; j < vocab; j += 2) x(0, j) = -inf;
  for (index j = 0; j < vocab; ++j) {
    x(1, j) = 0.25 * static_cast<double>(j);  // every score raises the top
    x(2, j) = 3;
    x(3, j) = j == 77 ? 2.5 : -inf;
    x(4, j) = -0.25 * static_cast<double>(j);
  }
  check_block<T>(x, {1, 199, 5, 77, 0}, {-1, 0, 0.5, 0.25, 0.0625});
}

TEST_CASE_TEMPLATE("device rows: NaN and +inf show in the value, an impossible row has gradient 0", T, float, double) {
  for (const index vocab : {1, 5, 100})
    for (const double bad : {nan, inf})
      for (const index at : {index{0}, vocab - 1}) {
        std::vector<T> x(static_cast<std::size_t>(vocab), T(1)), out(x.size());
        x[static_cast<std::size_t>(at)] = T(bad);
        CHECK(std::isnan(run_block(x, 1, vocab, {0}, mixed_loss{}, 1, 1, 32, out).value));
      }
  std::vector<T> x(50, T(-inf)), out(x.size());
  const outcome got = run_block(x, 1, 50, {3}, mixed_loss{}, 1, 1, 32, out);
  CHECK(got.value == inf);
  CHECK(got.metrics[1] == 0);
  for (const double g : got.gradient) CHECK(g == 0);
}

TEST_CASE_TEMPLATE(
    "device rows: sums relative to a top that is near, and gradients of finite slopes, are those of the careful ways",
    A, float, double) {
  const index vocab = 64;
  const table x = random_table(4, vocab, 2);
  const double tolerance = sizeof(A) == sizeof(float) ? 1e-5 : 1e-13;
  for (index row = 0; row < 4; ++row) {
    A scores[vocab];
    for (index j = 0; j < vocab; ++j) scores[j] = static_cast<A>(x(row, j));
    if (row == 1) scores[40] = scores[50] = -std::numeric_limits<A>::infinity();
    if (row == 2) scores[60] = scores[0] + 10;  // well above what came first
    cuda::row_share<A> careful, near;
    const A scale = A(1.5), first[1]{scores[0]};
    careful.add(scores, scale);
    near.add(first, scale);
    A others[vocab - 1];
    std::copy(scores + 1, scores + vocab, others);
    near.add_near(others, scale);
    REQUIRE(near.is_near());
    near.raise(careful.top, scale);
    CHECK(near.sum == doctest::Approx(careful.sum).epsilon(tolerance));
    CHECK(near.weighted == doctest::Approx(careful.weighted).epsilon(tolerance * 10));
    CHECK(near.squares == doctest::Approx(careful.squares).epsilon(tolerance));
    const cuda::row_slope<A> slope{careful.top, scale, A(0.25), A(0.5), A(-0.25), A(2), A(9), 7};
    REQUIRE(slope.is_number());
    for (index j = 0; j < vocab; ++j) {
      CHECK(slope.template at_number<true, true>(scores[j]) == doctest::Approx(slope.at(scores[j])).epsilon(tolerance));
      if (scores[j] < 0 && !std::isfinite(scores[j])) CHECK(slope.template at_number<true, true>(scores[j]) == 0);
    }
    const cuda::row_slope<A> plain{careful.top, scale, A(0.25), A(0.5), 0, 0, A(9), 7};
    for (index j = 0; j < vocab; ++j)
      CHECK(plain.template at_number<false, false>(scores[j]) ==
            doctest::Approx(plain.at(scores[j])).epsilon(tolerance));
  }
  // What is no number is seen in the sums, or in the slopes.
  for (const A odd : {std::numeric_limits<A>::infinity(), std::numeric_limits<A>::quiet_NaN(), A(30)}) {
    cuda::row_share<A> near;
    const A first[1]{A(1)}, others[2]{A(0), odd};
    near.add(first, 1);
    near.add_near(others, 1);
    CHECK(!near.is_near());
  }
  cuda::row_share<A> none;
  const A impossible[2]{-std::numeric_limits<A>::infinity(), -std::numeric_limits<A>::infinity()};
  none.add(impossible, 1);
  none.add_near(impossible, 1);
  CHECK(!none.is_near());
  for (const A odd : {std::numeric_limits<A>::infinity(), std::numeric_limits<A>::quiet_NaN()}) {
    CHECK(!cuda::row_slope<A>{.top = odd}.is_number());
    CHECK(!cuda::row_slope<A>{.constant = odd}.is_number());
  }
}

TEST_CASE_TEMPLATE("device rows: log_z and entropy are within the stated bounds", A, float, double) {
  // As the kernels take them: 128 threads, packets of 16 bytes, the reference of a thread's first one where it is near.
  constexpr int size = 16 / sizeof(A);
  constexpr index threads = 128;
  const A scale = static_cast<A>(cuda::detail::log2_of_e);
  for (const index vocab : {128, 4096, 131072})
    for (const std::vector<double>& row : hard_rows(vocab)) {
      CAPTURE(vocab);
      const exact_statistics expected =
          exact_statistics_of(vocab, [&](index j) { return static_cast<long double>(A(row[std::size_t(j)])); });
      for (const bool is_near_first : {false, true}) {
        std::vector<cuda::row_share<A>> shares;
        for (index thread = 0; thread < threads; ++thread) {
          const auto share_of_thread = [&](bool is_near) {
            cuda::row_share<A> share;
            for (index j = thread * size; j < vocab; j += threads * size) {
              A packet[size];
              for (int k = 0; k < size; ++k) packet[k] = static_cast<A>(row[static_cast<std::size_t>(j + k)]);
              if (is_near && share.top > -inf)
                share.add_near(packet, scale);
              else
                share.add(packet, scale);
            }
            return share;
          };
          shares.push_back(share_of_thread(is_near_first));
          if (!shares.back().is_near()) shares.back() = share_of_thread(false);
        }
        merge_shares(shares, scale);
        const auto found = cuda::evaluate_row(mixed_loss{}, shares[0], row[0], 0, 0, 1, 1);
        CHECK(error_of(found.log_z, expected.log_z) <= (sizeof(A) == 4 ? 1e-5 : 3e-14));
        CHECK(error_of(found.entropy, expected.entropy) <= (sizeof(A) == 4 ? 3e-4 : 3e-14));
      }
    }
}

TEST_CASE("rows beyond 2^31 scores: offsets, and which rows count") {
  // [32768, 131072], and the same as [8, 4096, 131072] with a gap between the batch entries.
  const std::int64_t targets[]{3, -100, 5};
  const bool mask[]{true, true, false};
  constexpr cuda::row_problem<bfloat16> flat{.rows = 32768, .vocab = 131072, .tokens = 32768, .token_stride = 131072};
  static_assert(flat.offset(32767) == index{32767} * 131072);
  constexpr cuda::row_problem<bfloat16> block{.rows = 32768,
                                              .vocab = 131072,
                                              .tokens = 4096,
                                              .batch_stride = index{4097} * 131072,
                                              .token_stride = 131072,
                                              .gradient_batch_stride = index{4096} * 131072,
                                              .gradient_token_stride = 131072};
  static_assert(block.offset(32767) == index{7 * 4097 + 4095} * 131072);
  static_assert(block.gradient_offset(32767) == index{32767} * 131072);
  const cuda::row_problem<float> few{
      .rows = 3, .targets = targets, .has_ignore_id = true, .ignore_id = -100, .mask = mask};
  CHECK(few.is_counted(0));
  CHECK(!few.is_counted(1));
  CHECK(!few.is_counted(2));
  cuda::row_problem<float> all = few;
  all.has_ignore_id = false;
  CHECK(all.is_counted(1));
  all.mask = nullptr;
  CHECK(all.is_counted(2));
}

TEST_CASE("device_policy is the library's loss over columns of another kind") {
  const std::vector<float> old{-1, -2, -3}, advantage{1, -1, 0.5f};
  const ppo_clip on_host{.old_log_prob = old, .advantage = advantage, .clip_high = 0.3, .dual_clip = 3};
  const cuda::device_policy<ppo_clip> on_device{
      .policy = {.old_log_prob = {}, .advantage = {}, .clip_high = 0.3, .dual_clip = 3},
      .old_log_prob = {old.data()},
      .advantage = {advantage.data()},
      .entropy_coefficient = 0.1};
  // What goes to a device is its bytes, and a policy of the host's columns is no loss there.
  static_assert(std::is_trivially_copyable_v<cuda::policy_on_device<ppo_clip>>);
  static_assert(cuda::device_loss<cuda::device_policy<ppo_clip>> &&
                cuda::device_loss<cuda::policy_on_device<ppo_clip>>);
  static_assert(!cuda::device_loss<ppo_clip> && !cuda::device_loss<int>);
  const auto there = on_device.on_device();
  for (index i = 0; i < 3; ++i)
    for (double log_prob : {-4.0, -1.1, 0.0}) {
      const token<token_dual> t{token_dual::variable(log_prob, 0), {}, {}, token_dual::variable(2, 2), {}, {}, i};
      const token_dual a = on_device(t), b = on_host(t) - 0.1 * t.entropy, c = there(t);
      CHECK(a.value == b.value);
      CHECK(c.value == b.value);
      for (int k = 0; k < 5; ++k) CHECK(a.derivative[k] == b.derivative[k]);
      for (int k = 0; k < 5; ++k) CHECK(c.derivative[k] == b.derivative[k]);
    }
  CHECK_THROWS_NAMING((cuda::device_policy<ppo_clip>{.policy = {.old_log_prob = old, .advantage = {}}}).on_device(),
                      "policy.old_log_prob");
  CHECK_THROWS_NAMING(
      (cuda::device_policy<ppo_clip>{.policy = {.old_log_prob = {}, .advantage = advantage}}).on_device(),
      "policy.advantage");
}

}  // namespace suite
