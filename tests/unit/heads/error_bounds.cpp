// The error of log_z and entropy: at most 2e-6 of the larger of 1 and the value where the arithmetic is float, and
// 1e-14 in double, for every instruction set, storage type and order of the scores.
#include "exact_statistics.hpp"
#include "instruction_sets.hpp"

#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace {

template <class T>
constexpr double bound = sizeof(emend::arithmetic<T>) == 4 ? 2e-6 : 1e-14;

/// The largest errors of the rows of x: log_z, then entropy; by every way that takes their statistics.
template <class T>
void check_rows(const emend::matrix<T>& x, const std::string& name, double temperature = 1) {
  const emend::index rows = x.rows(), vocab = x.columns();
  std::vector<exact_statistics> expected;
  for (emend::index i = 0; i < rows; ++i)
    expected.push_back(exact_statistics_of(vocab, [&](emend::index j) {
      return static_cast<exact>(static_cast<emend::arithmetic<T>>(x(i, j))) / temperature;
    }));
  std::vector<T> across(static_cast<std::size_t>(rows * vocab)), spread(static_cast<std::size_t>(2 * rows * vocab));
  for (emend::index i = 0; i < rows; ++i)
    for (emend::index j = 0; j < vocab; ++j) {
      across[static_cast<std::size_t>(j * rows + i)] = x(i, j);
      spread[static_cast<std::size_t>(2 * (i * vocab + j))] = x(i, j);
    }
  const emend::score_view<const T> columns{across.data(), rows, vocab, 1, rows};
  const emend::score_view<const T> gathered{spread.data(), rows, vocab, 2 * vocab, 2};
  const std::vector<int> targets(static_cast<std::size_t>(rows), 0);
  CAPTURE(name);
  CAPTURE(vocab);
  for (const auto set : supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    const auto check = [&](const char* way, const auto& scores, bool is_fused, bool has_extras) {
      CAPTURE(way);
      std::vector<double> log_z, entropy;
      if (is_fused) {
        // Statistics and gradient together: kernels that keep the powers.
        log_z.resize(static_cast<std::size_t>(rows));
        entropy = log_z;
        emend::evaluation_options options{.instructions = set};
        options.transform.temperature = temperature;
        emend::matrix<T> gradient(rows, vocab);
        const auto loss = [&](const auto& t) {
          log_z[static_cast<std::size_t>(t.position)] = emend::value_of(t.log_z);
          entropy[static_cast<std::size_t>(t.position)] = emend::value_of(t.entropy);
          return -t.log_prob;
        };
        emend::evaluate_into(loss, scores, targets, options, gradient);
      } else {
        emend::statistics_options wanted{.instructions = set};
        wanted.transform.temperature = temperature;
        wanted.with_log_sum_squares = has_extras;
        const auto found = emend::statistics(scores, targets, wanted);
        log_z.assign(found.log_z.begin(), found.log_z.end());
        entropy.assign(found.entropy.begin(), found.entropy.end());
      }
      double of_log_z = 0, of_entropy = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        of_log_z = std::max(of_log_z, error_of(log_z[i], expected[i].log_z));
        of_entropy = std::max(of_entropy, error_of(entropy[i], expected[i].entropy));
      }
      CHECK(of_log_z <= bound<T>);
      CHECK(of_entropy <= bound<T>);
    };
    check("rows", x, false, false);
    check("rows with extras", x, false, true);
    check("rows with their gradient", x, true, false);
    check("columns", columns, false, false);
    check("columns with extras", columns, false, true);
    check("gathered", gathered, false, false);
  }
}

template <class T>
T stored(double x) {
  return T(static_cast<emend::arithmetic<T>>(x));
}

}  // namespace

