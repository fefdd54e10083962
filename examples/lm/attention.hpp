#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <lm/config.hpp>
#include <lm/matrix.hpp>

namespace lm {

/// Which keys each query of a packed batch sees, made once a batch and used by every layer.
/// Queries of a plain sequence (a run of consecutive parents from a root) go in blocks, as small matrix products;
/// every other query is a single with the list of its ancestors.
struct attention_plan {
  struct block {
    int first_key, keys;        // keys first_key .. first_key + keys - 1
    int first_query, queries;   // the last query sees all keys
    std::size_t probabilities;  // offset of [heads, queries, padded(keys)]
  };
  struct single {
    int query;
    std::size_t path;  // offset in paths
    int keys;
    std::size_t probabilities;  // offset of [heads, padded(keys)]
  };
  std::vector<block> blocks;
  std::vector<single> singles;
  std::vector<int> paths;        // ancestors, root first, then the token itself
  std::vector<int> query_token;  // [queries]
  std::vector<int> depth;        // [tokens]
  std::size_t probability_count = 0;

  static int padded(int keys) { return (keys + 7) / 8 * 8; }

  /// parent: [N], each below its own index. queries: strictly increasing token indices.
  void build(std::span<const int> parent, std::span<const int> queries, int heads) {
    blocks.clear();
    singles.clear();
    paths.clear();
    probability_count = 0;
    query_token.assign(queries.begin(), queries.end());
    build_depth(parent);
    const int tokens = static_cast<int>(parent.size()), query_count = static_cast<int>(queries.size());
    int query = 0;
    for (int begin = 0; begin < tokens;) {
      int end = begin + 1;
      if (parent[at(begin)] < 0)
        while (end < tokens && parent[at(end)] == end - 1) ++end;
      while (query < query_count && queries[at(query)] < end) {
        int last = query + 1;
        if (parent[at(begin)] < 0) {
          while (last < query_count && queries[at(last)] < end && last - query < 64) ++last;
          add_block(begin, queries[at(last - 1)] + 1 - begin, query, last - query, heads);
        } else {
          add_single(parent, begin, query, heads);
        }
        query = last;
      }
      begin = end;
    }
  }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  void build_depth(std::span<const int> parent) {
    depth.resize(parent.size());
    for (std::size_t i = 0; i < parent.size(); ++i) depth[i] = parent[i] < 0 ? 0 : depth[at(parent[i])] + 1;
  }
  void add_block(int first_key, int keys, int first_query, int queries, int heads) {
    blocks.push_back({first_key, keys, first_query, queries, probability_count});
    probability_count += at(heads) * at(queries) * at(padded(keys));
  }
  void add_single(std::span<const int> parent, int token, int query, int heads) {
    const int keys = depth[at(token)] + 1;
    singles.push_back({query, paths.size(), keys, probability_count});
    for (int node = token; node >= 0; node = parent[at(node)]) paths.push_back(node);
    std::reverse(paths.end() - keys, paths.end());
    probability_count += at(heads) * at(padded(keys));
  }
};

/// Queries, keys and values as rows of a larger matrix: row i of the queries begins at query + i * query_stride.
template <class T>
struct attention_inputs {
  T* query;
  Eigen::Index query_stride;
  T* key;
  T* value;
  Eigen::Index key_value_stride;
};

namespace detail {

template <class T>
using strided = Eigen::Map<row_matrix<T>, 0, Eigen::OuterStride<>>;
template <class T>
using const_strided = Eigen::Map<const row_matrix<T>, 0, Eigen::OuterStride<>>;
// rows of 8 numbers lie on 32 bytes, where Eigen's own memory does
inline constexpr int padded_alignment = EIGEN_MAX_ALIGN_BYTES >= 32 ? Eigen::Aligned32 : Eigen::Aligned16;
template <class T>
using padded_row = Eigen::Map<Eigen::Array<T, 1, Eigen::Dynamic>, padded_alignment>;
template <class T>
using features = Eigen::Map<Eigen::Matrix<T, 1, Eigen::Dynamic>>;
template <class T>
using const_features = Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>;

/// In place over padded(keys) numbers: softmax of scale * the first keys scores, zero after them.
template <class T>
void softmax_row(T* row, int keys, int stored, T scale) {
  // the padding holds a score whose exponential is zero, so that exp runs on whole vectors
  std::fill(row + keys, row + stored, -std::numeric_limits<T>::max());
  padded_row<T> scores(row, stored);
  const T largest = scores.maxCoeff();
  scores = ((scores - largest).max(T(-1e4)) * scale).exp();
  std::fill(row + keys, row + stored, T(0));
  scores *= T(1) / scores.sum();
}

}  // namespace detail

/// Scaled dot-product attention over the plan, with grouped queries.
///   out_i = sum_j softmax_j(q_i . k_j / sqrt(head_size)) v_j,  j over the keys that query i sees
/// out: [queries, dim], row-major; probabilities: plan.probability_count numbers, kept for the gradient, aligned as
/// Eigen aligns.
template <class T>
void attention(const config& c, const attention_plan& plan, const attention_inputs<const T>& in, T* out,
               T* probabilities) {
  const int size = c.head_size(), group = c.heads / c.key_value_heads;
  const T scale = T(1) / std::sqrt(T(size));
  for (const auto& block : plan.blocks) {
    const int stored = attention_plan::padded(block.keys);
    for (int head = 0; head < c.heads; ++head) {
      const Eigen::Index key_offset = block.first_key * in.key_value_stride + head / group * size;
      detail::const_strided<T> query(in.query + block.first_query * in.query_stride + head * size, block.queries, size,
                                     Eigen::OuterStride<>(in.query_stride));
      detail::const_strided<T> key(in.key + key_offset, block.keys, size, Eigen::OuterStride<>(in.key_value_stride));
      detail::const_strided<T> value(in.value + key_offset, block.keys, size,
                                     Eigen::OuterStride<>(in.key_value_stride));
      detail::strided<T> result(out + Eigen::Index(block.first_query) * c.dim + head * size, block.queries, size,
                                Eigen::OuterStride<>(c.dim));
      T* first = probabilities + block.probabilities +
                 static_cast<std::size_t>(head * block.queries) * static_cast<std::size_t>(stored);
      detail::strided<T> score(first, block.queries, block.keys, Eigen::OuterStride<>(stored));
      score.noalias() = query * key.transpose();
      for (int i = 0; i < block.queries; ++i) {
        const int seen = plan.query_token[static_cast<std::size_t>(block.first_query + i)] - block.first_key + 1;
        detail::softmax_row(first + Eigen::Index(i) * stored, seen, stored, scale);
      }
      result.noalias() = score * value;
    }
  }
  for (const auto& single : plan.singles) {
    const int stored = attention_plan::padded(single.keys);
    const int* path = plan.paths.data() + single.path;
    for (int head = 0; head < c.heads; ++head) {
      const Eigen::Index inside = head / group * size;
      detail::const_features<T> query(in.query + single.query * in.query_stride + head * size, size);
      T* row = probabilities + single.probabilities + static_cast<std::size_t>(head) * static_cast<std::size_t>(stored);
      for (int j = 0; j < single.keys; ++j)
        row[j] = query.dot(detail::const_features<T>(in.key + path[j] * in.key_value_stride + inside, size));
      detail::softmax_row(row, single.keys, stored, scale);
      detail::features<T> result(out + Eigen::Index(single.query) * c.dim + head * size, size);
      result.setZero();
      for (int j = 0; j < single.keys; ++j)
        result += row[j] * detail::const_features<T>(in.value + path[j] * in.key_value_stride + inside, size);
    }
  }
}

/// Gradient of attention. probabilities: as attention left them. d_out: [queries, dim].
/// d_in: same strides as in; the query part is overwritten, the key and value parts are added to.
/// scratch: reused memory.
template <class T>
void attention_backward(const config& c, const attention_plan& plan, const attention_inputs<const T>& in,
                        const T* probabilities, const T* d_out, const attention_inputs<T>& d_in, buffer<T>& scratch) {
  const int size = c.head_size(), group = c.heads / c.key_value_heads;
  const T scale = T(1) / std::sqrt(T(size));
  for (const auto& block : plan.blocks) {
    const int stored = attention_plan::padded(block.keys);
    const Eigen::OuterStride<> key_stride(in.key_value_stride);
    scratch.resize(block.queries, stored);
    for (int head = 0; head < c.heads; ++head) {
      const Eigen::Index key_offset = block.first_key * in.key_value_stride + head / group * size;
      const Eigen::Index query_offset = block.first_query * in.query_stride + head * size;
      detail::const_strided<T> query(in.query + query_offset, block.queries, size,
                                     Eigen::OuterStride<>(in.query_stride));
      detail::const_strided<T> key(in.key + key_offset, block.keys, size, key_stride),
          value(in.value + key_offset, block.keys, size, key_stride);
      detail::strided<T> d_query(d_in.query + query_offset, block.queries, size, Eigen::OuterStride<>(in.query_stride));
      detail::strided<T> d_key(d_in.key + key_offset, block.keys, size, key_stride),
          d_value(d_in.value + key_offset, block.keys, size, key_stride);
      detail::const_strided<T> d_result(d_out + Eigen::Index(block.first_query) * c.dim + head * size, block.queries,
                                        size, Eigen::OuterStride<>(c.dim));
      const T* first = probabilities + block.probabilities +
                       static_cast<std::size_t>(head * block.queries) * static_cast<std::size_t>(stored);
      detail::const_strided<T> probability(first, block.queries, block.keys, Eigen::OuterStride<>(stored));
      detail::strided<T> d_score(scratch.data(), block.queries, block.keys, Eigen::OuterStride<>(stored));
      d_score.noalias() = d_result * value.transpose();
      d_value.noalias() += probability.transpose() * d_result;
      for (int i = 0; i < block.queries; ++i) {
        const_array_view<T> p(first + Eigen::Index(i) * stored, block.keys);
        array_view<T> d(scratch.data() + Eigen::Index(i) * stored, block.keys);
        const T mean = (p * d).sum();
        d = p * (d - mean) * scale;
      }
      d_query.noalias() = d_score * key;
      d_key.noalias() += d_score.transpose() * query;
    }
  }
  for (const auto& single : plan.singles) {
    const int stored = attention_plan::padded(single.keys);
    const int* path = plan.paths.data() + single.path;
    scratch.resize(1, stored);
    for (int head = 0; head < c.heads; ++head) {
      const Eigen::Index inside = head / group * size, query_offset = single.query * in.query_stride + head * size;
      detail::const_features<T> query(in.query + query_offset, size),
          d_result(d_out + Eigen::Index(single.query) * c.dim + head * size, size);
      detail::features<T> d_query(d_in.query + query_offset, size);
      const T* p =
          probabilities + single.probabilities + static_cast<std::size_t>(head) * static_cast<std::size_t>(stored);
      T* d = scratch.data();
      T mean = T(0);
      for (int j = 0; j < single.keys; ++j) {
        const Eigen::Index offset = path[j] * in.key_value_stride + inside;
        d[j] = d_result.dot(detail::const_features<T>(in.value + offset, size));
        mean += p[j] * d[j];
        detail::features<T>(d_in.value + offset, size) += p[j] * d_result;
      }
      d_query.setZero();
      for (int j = 0; j < single.keys; ++j) {
        const Eigen::Index offset = path[j] * in.key_value_stride + inside;
        const T d_score = p[j] * (d[j] - mean) * scale;
        d_query += d_score * detail::const_features<T>(in.key + offset, size);
        detail::features<T>(d_in.key + offset, size) += d_score * query;
      }
    }
  }
}

}  // namespace lm
