#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <lm/transformer.hpp>

namespace lm {

/// Keys and values of tokens already read, for incremental decoding of one or many sequences.
/// A node is one token after its parent node; -1 stands before the first token. Going back needs no undoing: advance
/// from an earlier node again. truncate only gives memory back for reuse.
template <class T>
class key_value_cache {
 public:
  explicit key_value_cache(const config& c) : config_(c), key_value_(static_cast<std::size_t>(c.layers)) { c.check(); }

  int size() const { return static_cast<int>(parent_.size()); }
  /// Forgets all nodes from number nodes on.
  void truncate(int nodes) {
    if (nodes < 0 || nodes > size())
      throw std::invalid_argument("lm::key_value_cache: cannot truncate " + std::to_string(size()) + " nodes to " +
                                  std::to_string(nodes));
    parent_.resize(static_cast<std::size_t>(nodes));
    depth_.resize(static_cast<std::size_t>(nodes));
  }
  void clear() { truncate(0); }
  /// The node before this one, -1 at a root.
  int parent(int node) const { return parent_.at(static_cast<std::size_t>(node)); }
  /// Position of the node's token.
  int depth(int node) const { return depth_.at(static_cast<std::size_t>(node)); }
  const config& shape() const { return config_; }

  // what advance writes
  buffer<T>& key_value(int layer) { return key_value_[static_cast<std::size_t>(layer)]; }  // [nodes, 2 key_value_dim]
  void append(int parent) {
    depth_.push_back(parent < 0 ? 0 : depth_[static_cast<std::size_t>(parent)] + 1);
    parent_.push_back(parent);
  }
  // Where another engine has been chosen: its cache, and which it is.
  std::unique_ptr<typename engine<T>::cache> outer;
  const engine<T>* outer_engine = nullptr;
  void reserve_rows() {
    for (auto& layer : key_value_) layer.grow(size(), 2 * config_.key_value_dim());
  }

