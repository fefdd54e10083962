// The algorithms of the CUDA kernels that a team of threads works on, run on the host: the same text, the team's
// threads threads of the host.
#include <emend/cuda.hpp>
#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <thread>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>

/// A team of threads of the host, groups of two lanes.
class thread_team {
 public:
  struct shared {
    explicit shared(index threads) : barrier(threads), exchanged(static_cast<std::size_t>(threads)) {}
    std::barrier<> barrier;
    std::vector<std::uint64_t> exchanged;
  };
  thread_team(shared& with, index rank, index size) : shared_(with), rank_(rank), size_(size) {}

  index rank() const { return rank_; }
  index size() const { return size_; }
  index lanes() const { return size_ < 2 ? 1 : 2; }
  void sync() { shared_.barrier.arrive_and_wait(); }
  template <class N>
  N sum_lanes(N x) {
    return exchange(x, [](N a, N b) { return a + b; });
  }
  template <class N>
  N max_lanes(N x) {
    return exchange(x, [](N a, N b) { return std::max(a, b); });
  }
  static std::uint32_t take(std::uint32_t* memory) {
    return std::atomic_ref<std::uint32_t>(*memory).fetch_add(1, std::memory_order_relaxed);
  }
  template <class T, class F>
  void for_each_score(const T* x, index count, index stride, F f) const {
    for (index j = rank_; j < count; j += size_) {
      const arithmetic<T> number[1]{static_cast<arithmetic<T>>(x[j * stride])};
      f(number, j);
    }
  }

 private:
  // Lanes of a device step together; here all threads do for as long.
  template <class N, class F>
  N exchange(N x, F join) {
    shared_.exchanged[static_cast<std::size_t>(rank_)] = x;
    sync();
    const N other = lanes() == 1 ? x : static_cast<N>(shared_.exchanged[static_cast<std::size_t>(rank_ ^ 1)]);
    sync();
    return lanes() == 1 ? x : join(x, other);
  }

  shared& shared_;
  index rank_, size_;
};

/// body(team) by a team of so many threads.
template <class F>
void run_team(index threads, F&& body) {
  thread_team::shared with(threads);
  std::vector<std::jthread> others;
  for (index rank = 0; rank < threads; ++rank)
    others.emplace_back([&, rank] {
      thread_team team(with, rank, threads);
      body(team);
    });
}

std::vector<float> random_numbers(index count, std::uint64_t seed, double low = -2, double high = 2) {
  std::vector<float> x;
  for (index i = 0; i < count; ++i)
    x.push_back(
        static_cast<float>(low + (high - low) * counter_random{seed}.uniform(1, static_cast<std::uint64_t>(i))));
  return x;
}
/// Counted positions in disorder; of row 0 none.
std::unique_ptr<bool[]> random_mask(index rows, index tokens, std::uint64_t seed) {
  auto mask = std::make_unique<bool[]>(static_cast<std::size_t>(rows * tokens) + 1);
  for (index i = 0; i < rows * tokens; ++i)
    mask[static_cast<std::size_t>(i)] =
        i >= tokens && counter_random{seed}.below(3, 2, static_cast<std::uint64_t>(i)) > 0;
  return mask;
}
std::vector<std::uint8_t> bytes_of(const bool* mask, index count) { return {mask, mask + count}; }

