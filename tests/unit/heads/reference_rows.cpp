// Which rows the slow head decides, and log_z of a row less one of its ids.
#include <emend/core/matrix.hpp>
#include <emend/heads/row_head.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "instruction_sets.hpp"

using namespace emend;

namespace {

template <class T>
detail::row_statistics statistics_of(const std::vector<T>& row, instruction_set set,
                                     const score_transform& transform = {}) {
  const kept_ids all;
  const detail::row_head<T> head({row.data(), 1, static_cast<emend::index>(row.size()), 1, 1}, {transform, all, set});
  typename detail::row_head<T>::scratch work;
  detail::row_statistics result;
  head.statistics(0, 1, nullptr, &result, work);
  return result;
}

TEST_CASE("rows beyond the kernels' magnitudes are the slow head's, and only these") {
  constexpr double edge = 0x1p20 * 0.6931471805599453, infinity = std::numeric_limits<double>::infinity();
  for (const instruction_set set : supported_instruction_sets()) {
    for (const double sign : {1.0, -1.0}) {
      CHECK(!statistics_of<double>({sign * edge * 0.9999, sign * edge * 0.9999 - 1}, set).needs_reference_path);
      CHECK(statistics_of<double>({sign * edge * 1.0001, sign * edge * 1.0001 - 1}, set).needs_reference_path);
    }
    CHECK(!statistics_of<double>({0, 1, -infinity}, set).needs_reference_path);
    CHECK(statistics_of<double>({-infinity, -infinity}, set).needs_reference_path);
    CHECK(statistics_of<double>({0, infinity}, set).needs_reference_path);
    CHECK(statistics_of<double>({0, std::nan("")}, set).needs_reference_path);
    CHECK(statistics_of<float>({0, 1}, set, {.temperature = 1e30}).needs_reference_path);
    CHECK(statistics_of<float>({0, 1}, set, {.temperature = 1e-30}).needs_reference_path);
    CHECK(!statistics_of<float>({0, 1}, set, {.temperature = 1e25}).needs_reference_path);
    CHECK(!statistics_of<float>({0, 0}, set, {.temperature = 1e-25}).needs_reference_path);
    const auto far = statistics_of<double>({edge * 3, edge * 3 - 1}, set);
    CHECK(far.log_z == edge * 3 + std::log1p(std::exp(-1.0)));
    CHECK(far.entropy == doctest::Approx(std::log1p(std::exp(-1.0)) + std::exp(-1.0) / (1 + std::exp(-1.0))));
  }
}

template <class T>
void check_without(const std::vector<T>& row, emend::index id, const score_transform& transform, const kept_ids& kept) {
  const detail::row_head<T> head({row.data(), 1, static_cast<emend::index>(row.size()), 1, 1},
                                 {transform, kept, instruction_set::best});
  long double sum = 0, largest = -std::numeric_limits<long double>::infinity();
  const auto is_kept = [&](emend::index j) {
    if (!kept.offsets.is_given()) return true;
    for (emend::index k = 0; k < kept.ids.size(); ++k)
      if (kept.ids[k] == j) return true;
    return false;
  };
  const auto z = [&](emend::index j) {
    const auto x = static_cast<long double>(row[static_cast<std::size_t>(j)]);
    if (transform.soft_cap == 0) return transform.logit_scale * x / transform.temperature;
    return transform.soft_cap * std::tanh(transform.logit_scale * x / transform.soft_cap) / transform.temperature;
  };
  for (emend::index j = 0; j < static_cast<emend::index>(row.size()); ++j)
    if (j != id && is_kept(j)) largest = std::max(largest, z(j));
  for (emend::index j = 0; j < static_cast<emend::index>(row.size()); ++j)
    if (j != id && is_kept(j)) sum += std::exp(z(j) - largest);
  CHECK(head.log_z_without(0, id) == doctest::Approx(static_cast<double>(largest + std::log(sum))).epsilon(1e-14));
}

TEST_CASE("log_z of a row less one id is exact, however much of the mass the id has") {
  for (const double gap : {0.0, 3.0, 8.0, 16.0, 40.0, 700.0}) {
    std::vector<double> row{0.3, -0.4, 0.1 + gap, 0.2, -1.5};
    const std::vector<float> narrow(row.begin(), row.end());
    const std::vector<int> offsets{0, 3}, ids{4, 2, 0};
    for (emend::index id = 0; id < 5; ++id) {
      check_without(row, id, {}, {});
      check_without(narrow, id, {}, {});
      check_without(row, id, {.temperature = 0.7, .logit_scale = 1.1}, {});
      check_without(row, id, {.temperature = 0.7, .soft_cap = 30}, {});
      check_without(row, id, {}, {offsets, ids});
    }
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const score_transform plain;
  const kept_ids all;
  const auto without = [&](const std::vector<double>& row, emend::index id) {
    const detail::row_head<double> head({row.data(), 1, static_cast<emend::index>(row.size()), 1, 1},
                                        {plain, all, instruction_set::best});
    return head.log_z_without(0, id);
  };
  CHECK(without({1, -infinity, -infinity}, 0) == -infinity);
  CHECK(without({1}, 0) == -infinity);
  CHECK(std::isnan(without({1, infinity}, 0)));
  CHECK(std::isnan(without({1, std::nan("")}, 0)));
  CHECK(without({std::nan(""), 2}, 0) == 2);
}

}  // namespace