 private:
  config config_;
  std::vector<buffer<T>> key_value_;
  std::vector<int> parent_, depth_;
};

namespace detail {

/// The rest of advance by another engine; the nodes are in the cache already.
template <class T>
void advance_outside(const engine<T>& other, const weights<T>& w, key_value_cache<T>& cache, std::span<const int> ids,
                     std::span<const int> rows, int first, workspace<T>& s) {
  if (!cache.outer) cache.outer = other.new_cache();
  cache.outer_engine = &other;
  std::vector<int> depth;
  for (int node = first; node < cache.size(); ++node) depth.push_back(cache.depth(node));
  const int longest = depth.empty() ? 0 : 1 + *std::max_element(depth.begin(), depth.end());
  std::vector<int> path(depth.size() * static_cast<std::size_t>(longest), -1);
  for (std::size_t i = 0; i < depth.size(); ++i)
    for (int node = first + static_cast<int>(i), at = depth[i]; node >= 0; node = cache.parent(node), --at)
      path[i * static_cast<std::size_t>(longest) + static_cast<std::size_t>(at)] = node;
  const Eigen::Index wanted = static_cast<Eigen::Index>(rows.size());
  s.hidden_.resize(wanted, w.shape().dim);
  s.logits_.resize(wanted, w.shape().vocab_size);
  cache.outer->advance(w, first, ids, depth, path, longest, rows, s.hidden_.data(), s.logits_.data());
}

}  // namespace detail

/// Reads tokens into the cache, and computes the scores after the wanted ones. Returns the node of the first; the
/// others follow it. ids: [K]. parents: [K], cache nodes, -1, or nodes of this same call (below the token's own node).
/// rows: strictly increasing indices into ids. Results: s.logits() [R, vocab_size] and s.hidden() [R, dim]. Throws
/// std::invalid_argument on an id, parent or row out of range, or a position beyond max_positions; the cache is then as
/// it was.
template <class T>
int advance(const weights<T>& w, key_value_cache<T>& cache, std::span<const int> ids, std::span<const int> parents,
            std::span<const int> rows, workspace<T>& s) {
  const config& c = w.shape();
  if (!(cache.shape() == c))
    throw std::invalid_argument("lm::advance: the cache must have the configuration of the weights");
  if (ids.size() != parents.size())
    throw std::invalid_argument("lm::advance: parents has length " + std::to_string(parents.size()) + ", but ids has " +
                                std::to_string(ids.size()));
  const int first = cache.size(), count = static_cast<int>(ids.size());
  auto fail = [&](const std::string& what) {
    cache.truncate(first);
    throw std::invalid_argument("lm::advance: " + what);
  };
  for (int i = 0; i < count; ++i) {
    const int id = ids[static_cast<std::size_t>(i)], parent = parents[static_cast<std::size_t>(i)];
    if (id < 0 || id >= c.vocab_size)
      fail("ids[" + std::to_string(i) + "] = " + std::to_string(id) + " is outside 0.." +
           std::to_string(c.vocab_size - 1));
    if (parent < -1 || parent >= first + i)
      fail("parents[" + std::to_string(i) + "] = " + std::to_string(parent) + " is not -1 or an earlier node");
    cache.append(parent);
    if (cache.depth(first + i) >= c.max_positions)
      fail("a token is at position " + std::to_string(cache.depth(first + i)) + ", but max_positions is " +
           std::to_string(c.max_positions));
  }
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] < 0 || rows[i] >= count || (i > 0 && rows[i] <= rows[i - 1]))
      fail("rows must be strictly increasing indices into ids");
  const engine<T>* const other = chosen_engine<T>();
  if (other != cache.outer_engine) {
    if (first > 0) {
      cache.truncate(first);
      throw std::logic_error("lm::advance: the cache was filled by another engine");
    }
    cache.outer.reset();
    cache.outer_engine = nullptr;
  }
  if (other) {
    try {
      detail::advance_outside(*other, w, cache, ids, rows, first, s);
    } catch (...) {
      cache.truncate(first);
      throw;
    }
    return first;
  }
  cache.reserve_rows();

  const int d = c.dim, kv = c.key_value_dim();
  int positions = 0;
  for (int i = 0; i < count; ++i) positions = std::max(positions, cache.depth(first + i) + 1);
  s.rotary.build(positions, c.max_positions, d, c.head_size());
  if (s.layers.empty()) s.layers.resize(1);
  layer_activations<T>& a = s.layers[0];
  std::vector<int>& wanted = s.all_tokens;
  wanted.resize(static_cast<std::size_t>(count));
  std::iota(wanted.begin(), wanted.end(), 0);
  attention_plan& plan = s.all_plan;

  a.input.resize(count, d);
  for (int i = 0; i < count; ++i) a.input.view().row(i) = w.token_embedding().row(ids[static_cast<std::size_t>(i)]);

  for (int layer = 0; layer < c.layers; ++layer) {
    a.attention_normed.resize(count, d);
    a.attention_inverse.resize(count, 1);
    rms_norm<T>(detail::fixed(a.input), w.attention_norm(layer), a.attention_normed.view(), a.attention_inverse.data());
    buffer<T>& key_value = cache.key_value(layer);
    key_value.view().middleRows(first, count).noalias() = a.attention_normed.view() * w.key_value(layer).transpose();
    for (int i = 0; i < count; ++i) s.rotary.rotate(key_value.row(first + i), kv, cache.depth(first + i));
    if (layer + 1 == c.layers) {
      wanted.assign(rows.begin(), rows.end());
      for (std::size_t i = 0; i < wanted.size();
           ++i) {  // rows increase, so a row never overwrites one still to be read
        a.attention_normed.view().row(static_cast<Eigen::Index>(i)) = a.attention_normed.view().row(wanted[i]).eval();
        a.input.view().row(static_cast<Eigen::Index>(i)) = a.input.view().row(wanted[i]).eval();
      }
    }
    const Eigen::Index queries = static_cast<Eigen::Index>(wanted.size());
    if (layer == 0 || layer + 1 == c.layers) {
      plan.blocks.clear();
      plan.singles.clear();
      plan.paths.clear();
      plan.probability_count = 0;
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const int node = first + wanted[i], keys = cache.depth(node) + 1;
        const std::size_t path = plan.paths.size();
        for (int from = node; from >= 0; from = cache.parent(from)) plan.paths.push_back(from);
        std::reverse(plan.paths.begin() + static_cast<std::ptrdiff_t>(path), plan.paths.end());
        plan.singles.push_back({static_cast<int>(i), path, keys, 0});  // nobody reads the probabilities
        plan.probability_count =
            std::max(plan.probability_count,
                     static_cast<std::size_t>(c.heads) * static_cast<std::size_t>(attention_plan::padded(keys)));
      }
    }
    a.query.resize(queries, d);
    a.query.view().noalias() = a.attention_normed.view().topRows(queries) * w.query(layer).transpose();
    for (Eigen::Index i = 0; i < queries; ++i)
      s.rotary.rotate(a.query.row(i), d, cache.depth(first + wanted[static_cast<std::size_t>(i)]));
    a.attended.resize(queries, d);
    a.probabilities.resize(static_cast<Eigen::Index>(plan.probability_count), 1);
    attention<T>(c, plan, {a.query.data(), d, key_value.data(), key_value.data() + kv, 2 * kv}, a.attended.data(),
                 a.probabilities.data());
    a.middle.resize(queries, d);
    a.middle.view() = a.input.view().topRows(queries);
    a.middle.view().noalias() += a.attended.view() * w.output(layer).transpose();
    a.input.resize(queries, d);
    detail::feed_forward(w, layer, a, a.input.view());
  }
  const Eigen::Index row_count = static_cast<Eigen::Index>(rows.size());
  s.final_inverse.resize(row_count, 1);
  s.hidden_.resize(row_count, d);
  rms_norm<T>(detail::fixed(a.input), w.final_norm(), s.hidden_.view(), s.final_inverse.data());
  s.logits_.resize(row_count, c.vocab_size);
  s.logits_.view().noalias() = s.hidden_.view() * w.classifier().transpose();
  return first;
}

}  // namespace lm
