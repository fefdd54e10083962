#include "suite.hpp"

#include <emend/core/random.hpp>

#include <algorithm>
#include <cstring>

namespace suite {

namespace {

using real_t = long double;

struct row_reference {
  std::vector<index> ids;
  std::vector<real_t> z, slope, p, log_p;  // by id kept
  real_t log_z = 0, entropy = 0, log_sum_squares = 0, mean = 0;
  index arg_max = -1;
  bool is_nan = false;
};

row_reference row_of(const table& x, index row, const evaluation_options& options) {
  row_reference r;
  const score_transform& f = options.transform;
  const real_t temperature = f.temperatures.empty() ? f.temperature : f.temperatures[row];
  if (options.kept.offsets.empty())
    for (index j = 0; j < x.vocab; ++j) r.ids.push_back(j);
  else
    for (index k = options.kept.offsets[row]; k < options.kept.offsets[row + 1]; ++k)
      r.ids.push_back(options.kept.ids[k]);
  real_t maximum = -INFINITY;
  for (index j : r.ids) {
    const real_t value = x(row, j);
    real_t z = f.logit_scale * value, slope = f.logit_scale;
    if (f.soft_cap != 0 && value != -INFINITY) {
      const real_t t = std::tanh(z / f.soft_cap);
      z = f.soft_cap * t;
      slope *= 1 - t * t;
    }
    r.is_nan |= !(value < INFINITY);
    r.z.push_back(z / temperature);
    r.slope.push_back(slope / temperature);
    if (r.z.back() > maximum) maximum = r.z.back();
    r.mean += r.z.back() / static_cast<real_t>(r.ids.size());
  }
  if (r.is_nan) {
    r.log_z = r.entropy = r.log_sum_squares = r.mean = nan;
    return r;
  }
  for (std::size_t k = 0; k < r.ids.size(); ++k)
    if (r.z[k] == maximum && (r.arg_max < 0 || r.ids[k] < r.arg_max)) r.arg_max = r.ids[k];
  r.p.assign(r.ids.size(), 0);
  r.log_p.assign(r.ids.size(), -INFINITY);
  if (maximum == -INFINITY) {
    r.log_z = r.log_sum_squares = -INFINITY;
    return r;
  }
  real_t sum = 0, squares = 0;
  for (real_t z : r.z) sum += std::exp(z - maximum);
  r.log_z = maximum + std::log(sum);
  for (std::size_t k = 0; k < r.ids.size(); ++k) {
    r.log_p[k] = (r.z[k] - maximum) - std::log(sum);
    r.p[k] = std::exp(r.log_p[k]);
    if (r.p[k] > 0) r.entropy -= r.p[k] * r.log_p[k];
    squares += r.p[k] * r.p[k];
  }
  r.log_sum_squares = std::log(squares);
  return r;
}

}  // namespace

expectation reference(const table& x, const request& request) {
  const evaluation_options& options = request.options;
  const mixed_loss& loss = request.loss;
  std::vector<row_reference> rows;
  expectation result;
  for (index i = 0; i < x.rows; ++i) {
    rows.push_back(row_of(x, i, options));
    result.log_z.push_back(static_cast<double>(rows.back().log_z));
    result.entropy.push_back(static_cast<double>(rows.back().entropy));
    result.log_sum_squares.push_back(static_cast<double>(rows.back().log_sum_squares));
    result.mean_score.push_back(static_cast<double>(rows.back().mean));
    result.arg_max.push_back(rows.back().arg_max);
  }
  std::vector<real_t> gradient(x.values.size()), g_log_z(rows.size()), g_entropy(rows.size()), g_squares(rows.size());
  std::vector<real_t> largest(rows.size());
  real_t total = 0, metrics[2] = {};
  for (std::size_t i = 0; i < request.targets.size(); ++i) {
    const index term = static_cast<index>(i);
    result.per_token.push_back(0);
    result.log_prob.push_back(0);
    const real_t weight = options.weight.empty() ? 1 : options.weight[term];
    if ((!options.mask.empty() && options.mask[term] == 0) || weight == 0) continue;
    const std::size_t at = options.rows.empty() ? i : static_cast<std::size_t>(options.rows[term]);
    const row_reference& row = rows[at];
    const index link = options.links.empty() ? -1 : options.links[term];
    const real_t next = link < 0 ? 0 : rows[static_cast<std::size_t>(link)].log_z;
    const auto found = std::find(row.ids.begin(), row.ids.end(), request.targets[i]);
    const std::size_t k = static_cast<std::size_t>(found - row.ids.begin());
    const bool is_kept = found != row.ids.end() && !row.is_nan;
    const real_t log_prob = row.is_nan && found != row.ids.end() ? real_t(nan) : is_kept ? row.log_p[k] : -INFINITY;
    real_t value = loss.log_prob * log_prob, d_log_prob = loss.log_prob, d_log_z = 0, d_next = 0;
    if (loss.log_prob_squared != 0) {
      value += loss.log_prob_squared * log_prob * log_prob;
      d_log_prob += 2 * loss.log_prob_squared * log_prob;
    }
    if (loss.entropy != 0) value += loss.entropy * row.entropy;
    if (loss.log_sum_squares != 0) value += loss.log_sum_squares * row.log_sum_squares;
    if (loss.log_z_squared != 0) {
      value += loss.log_z_squared * row.log_z * row.log_z;
      d_log_z += 2 * loss.log_z_squared * row.log_z;
    }
    if (loss.next_log_z != 0) {
      value += loss.next_log_z * next * log_prob;
      d_log_prob += loss.next_log_z * next;
      d_next = loss.next_log_z * log_prob;
    }
    const real_t factor = weight / real_t(options.normaliser);
    result.per_token[i] = static_cast<double>(value);
    result.log_prob[i] = static_cast<double>(log_prob);
    ++result.evaluated;
    total += factor * value;
    metrics[0] += log_prob;
    metrics[1] += row.entropy;
    g_log_z[at] += factor * (d_log_z - d_log_prob);
    g_entropy[at] += factor * loss.entropy;
    g_squares[at] += factor * loss.log_sum_squares;
    if (is_kept && row.z[k] != -INFINITY)
      gradient[at * static_cast<std::size_t>(x.vocab) + static_cast<std::size_t>(request.targets[i])] +=
          factor * d_log_prob * row.slope[k];
    largest[at] += std::abs(factor * d_log_prob);
    if (link >= 0) g_log_z[static_cast<std::size_t>(link)] += factor * d_next;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const row_reference& row = rows[i];
    largest[i] = std::max({largest[i], std::abs(g_log_z[i]), std::abs(g_entropy[i]), std::abs(g_squares[i])});
    result.adjoint.push_back(static_cast<double>(largest[i]));
    if (row.is_nan) continue;
    for (std::size_t k = 0; k < row.ids.size(); ++k) {
      if (row.p[k] == 0) continue;
      const real_t slope = g_log_z[i] - g_entropy[i] * (row.log_p[k] + row.entropy) +
                           2 * g_squares[i] * (std::exp(row.log_p[k] - row.log_sum_squares) - 1);
      gradient[i * static_cast<std::size_t>(x.vocab) + static_cast<std::size_t>(row.ids[k])] +=
          row.p[k] * slope * row.slope[k];
    }
  }
  result.value = static_cast<double>(total);
  for (int m : {0, 1})
    result.metrics[static_cast<std::size_t>(m)] =
        static_cast<double>(metrics[m] / std::max<real_t>(1, static_cast<real_t>(result.evaluated)));
  for (real_t g : gradient) result.gradient.push_back(static_cast<double>(g));
  return result;
}

namespace {

bool is_near(double got, double expected, double bar) {
  return got == expected || (std::isnan(got) && std::isnan(expected)) || std::abs(got - expected) <= bar;
}

}  // namespace

void check_value(const traits& carrier, const outcome& got, const expectation& expected) {
  const double bar = carrier.is_double ? 1e-12 : 2e-6;
  double scale = 1;
  for (double v : expected.per_token)
    if (std::isfinite(v)) scale += std::abs(v);
  for (double v : expected.log_z)
    if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
  CHECK(got.evaluated == expected.evaluated);
  CHECK_MESSAGE(is_near(got.value, expected.value, bar * scale), got.value, " is not ", expected.value);
  for (std::size_t m : {0u, 1u})
    CHECK_MESSAGE(is_near(got.metrics[m], expected.metrics[m], bar * scale), got.metrics[m], " is not ",
                  expected.metrics[m]);
}

void check_gradient(const traits& carrier, const table& x, const outcome& got, const expectation& expected) {
  REQUIRE(got.gradient.size() == expected.gradient.size());
  for (index i = 0; i < x.rows; ++i) {
    const double* g = got.gradient.data() + i * x.vocab;
    const double* e = expected.gradient.data() + i * x.vocab;
    double largest = 0;
    for (index j = 0; j < x.vocab; ++j) largest = std::max(largest, std::abs(e[j]));
    const double adjoint = expected.adjoint[static_cast<std::size_t>(i)];
    const double bar = carrier.is_double ? 1e-12 * std::max(largest, 1e-3 * adjoint) : 1e-6 * adjoint;
    index worst = -1;
    double excess = 0;
    for (index j = 0; j < x.vocab; ++j) {
      const double error = std::abs(g[j] - e[j]) - (bar + carrier.epsilon * std::abs(e[j]) + carrier.tiny);
      if (!(error <= excess)) worst = j, excess = error;
    }
    if (worst >= 0)
      FAIL_CHECK("row ", i, " of ", x.rows, " x ", x.vocab, ", id ", worst, ": ", g[worst], " is not ", e[worst],
                 " within ", bar, " (score ", x(i, worst), ", error ", g[worst] - e[worst], ")");
  }
}

bool same_bits(const double* a, const double* b, index n) {
  return n == 0 || std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(double)) == 0;
}

table random_table(index rows, index vocab, double spread, std::uint64_t seed) {
  table x{rows, vocab};
  const counter_random random{seed};
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    // Sum of four uniforms: bell-shaped, and the same on every machine.
    double sum = -2;
    for (std::uint64_t k = 0; k < 4; ++k) sum += random.uniform(k, i);
    x.values[i] = spread * sum * 1.7;
  }
  return x;
}

std::vector<index> random_targets(index terms, index vocab, std::uint64_t seed) {
  std::vector<index> ids;
  for (index i = 0; i < terms; ++i) ids.push_back(counter_random{seed}.below(vocab, 0, static_cast<std::uint64_t>(i)));
  return ids;
}

}  // namespace suite