TEST_CASE("device GAE is the host's, for every team, mask, hole rule and pair of lambdas") {
  for (const index threads : {1, 2, 8})
    for (const index tokens : {1, 2, 7, 8, 9, 70, 200}) {
      const index rows = 4;
      CAPTURE(threads);
      CAPTURE(tokens);
      const auto reward = random_numbers(rows * tokens, 1), value = random_numbers(rows * tokens, 2),
                 bootstrap = random_numbers(rows, 3);
      const auto mask = random_mask(rows, tokens, 4);
      const auto bytes = bytes_of(mask.get(), rows * tokens);
      for (const auto [is_masked, has_bootstrap] : {std::array{false, true}, {true, false}, {true, true}})
        for (const hole_rule holes : {hole_rule::carry, hole_rule::decay})
          for (const double value_lambda : {-1.0, 1.0})
            for (const double adaptive : {0.0, 0.3}) {
              std::vector<float> advantage(reward.size(), 9), returns(reward.size(), 9);
              const cuda::gae_problem p{.reward = reward.data(),
                                        .value = value.data(),
                                        .mask = is_masked ? mask.get() : nullptr,
                                        .bootstrap = has_bootstrap ? bootstrap.data() : nullptr,
                                        .rows = rows,
                                        .tokens = tokens,
                                        .gamma = 0.97,
                                        .lambda = 0.9,
                                        .value_lambda = value_lambda,
                                        .length_adaptive_alpha = adaptive,
                                        .holes = holes,
                                        .advantage = advantage.data(),
                                        .returns = returns.data()};
              cuda::gae_memory memory;
              run_team(threads, [&](auto& team) {
                for (index row = 0; row < rows; ++row) cuda::gae_row(team, memory, p, row);
              });
              gae_options options{.gamma = 0.97,
                                  .lambda = 0.9,
                                  .value_lambda = value_lambda,
                                  .length_adaptive_alpha = adaptive,
                                  .holes = holes};
              if (has_bootstrap) options.bootstrap = bootstrap;
              const advantages expected =
                  gae(reward, value, is_masked ? padded(rows, tokens, bytes) : padded(rows, tokens), options);
              for (std::size_t i = 0; i < reward.size(); ++i) {
                CHECK(advantage[i] == doctest::Approx(expected.advantage[i]).epsilon(1e-6));
                CHECK(returns[i] == doctest::Approx(expected.returns[i]).epsilon(1e-6));
              }
            }
    }
}

TEST_CASE("device whitening is the host's") {
  for (const index count : {1, 3, 100, 8192, 20001})
    for (const index threads : {1, 4, 16}) {
      CAPTURE(count);
      CAPTURE(threads);
      const auto values = random_numbers(count, 5, 3, 9);
      const auto mask = random_mask(2, count, 6);
      const bool* const of_second = mask.get() + count;
      const auto bytes = bytes_of(of_second, count);
      for (const whiten_options& options : {whiten_options{},
                                            whiten_options{.is_unbiased = false,
                                                           .epsilon = 1e-5,
                                                           .place = epsilon_place::deviation,
                                                           .uncounted = uncounted_value::as_of_zero},
                                            whiten_options{.place = epsilon_place::floor,
                                                           .count_epsilon = 1e-8,
                                                           .is_mean_removed = false,
                                                           .uncounted = uncounted_value::transformed},
                                            whiten_options{.given = {10, 2, 40}}})
        for (const bool is_masked : {false, true}) {
          std::vector<float> out(values.size());
          const cuda::whiten_problem p{.values = values.data(),
                                       .mask = is_masked ? of_second : nullptr,
                                       .count = count,
                                       .options = options,
                                       .out = out.data()};
          std::vector<moments> of_part(static_cast<std::size_t>(cuda::whiten_parts(count)));
          cuda::whiten_memory memory;
          run_team(threads, [&](auto& team) {
            for (index part = 0; part < cuda::whiten_parts(count); ++part) {
              const moments found = cuda::moments_of_part(team, memory, p, part);
              if (team.rank() == 0) of_part[static_cast<std::size_t>(part)] = found;
            }
          });
          emend::detail::whitening f;
          run_team(threads, [&](auto& team) {
            const auto found = cuda::whitening_of(team, memory, p, of_part.data());
            if (team.rank() == 0) f = found;
          });
          for (index i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = cuda::whitened(p, f, i);
          const auto expected = whiten(values, is_masked ? padded(1, count, bytes) : padded(1, count), options);
          for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == doctest::Approx(expected[i]).epsilon(1e-6));
        }
    }
}

