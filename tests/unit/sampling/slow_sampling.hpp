// The slow way to what processors keep, and rows of every shape.
#pragma once

#include <emend/sampling/candidates.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "../random_numbers.hpp"

namespace slow_sampling {

using namespace emend;
using emend::index;  // not the one of <strings.h>

inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// What the slow way leaves: every id with its score, sorted where the definition sorts.
struct entry {
  index id;
  double score;
};
using entries = std::vector<entry>;

inline std::vector<double> probabilities(const entries& of) {
  double largest = -infinity, total = 0;
  for (const entry& e : of) largest = std::max(largest, e.score);
  std::vector<double> p;
  for (const entry& e : of) total += std::exp(e.score - largest);
  for (const entry& e : of) p.push_back(std::exp(e.score - largest) / total);
  return p;
}

inline entries kept_where(const entries& of, const std::function<bool(std::size_t)>& is_kept) {
  entries result;
  for (std::size_t i = 0; i < of.size(); ++i)
    if (is_kept(i)) result.push_back(of[i]);
  return result;
}

/// Keys of descending order; the first prefix whose weight reaches the target, with all that equal its last.
inline double slow_cut(const std::vector<double>& key, const std::vector<double>& weight, double target) {
  std::vector<std::size_t> order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key[a] > key[b]; });
  double sum = 0;
  for (const std::size_t i : order) {
    sum += weight[i];
    if (sum >= target) return key[i];
  }
  return key[order.back()];
}

inline entries slow_top_k(const entries& of, double k) {
  std::vector<double> key, ones(of.size(), 1);
  for (const entry& e : of) key.push_back(e.score);
  const double cut = slow_cut(key, ones, k);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}
inline entries slow_top_p(const entries& of, double p) {
  std::vector<double> key;
  for (const entry& e : of) key.push_back(e.score);
  const double cut = slow_cut(key, probabilities(of), p);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}
inline entries slow_typical(const entries& of, double share) {
  const auto p = probabilities(of);
  double entropy = 0;
  for (const double x : p)
    if (x > 0) entropy -= x * std::log(x);
  std::vector<double> key;
  for (const double x : p) key.push_back(-std::abs(-std::log(x) - entropy));
  const double cut = slow_cut(key, p, share);
  return kept_where(of, [&](std::size_t i) { return key[i] >= cut; });
}

inline entries finite(const std::vector<double>& row) {
  entries result;
  for (std::size_t j = 0; j < row.size(); ++j)
    if (row[j] > -infinity) result.push_back({static_cast<index>(j), row[j]});
  return result;
}

template <class T = double, class P>
std::vector<index> kept_by(const std::vector<T>& row, const P& how, const std::vector<index>& previous = {}) {
  candidates<arithmetic<T>> c;
  c.assign(row.data(), static_cast<index>(row.size()), 1, previous);
  how(c);
  std::vector<index> ids;
  for (index i = 0; i < c.size(); ++i)
    if (c.score(i) > -infinity) ids.push_back(c.id(i));
  return ids;
}
inline std::vector<index> ids_of(const entries& of) {
  std::vector<index> ids;
  for (const entry& e : of) ids.push_back(e.id);
  return ids;
}

/// Rows of every shape: one id, fewer than a block, many blocks; flat, peaked, with steps of equal scores, with -inf.
inline std::vector<std::vector<double>> some_rows() {
  random_numbers random;
  std::vector<std::vector<double>> rows;
  for (const std::size_t size : {1u, 2u, 63u, 64u, 65u, 700u, 9000u})
    for (const int shape : {0, 1, 2, 3}) {
      std::vector<double> row = random.normal(size);
      for (double& x : row) x *= shape == 0 ? 0.3 : shape == 1 ? 4 : 2;
      if (shape == 2)
        for (std::size_t j = 0; j < size; j += 3) row[j] = -infinity;
      row[size / 2] = shape == 1 ? 12 : 1;
      if (shape == 3)
        for (double& x : row) x = std::round(x);
      rows.push_back(row);
    }
  return rows;
}

}  // namespace slow_sampling