TEST_CASE_TEMPLATE("rows of one dominating score", T, float, double, emend::bfloat16, emend::float16) {
  // The score lies in the first, a middle and the last chunk of the row, and in its tail.
  for (const emend::index vocab : {2, 17, 300, 2048, 4099, 9000})
    for (const double offset : {0.0, -37.0, 300.0, -3000.0}) {
      emend::matrix<T> x(24, vocab);
      for (emend::index i = 0; i < 24; ++i) {
        const emend::index place = i % 4 == 0 ? 0 : i % 4 == 1 ? vocab / 2 : i % 4 == 2 ? vocab * 3 / 4 : vocab - 1;
        for (emend::index j = 0; j < vocab; ++j)
          x(i, j) = stored<T>(offset + 0.3 * normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j)));
        x(i, place) = stored<T>(offset + static_cast<double>(i) * 1.1);
      }
      check_rows(x, "offset " + std::to_string(offset));
    }
}

TEST_CASE_TEMPLATE("equal large scores, and many that are lost next to them", T, float, double, emend::bfloat16,
                   emend::float16) {
  // Powers from 2^-19 to 2^-26 of the largest: next to 2^-24 sums of float lose the most.
  for (const emend::index vocab : {1024, 2048, 8192})
    for (const emend::index peaks : {1, 8, 16})
      for (const emend::index first : {emend::index{0}, vocab / 2}) {
        emend::matrix<T> x(48, vocab);
        for (emend::index i = 0; i < 48; ++i) {
          for (emend::index j = 0; j < vocab; ++j) x(i, j) = stored<T>(-13.5 - static_cast<double>(i) / 10.5);
          for (emend::index j = 0; j < peaks; ++j) x(i, first + j) = stored<T>(0);
        }
        check_rows(x, std::to_string(peaks) + " from " + std::to_string(first));
      }
}

TEST_CASE_TEMPLATE("random rows", T, float, double, emend::bfloat16, emend::float16) {
  for (const emend::index vocab : {3, 100, 2500, 9000})
    for (const double deviation : {0.01, 1.0, 4.0, 20.0})
      for (const double temperature : {1.0, 0.3}) {
        emend::matrix<T> x(12, vocab);
        for (emend::index i = 0; i < 12; ++i)
          for (emend::index j = 0; j < vocab; ++j)
            x(i, j) = stored<T>(deviation * normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j)));
        check_rows(x, "deviation " + std::to_string(deviation), temperature);
      }
}

TEST_CASE_TEMPLATE("two scores whose powers lie between integers", T, float, double, emend::bfloat16, emend::float16) {
  // Where the polynomial of the powers is the least exact, nothing averages its error.
  emend::matrix<T> x(60, 40);
  for (emend::index i = 0; i < 60; ++i)
    for (emend::index j = 0; j < 40; ++j) x(i, j) = stored<T>(j == 0 ? -3.0 : -3.0 - static_cast<double>(i + 1) / 64);
  check_rows(x, "below the largest");
}

TEST_CASE_TEMPLATE("scores that rise all along the row", T, float, double, emend::bfloat16, emend::float16) {
  // The mass of every chunk lies above that of all before: the reference is raised again and again, and each time what
  // was summed before moves with it.
  for (const double step : {0.002, 0.02, 0.2})
    for (const emend::index vocab : {700, 5000}) {
      emend::matrix<T> x(4, vocab);
      for (emend::index i = 0; i < 4; ++i)
        for (emend::index j = 0; j < vocab; ++j)
          x(i, j) = stored<T>(step * static_cast<double>(j) + 0.1 * static_cast<double>(i) - 50);
      check_rows(x, "step " + std::to_string(step));
    }
}

TEST_CASE_TEMPLATE("scores of -inf before and between", T, float, double, emend::bfloat16, emend::float16) {
  const emend::index vocab = 6000;
  emend::matrix<T> x(6, vocab);
  for (emend::index i = 0; i < 6; ++i)
    for (emend::index j = 0; j < vocab; ++j)
      x(i, j) = j < 900 * i || j % 5 == 0
                    ? stored<T>(-HUGE_VAL)
                    : stored<T>(3 * normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j)) +
                                (j == 5501 ? 30 : 0));
  check_rows(x, "with -inf");
}