/// ids and log-probabilities of every row, by a team.
template <class T>
std::pair<std::vector<std::int64_t>, std::vector<double>> drawn_by(index threads, cuda::sample_problem<T> p) {
  std::pair<std::vector<std::int64_t>, std::vector<double>> result;
  result.first.resize(static_cast<std::size_t>(p.rows), -7);
  result.second.resize(static_cast<std::size_t>(p.rows), -7);
  p.ids = result.first.data();
  p.log_prob = result.second.data();
  cuda::sample_memory memory;
  run_team(threads, [&](auto& team) {
    for (index row = 0; row < p.rows; ++row) cuda::sample_row(team, memory, p, row);
  });
  return result;
}

TEST_CASE("device draws are the host sampler's, for any number of threads") {
  const counter_random random{31};
  for (const index vocab : {1, 2, 5, 64, 257, 3000}) {
    const index rows = 6;
    CAPTURE(vocab);
    auto scores = random_numbers(rows * vocab, static_cast<std::uint64_t>(vocab), -6, 6);
    for (index j = 0; j < vocab; ++j) {
      scores[static_cast<std::size_t>(j)] = static_cast<float>(j % 3);  // ties
      if (j % 2) scores[static_cast<std::size_t>(vocab + j)] = -std::numeric_limits<float>::infinity();
    }
    for (const auto [temperature, k, p, min_p] : {std::array{1.0, 0.0, 1.0, 0.0},
                                                  {0.7, 5, 1, 0},
                                                  {0.9, 3, 0.7, 0},
                                                  {1.3, 0, 0.9, 0},
                                                  {1, 0, 1, 0.1},
                                                  {0.8, 50, 0.8, 0.02},
                                                  {1, 1, 1, 0},
                                                  {1, 0, 0.01, 0}}) {
      CAPTURE(temperature);
      CAPTURE(k);
      CAPTURE(p);
      const cuda::sample_problem<float> problem{.scores = scores.data(),
                                                .rows = rows,
                                                .vocab = vocab,
                                                .row_stride = vocab,
                                                .temperature = temperature,
                                                .top_k = static_cast<index>(k),
                                                .top_p = p,
                                                .min_p = min_p,
                                                .random = random,
                                                .step = 3};
      const auto one = drawn_by(1, problem), many = drawn_by(4, problem);
      CHECK(one == many);
      const sampler how{temperature_scaling{temperature}, top_k_filter{k > 0 ? static_cast<index>(k) : vocab},
                        top_p_filter{.p = p}, min_p_filter{min_p}};
      for (index i = 0; i < rows; ++i) {
        const drawn_id expected =
            how.draw(scores.data() + i * vocab, vocab, random.uniform(static_cast<std::uint64_t>(i), 3));
        CHECK(one.first[static_cast<std::size_t>(i)] == expected.id);
        CHECK(one.second[static_cast<std::size_t>(i)] == doctest::Approx(expected.log_prob).epsilon(1e-5).scale(1));
      }
    }
  }
}

TEST_CASE("device draws: a nucleus of more than top_k lets through, of a few heavy ids and many light ones") {
  const index vocab = 2000;
  std::vector<float> scores(static_cast<std::size_t>(vocab), std::log(0.00064f));
  scores[0] = 0;
  scores[1] = scores[2] = std::log(0.3f);
  for (const double top_p : {0.5, 0.9, 1.0})
    for (const index top_k : {index{3}, index{20}, index{1500}, vocab, 2 * vocab})
      for (const double min_p : {0.0, 0.2})
        for (std::uint64_t step = 0; step < 3; ++step) {
          CAPTURE(top_k);
          CAPTURE(top_p);
          const cuda::sample_problem<float> p{.scores = scores.data(),
                                              .rows = 1,
                                              .vocab = vocab,
                                              .row_stride = vocab,
                                              .top_k = top_k,
                                              .top_p = top_p,
                                              .min_p = min_p,
                                              .random = {12},
                                              .step = step};
          const sampler how{top_k_filter{std::min(top_k, vocab)}, top_p_filter{.p = top_p}, min_p_filter{min_p}};
          const drawn_id expected = how.draw(scores.data(), vocab, counter_random{12}.uniform(0, step));
          for (const index threads : {1, 4}) CHECK(drawn_by(threads, p).first[0] == expected.id);
        }
}

