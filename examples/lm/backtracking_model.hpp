#pragma once

#include <vector>

#include <emend/sampling/backtracking_model.hpp>
#include <lm/key_value_cache.hpp>

namespace lm {

/// A transformer over one cache of keys and values as an emend::backtracking_model: each sequence is a path of nodes,
/// and going back drops the end of the path. Nodes behind which nothing stands are given back; those between other
/// sequences' are kept until open. Ids of the classifier that never stand in a text, like a backspace, are actions of
/// its scores like any.
template <class T>
class backtracking_model {
 public:
  explicit backtracking_model(const weights<T>& w) : weights_(&w), cache_(w.shape()) {}

  emend::index vocab() const { return weights_->shape().vocab_size; }
  emend::index longest() const { return weights_->shape().max_positions; }
  /// Nodes in the cache, erased ones between others included.
  int cached() const { return cache_.size(); }

  /// Throws std::invalid_argument as lm::advance, or on an empty prompt.
  emend::score_view<const T> open(const std::vector<std::vector<emend::index>>& prompts) {
    cache_.clear();
    paths_.assign(prompts.size(), {});
    ids_.clear();
    parents_.clear();
    rows_.clear();
    for (const auto& prompt : prompts) {
      if (prompt.empty()) throw std::invalid_argument("lm::backtracking_model: a prompt is empty");
      for (std::size_t i = 0; i < prompt.size(); ++i) {
        parents_.push_back(i == 0 ? -1 : static_cast<int>(ids_.size()) - 1);
        ids_.push_back(static_cast<int>(prompt[i]));
      }
      rows_.push_back(static_cast<int>(ids_.size()) - 1);
    }
    const int first = lm::advance<T>(*weights_, cache_, ids_, parents_, rows_, workspace_);
    int node = first;
    for (std::size_t b = 0; b < prompts.size(); ++b)
      for (std::size_t i = 0; i < prompts[b].size(); ++i) paths_[b].push_back(node++);
    return scores();
  }

  emend::score_view<const T> advance(const std::vector<emend::index>& sequences,
                                     const std::vector<emend::index>& tokens) {
    ids_.clear();
    parents_.clear();
    rows_.clear();
    give_back();
    for (std::size_t k = 0; k < sequences.size(); ++k) {
      const auto& path = paths_.at(static_cast<std::size_t>(sequences[k]));
      ids_.push_back(static_cast<int>(tokens.at(k)));
      parents_.push_back(path.empty() ? -1 : path.back());
      rows_.push_back(static_cast<int>(k));
    }
    const int first = lm::advance<T>(*weights_, cache_, ids_, parents_, rows_, workspace_);
    for (std::size_t k = 0; k < sequences.size(); ++k)
      paths_[static_cast<std::size_t>(sequences[k])].push_back(first + static_cast<int>(k));
    return scores();
  }

  void roll_back(emend::index sequence, emend::index length) {
    auto& path = paths_.at(static_cast<std::size_t>(sequence));
    if (length < 0 || length > static_cast<emend::index>(path.size()))
      throw std::invalid_argument("lm::backtracking_model: cannot roll back to " + std::to_string(length) + " of " +
                                  std::to_string(path.size()) + " tokens");
    path.resize(static_cast<std::size_t>(length));
  }

 private:
  emend::score_view<const T> scores() {
    const auto logits = workspace_.logits();
    return {logits.data(), logits.rows(), logits.cols(), logits.cols(), 1};
  }
  void give_back() {
    int used = 0;
    for (const auto& path : paths_)
      if (!path.empty()) used = std::max(used, path.back() + 1);
    if (used < cache_.size()) cache_.truncate(used);
  }

  const weights<T>* weights_;
  key_value_cache<T> cache_;
  workspace<T> workspace_;
  std::vector<std::vector<int>> paths_;
  std::vector<int> ids_, parents_, rows_;
};

static_assert(emend::backtracking_model<backtracking_model<float>>);

}  // namespace lm
