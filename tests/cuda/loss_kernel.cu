// The kernel of losses on a device, against the slow reference of the backend suite: every way it takes a row, every
// type.
#include "backends/suite.hpp"
#include "pinned.hpp"

#include <emend/cuda.hpp>
#include <emend/cuda/kernels.cuh>

namespace suite {

namespace {

namespace kernels = emend::cuda;

template <class T>
traits traits_of_type() {
  return {.is_double = std::is_same_v<T, double>,
          .is_half = sizeof(T) == 2,
          .epsilon = std::is_same_v<T, bfloat16>  ? 0x1p-8
                     : std::is_same_v<T, float16> ? 0x1p-11
                                                  : 0,
          .tiny = std::is_same_v<T, float16>  ? 0x1p-25
                  : std::is_same_v<T, double> ? 1e-300
                                              : 2e-38,
          .highest = 60000};
}

/// How scores and gradient lie: neighbours, from the start of a packet or not; apart by their rows' alignment; every
/// second element; tokens contiguous; entries of two tokens with something between them.
enum class layout { neighbours, shifted, unlike, spread, transposed, batched };

struct place {
  index first, token_stride, vocab_stride, size, batch_stride = 0, tokens = 0;
  std::size_t operator()(index i, index j) const {
    const index of_token = tokens == 0 ? i * token_stride : i / tokens * batch_stride + i % tokens * token_stride;
    return static_cast<std::size_t>(first + of_token + j * vocab_stride);
  }
};
place place_of(layout of, index rows, index vocab, bool is_gradient) {
  if (of == layout::batched) return {0, vocab, 1, (rows + 1) / 2 * (2 * vocab + 3), 2 * vocab + 3, 2};
  if (of == layout::spread) return {0, 2 * vocab, 2, rows * 2 * vocab};
  if (of == layout::transposed) return {0, 1, rows, rows * vocab};
  const index first = of == layout::shifted ? 1 : of == layout::unlike && is_gradient ? 1 : 0;
  return {first, vocab, 1, first + rows * vocab};
}

struct problem_of {
  table x;
  std::vector<index> targets;
  mixed_loss loss = {};
  double multiplier = 1;
  pinned<unsigned char> mask = {};
  pinned<float> weight = {};
};

template <class T>
struct device_outcome {
  outcome got;
  pinned<T> gradient;  // with what lies between
};

template <class T>
device_outcome<T> run(const problem_of& p, layout of, bool is_in_place, bool has_gradient = true) {
  const index rows = p.x.rows, vocab = p.x.vocab;
  const place at = place_of(of, rows, vocab, false), out = is_in_place ? at : place_of(of, rows, vocab, true);
  const T between(static_cast<arithmetic<T>>(nan));
  pinned<T> scores(static_cast<std::size_t>(at.size), between);
  device_outcome<T> result{{}, pinned<T>(static_cast<std::size_t>(out.size), between)};
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j) scores[at(i, j)] = T(static_cast<arithmetic<T>>(p.x(i, j)));
  const pinned<std::int64_t> targets(p.targets.begin(), p.targets.end());
  pinned<double> values(targets.size(), nan), log_prob(targets.size(), nan), entropy(targets.size(), nan);
  pinned<T>& written = is_in_place ? scores : result.gradient;
  const kernels::row_problem<T> problem{.scores = scores.data() + at.first,
                                        .gradient = has_gradient ? written.data() + out.first : nullptr,
                                        .rows = rows,
                                        .vocab = vocab,
                                        .tokens = at.tokens == 0 ? rows : at.tokens,
                                        .batch_stride = at.batch_stride,
                                        .token_stride = at.token_stride,
                                        .vocab_stride = at.vocab_stride,
                                        .gradient_batch_stride = out.batch_stride,
                                        .gradient_token_stride = out.token_stride,
                                        .gradient_vocab_stride = out.vocab_stride,
                                        .targets = targets.data(),
                                        .mask = p.mask.empty() ? nullptr : reinterpret_cast<const bool*>(p.mask.data()),
                                        .weight = p.weight.empty() ? nullptr : p.weight.data(),
                                        .normaliser = 4,
                                        .multiplier = p.multiplier,
                                        .values = values.data(),
                                        .log_prob = log_prob.data(),
                                        .entropy = entropy.data()};
  const cudaError_t said = finished(kernels::launch_loss(problem, p.loss, nullptr));
  REQUIRE_MESSAGE(said == cudaSuccess, cudaGetErrorString(said));
  index evaluated = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_counted = (p.mask.empty() || p.mask[i]) && (p.weight.empty() || p.weight[i] != 0);
    evaluated += is_counted;
    result.got.value += values[i];
    result.got.metrics[0] += log_prob[i];
    result.got.metrics[1] += entropy[i];
  }
  result.got.evaluated = evaluated;
  for (double& m : result.got.metrics) m /= std::max<double>(1, static_cast<double>(evaluated));
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < vocab; ++j)
      result.got.gradient.push_back(static_cast<double>(static_cast<arithmetic<T>>(written[out(i, j)])));
  // Nothing but the gradient was written.
  if (has_gradient && !is_in_place) {
    index numbers = 0;
    for (const T g : result.gradient) numbers += !std::isnan(static_cast<arithmetic<T>>(g));
    CHECK(numbers <= rows * vocab);
  }
  return result;
}

template <class T>
table stored(table x) {
  for (double& v : x.values) v = static_cast<double>(static_cast<arithmetic<T>>(T(static_cast<arithmetic<T>>(v))));
  return x;
}