TEST_CASE("device draws: 16-bit scores, streams, strides, and rows that no id can be drawn from") {
  std::vector<bfloat16> scores;
  for (int i = 0; i < 4 * 6; ++i) scores.push_back(bfloat16(static_cast<float>(i * 7 % 5)));
  scores[2 * 6 + 4] = bfloat16(std::nanf(""));
  for (int j = 0; j < 6; ++j)
    scores[static_cast<std::size_t>(3 * 6 + j)] = bfloat16(-std::numeric_limits<float>::infinity());
  const std::vector<std::int64_t> streams{8, 8, 1, 2};
  cuda::sample_problem<bfloat16> p{.scores = scores.data(),
                                   .rows = 4,
                                   .vocab = 6,
                                   .row_stride = 6,
                                   .top_k = 3,
                                   .random = {5},
                                   .step = 1,
                                   .streams = streams.data()};
  const auto drawn = drawn_by(4, p);
  for (const std::size_t i : {0u, 1u})
    CHECK(drawn.first[i] ==
          sampler{top_k_filter{3}}.draw(scores.data() + 6 * i, 6, counter_random{5}.uniform(8, 1)).id);
  for (const std::size_t i : {2u, 3u}) {
    CHECK(drawn.first[i] == -1);
    CHECK(std::isnan(drawn.second[i]));
  }
  // The same scores, tokens contiguous; the row of NaN last.
  std::vector<bfloat16> turned;
  for (std::size_t j = 0; j < 6; ++j)
    for (std::size_t i = 0; i < 4; ++i) turned.push_back(scores[6 * i + j]);
  p.scores = turned.data(), p.row_stride = 1, p.vocab_stride = 4;
  CHECK(drawn_by(4, p).first == drawn.first);
  scores[0] = bfloat16(std::numeric_limits<float>::infinity());
  p.scores = scores.data(), p.row_stride = 6, p.vocab_stride = 1;
  CHECK(drawn_by(2, p).first[0] == -1);
}

TEST_CASE("device draws: a nucleus of almost nothing, and temperatures whose inverse is no number in float") {
  const std::vector<float> scores{1, 2, 3, -std::numeric_limits<float>::infinity()};
  const auto draw = [&](double temperature, double top_p, std::uint64_t step) {
    const cuda::sample_problem<float> p{.scores = scores.data(),
                                        .rows = 1,
                                        .vocab = 4,
                                        .row_stride = 4,
                                        .temperature = temperature,
                                        .top_p = top_p,
                                        .random = {9},
                                        .step = step};
    const auto drawn = drawn_by(2, p);
    return std::pair{drawn.first[0], drawn.second[0]};
  };
  CHECK(draw(1, 1e-17, 0) == std::pair{std::int64_t{2}, 0.0});
  CHECK(draw(1e-40, 1, 0) == std::pair{std::int64_t{2}, 0.0});
  std::array<int, 4> seen{};
  for (std::uint64_t step = 0; step < 60; ++step) {
    const auto [id, log_prob] = draw(1e46, 1, step);
    ++seen[static_cast<std::size_t>(id)];
    CHECK(log_prob == doctest::Approx(-std::log(3.0)));
  }
  CHECK(seen[3] == 0);
  for (const int id : {0, 1, 2}) CHECK(seen[static_cast<std::size_t>(id)] > 5);
}

TEST_CASE("device masks and positions of a forest are the host's") {
  for (const index nodes : {1, 2, 33, 130}) {
    std::vector<index> parent;
    for (index i = 0; i < nodes; ++i)
      parent.push_back(i == 0 || i % 17 == 0 ? -1 : counter_random{3}.below(i, 0, static_cast<std::uint64_t>(i)));
    const std::vector<std::int64_t> on_device(parent.begin(), parent.end());
    const auto size = static_cast<std::size_t>(nodes * nodes);
    std::vector<float> mask(size, 7), expected(size);
    std::vector<std::int64_t> position(parent.size(), -1);
    run_team(8, [&](auto& team) {
      for (index i = 0; i < nodes; ++i) {
        cuda::ancestor_row(team, {.parent = on_device.data(), .nodes = nodes, .position = position.data()}, mask.data(),
                           0.0f, -1.0f, i);
        team.sync();
      }
    });
    write_attention_mask(parent, expected.data(), 0.0f, -1.0f);
    CHECK(mask == expected);
    for (std::size_t i = 0; i < parent.size(); ++i)
      CHECK(position[i] == (parent[i] < 0 ? 0 : position[static_cast<std::size_t>(parent[i])] + 1));
  }
}

TEST_CASE("device rewards are the host's, in every mode") {
  const index rows = 5, tokens = 11, vocab = 37;
  auto scores = random_numbers(rows * tokens * vocab, 12);
  std::vector<index> response;
  for (index t = 0; t < rows * tokens; ++t) {
    // Now and then the model's own choice, so that responses part from it at different tokens; now and then a tie of
    // two ids, and an impossible one.
    float* const row = scores.data() + t * vocab;
    index id = counter_random{4}.below(vocab, 0, static_cast<std::uint64_t>(t));
    if (t % 4 != 3) id = std::max_element(row, row + vocab) - row;
    if (t % 7 == 2) row[vocab - 1] = *std::max_element(row, row + vocab);
    if (t % 9 == 8) row[id] = -std::numeric_limits<float>::infinity();
    response.push_back(id);
    // Rows that are no distribution: +inf, NaN first and later, -inf alone.
    const float infinite = std::numeric_limits<float>::infinity();
    if (t == 3 || t == 20) row[id] = infinite;
    if (t == 8) row[0] = std::nanf("");
    if (t == 31) row[17] = std::nanf("");
    if (t == 25) std::fill(row, row + vocab, -infinite);
  }
  const auto mask = random_mask(rows, tokens, 14);
  const auto bytes = bytes_of(mask.get(), rows * tokens);
  const std::vector<std::int64_t> on_device(response.begin(), response.end());
  std::vector<double> reference(response.size());
  for (std::size_t t = 0; t < reference.size(); ++t) reference[t] = -0.1 * static_cast<double>(t);
  const std::vector<index> ends{3, response[static_cast<std::size_t>(2 * tokens - 1)]};
  for (const reward_mode mode :
       {reward_mode::sign, reward_mode::prob, reward_mode::margin, reward_mode::logratio, reward_mode::dense})
    for (const bool is_masked : {false, true})
      for (const bool is_per_length : {false, true}) {
        const seq2seq_reward_options options{
            .mode = mode,
            .positive = 1.5,
            .negative = 0.75,
            .clip = 3,
            .neutral = 0.125,
            .is_neutral_positive = is_masked,
            .has_truncation_penalty = is_per_length,
            .end_ids = ends,
            .normalise = is_per_length ? reward_normalisation::per_length : reward_normalisation::none,
            .reference_log_prob = reference,
            .transform = {.temperature = 0.5}};
        const auto expected =
            extract_rewards(score_view<const float>{scores.data(), rows * tokens, vocab, vocab, 1}, response,
                            is_masked ? padded(rows, tokens, bytes) : padded(rows, tokens), options);
        for (const index threads : {1, 8}) {
          std::vector<double> log_prob(response.size()), best(response.size()), score(response.size(), 9),
              sequence(static_cast<std::size_t>(rows)), copy(static_cast<std::size_t>(rows));
          std::vector<std::int64_t> arg_max(response.size()), divergence(static_cast<std::size_t>(rows));
          const cuda::reward_problem<float> p{.scores = scores.data(),
                                              .sequences = rows,
                                              .tokens = tokens,
                                              .vocab = vocab,
                                              .batch_stride = tokens * vocab,
                                              .token_stride = vocab,
                                              .multiplier = 2,
                                              .response = on_device.data(),
                                              .mask = is_masked ? mask.get() : nullptr,
                                              .reference_log_prob = reference.data(),
                                              .reward = {mode, 1.5, 0.75, 3, 0.125, is_masked},
                                              .is_per_length = is_per_length,
                                              .truncation_penalty = is_per_length ? 0.75 : 0,
                                              .end_id_count = 2,
                                              .end_ids = {ends[0], ends[1]},
                                              .log_prob = log_prob.data(),
                                              .max_log_prob = best.data(),
                                              .score = score.data(),
                                              .arg_max = arg_max.data(),
                                              .divergence = divergence.data(),
                                              .sequence_score = sequence.data(),
                                              .copy_log_likelihood = copy.data()};
          cuda::choice_memory<float> of_choices;
          cuda::reward_memory of_rewards;
          run_team(threads, [&](auto& team) {
            for (index t = 0; t < rows * tokens; ++t) cuda::choice_row(team, of_choices, p, t);
            for (index b = 0; b < rows; ++b) cuda::reward_row(team, of_rewards, p, b);
          });
          CHECK(std::equal(arg_max.begin(), arg_max.end(), expected.arg_max.begin()));
          CHECK(std::equal(divergence.begin(), divergence.end(), expected.divergence.begin()));
          const auto near = [](const std::vector<double>& a, const std::vector<double>& b) {
            for (std::size_t i = 0; i < b.size(); ++i) {
              if (std::isnan(b[i]))
                CHECK(std::isnan(a[i]));
              else if (std::isinf(b[i]))
                CHECK(a[i] == b[i]);
              else
                CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5).scale(1));
            }
          };
          near(log_prob, expected.log_prob);
          near(score, expected.score);
          near(sequence, expected.sequence_score);
          near(copy, expected.copy_log_likelihood);
        }
      }
}