template <class T>
void check(problem_of p, layout of = layout::neighbours) {
  p.x = stored<T>(p.x);
  request r{.targets = p.targets,
            .loss = p.loss,
            .options = {.normaliser = 4, .transform = {.logit_scale = p.multiplier}, .with_log_sum_squares = true}};
  const std::vector<std::uint8_t> mask(p.mask.begin(), p.mask.end());
  const std::vector<float> weight(p.weight.begin(), p.weight.end());
  if (!mask.empty()) r.options.mask = mask;
  if (!weight.empty()) r.options.weight = weight;
  const expectation expected = reference(p.x, r);
  const auto fresh = run<T>(p, of, false), again = run<T>(p, of, false), in_place = run<T>(p, of, true),
             alone = run<T>(p, of, false, false);
  check_value(traits_of_type<T>(), fresh.got, expected);
  check_gradient(traits_of_type<T>(), p.x, fresh.got, expected);
  CHECK(same_bits(again.got.gradient.data(), fresh.got.gradient.data(), p.x.rows * p.x.vocab));
  CHECK(again.got.value == fresh.got.value);
  check_value(traits_of_type<T>(), alone.got, expected);
  check_gradient(traits_of_type<T>(), p.x, in_place.got, expected);
}

}  // namespace

TEST_CASE_TEMPLATE("device loss: values and gradients are those of the reference, in every layout", T, float, double,
                   bfloat16, float16) {
  for (const index vocab : {1, 2, 7, 8, 9, 31, 33, 129, 1000, 2048, 2049, 5000, 32000})
    for (const layout of :
         {layout::neighbours, layout::shifted, layout::unlike, layout::spread, layout::transposed, layout::batched}) {
      CAPTURE(vocab);
      CAPTURE(static_cast<int>(of));
      check<T>({random_table(3, vocab), random_targets(3, vocab), every_statistic, 0.75}, of);
    }
}

TEST_CASE_TEMPLATE("device loss: rows that several blocks share, and rows that none can keep", T, float, double,
                   bfloat16, float16) {
  // First one whose blocks take 48 KiB, all that a kernel has without asking for more.
  for (const index vocab : {49152, 50257, 128256, 151937, 262144, 600001}) {
    CAPTURE(vocab);
    check<T>({random_table(2, vocab, 4), {0, vocab - 1}, every_statistic, 1.5});
    check<T>({random_table(2, vocab, 4), {vocab / 2, vocab / 3}}, layout::shifted);
  }
}

TEST_CASE_TEMPLATE("device loss: masks, weights, many rows", T, float, bfloat16) {
  for (const index vocab : {33, 3000, 128256}) {
    const index rows = vocab > 100000 ? 20 : 700;
    problem_of p{random_table(rows, vocab), random_targets(rows, vocab), {.entropy = 0.5}};
    for (index i = 0; i < rows; ++i) {
      p.mask.push_back(i % 3 != 1);
      p.weight.push_back(static_cast<float>(i % 5));
    }
    check<T>(p);
    std::fill(p.mask.begin(), p.mask.end(), 0);
    check<T>(p);
  }
  check<T>({table{0, 9}, {}});
}

TEST_CASE_TEMPLATE("device loss: -inf, an ascending row, ties, one certain id", T, float, double, bfloat16) {
  for (const index vocab : {200, 8200}) {
    table x = random_table(5, vocab);
    const double step = 50.0 / static_cast<double>(vocab);
    for (index j = 0; j < vocab; j += 2) x(0, j) = -inf;
    for (index j = 0; j < vocab; ++j) {
      x(1, j) = step * static_cast<double>(j);  // every score raises the top
      x(2, j) = 3;
      x(3, j) = j == 77 ? 2.5 : -inf;
      x(4, j) = -step * static_cast<double>(j);
    }
    check<T>({x, {1, vocab - 1, 5, 77, 0}, {-1, 0, 0.5, 0.25, 0.0625}});
  }
}

TEST_CASE_TEMPLATE("device loss: scores far above those that threads see first", T, float, double, bfloat16) {
  for (const index vocab : {3000, 32000, 128256})
    for (const double height : {10.0, 20.0, 44.0, 79.0, 83.8, 200.0, 3000.0}) {
      CAPTURE(vocab);
      CAPTURE(height);
      table x{3, vocab};
      for (const index j : {vocab / 6, vocab / 5, vocab - 1}) x(0, j) = x(1, j) = height;
      for (index j = 2000; j < vocab; ++j) x(2, j) = height;
      check<T>({x, {5, vocab / 5, vocab - 2}, every_statistic});
      check<T>({x, {5, vocab / 5, vocab - 2}, {.entropy = 0.5}});
    }
}

TEST_CASE_TEMPLATE("device loss: NaN, +inf, no possible id, ids out of range", T, float, bfloat16, double) {
  for (const index vocab : {1, 5, 100, 9000, 200000}) {
    CAPTURE(vocab);
    problem_of p{random_table(5, vocab), {0, 0, 0, -1, vocab}};
    p.x(0, vocab - 1) = nan;
    p.x(1, 0) = inf;
    for (index j = 0; j < vocab; ++j) p.x(2, j) = -inf;
    for (index row = 0; row < 5; ++row) {
      const index target = p.targets[static_cast<std::size_t>(row)];
      problem_of one{table{1, vocab}, {target}};
      for (index j = 0; j < vocab; ++j) one.x(0, j) = p.x(row, j);
      const auto got = run<T>(one, layout::neighbours, false).got;
      CAPTURE(row);
      if (row == 2)
        CHECK(got.value == inf);
      else
        CHECK(std::isnan(got.value));
      if (row >= 2)
        for (const double g : got.gradient) REQUIRE(g == 0);
    }
  }
}

}  // namespace suite