/// Numbers of 0 of which memory is used only where some are read or written, so that an array of 2^32 is nothing; or
/// none, where the system does not promise so much.
template <class T>
class sparse_numbers {
 public:
  explicit sparse_numbers(index count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  sparse_numbers(const sparse_numbers&) = delete;
  sparse_numbers& operator=(const sparse_numbers&) = delete;
  ~sparse_numbers() {
    if (*this) munmap(memory_, bytes_);
  }
  explicit operator bool() const { return memory_ != MAP_FAILED; }
  T* data() const { return static_cast<T*>(memory_); }

 private:
  std::size_t bytes_;
  void* memory_;
};

TEST_CASE("device rows beyond 2^31 numbers: statistics, gradients, choices and draws of the last of 2^32 scores") {
  constexpr index rows = 32768, vocab = 131072, row = rows - 1, tokens = 4096;
  const sparse_numbers<bfloat16> all(rows * vocab);
  if (!all) {
    MESSAGE("left out: the system does not promise 8 GiB");
    return;
  }
  bfloat16* const last = all.data() + row * vocab;
  std::vector<float> copy(static_cast<std::size_t>(vocab), 0);
  for (index j = 0; j < vocab; ++j) {
    const float x = j == vocab - 2 ? 20.0f : static_cast<float>(j % 5);
    last[j] = bfloat16(x);
    copy[static_cast<std::size_t>(j)] = x;
  }
  const std::vector<index> target{vocab - 2};
  const statistics_columns expected = statistics(matrix<float>(1, vocab, copy), target, {.with_arg_max = true});

  const cuda::row_problem<bfloat16> block{.scores = all.data(),
                                          .rows = rows,
                                          .vocab = vocab,
                                          .tokens = tokens,
                                          .batch_stride = tokens * vocab,
                                          .token_stride = vocab};
  const bfloat16* const x = block.scores + block.offset(row);
  REQUIRE(x == last);
  const auto share =
      cuda::share_of<cuda::row_share<float>>(x, vocab, 1, static_cast<float>(cuda::detail::log2_of_e), 0, 1);
  const auto result = cuda::evaluate_row([](const auto& t) { return -t.log_prob; }, share, 20.0, vocab - 2, row, 1, 1);
  CHECK(result.log_z == doctest::Approx(expected.log_z[0]).epsilon(1e-6));
  CHECK(result.log_prob == doctest::Approx(expected.log_prob[0]).epsilon(1e-5));
  // In place, as the kernel may: a row's own scores, and nobody else's.
  cuda::write_share(x, 1, last, 1, vocab, result.slope, 0, 1);
  CHECK(static_cast<float>(last[vocab - 2]) == doctest::Approx(std::exp(expected.log_prob[0]) - 1).epsilon(0.01));
  CHECK(static_cast<float>(all.data()[(row - 1) * vocab + vocab - 2]) == 0);
  for (index j = 0; j < vocab; ++j) last[j] = bfloat16(copy[static_cast<std::size_t>(j)]);

  std::vector<std::int64_t> response(static_cast<std::size_t>(rows), vocab - 2), arg_max(response.size(), -7);
  std::vector<double> log_prob(response.size()), best(response.size());
  cuda::reward_problem<bfloat16> choices{
      .scores = all.data(), .sequences = rows / tokens, .tokens = tokens, .vocab = vocab};
  choices.batch_stride = tokens * vocab;
  choices.token_stride = vocab;
  choices.response = response.data();
  choices.log_prob = log_prob.data();
  choices.max_log_prob = best.data();
  choices.arg_max = arg_max.data();
  cuda::choice_memory<float> of_choices;
  run_team(2, [&](auto& team) { cuda::choice_row(team, of_choices, choices, row); });
  CHECK(arg_max.back() == expected.arg_max[0]);
  CHECK(log_prob.back() == doctest::Approx(expected.log_prob[0]).epsilon(1e-5));
  CHECK(arg_max[static_cast<std::size_t>(row - 1)] == -7);

  std::vector<std::int64_t> ids(response.size(), -7);
  cuda::sample_problem<bfloat16> draws{
      .scores = all.data(), .rows = rows, .vocab = vocab, .row_stride = vocab, .top_k = 1};
  draws.ids = ids.data();
  cuda::sample_memory of_draws;
  run_team(2, [&](auto& team) { cuda::sample_row(team, of_draws, draws, row); });
  CHECK(ids.back() == vocab - 2);
}

TEST_CASE("device rows beyond 2^31 numbers: advantages, and moments of a part") {
  constexpr index tokens = 4096, row = index{1} << 19, first = row * tokens;
  static_assert(first == index{1} << 31);
  const sparse_numbers<float> reward(first + tokens), value(first + tokens), advantage(first + tokens),
      returns(first + tokens);
  if (!reward || !value || !advantage || !returns) {
    MESSAGE("left out: the system does not promise 32 GiB");
    return;
  }
  const std::vector<float> rewards = random_numbers(tokens, 51), values = random_numbers(tokens, 52);
  std::copy(rewards.begin(), rewards.end(), reward.data() + first);
  std::copy(values.begin(), values.end(), value.data() + first);
  const cuda::gae_problem p{.reward = reward.data(),
                            .value = value.data(),
                            .rows = row + 1,
                            .tokens = tokens,
                            .gamma = 0.9,
                            .lambda = 0.8,
                            .advantage = advantage.data(),
                            .returns = returns.data()};
  cuda::gae_memory memory;
  run_team(2, [&](auto& team) { cuda::gae_row(team, memory, p, row); });
  const advantages expected = gae(rewards, values, padded(1, tokens), {.gamma = 0.9, .lambda = 0.8});
  for (index t = 0; t < tokens; ++t)
    CHECK(advantage.data()[first + t] ==
          doctest::Approx(expected.advantage[static_cast<std::size_t>(t)]).epsilon(1e-5));

  const cuda::whiten_problem part{.values = reward.data(), .count = first + tokens};
  cuda::whiten_memory of_part;
  moments found;
  run_team(2, [&](auto& team) {
    const moments of_team = cuda::moments_of_part(team, of_part, part, first / cuda::whiten_part);
    if (team.rank() == 0) found = of_team;
  });
  const moments whole = moments_of(rewards, padded(1, tokens));
  CHECK(found.count == tokens);
  CHECK(found.mean == doctest::Approx(whole.mean));
  CHECK(found.squares == doctest::Approx(whole.squares));
  CHECK(cuda::whiten_parts(part.count) == first / cuda::whiten_part + 1);
}

}  // namespace
