#pragma once

#include <emend/sequence_match/evaluate_trajectories.hpp>
#include <emend/sequence_match/packing.hpp>
#include <emend/sequence_match/trajectory.hpp>

namespace emend {

/// Trajectories packed for one pass of a model: their states as trees, and what the objective reads of them.
/// Trajectories that follow each other with the same prompt share its nodes. Scores are wanted only where some state is
/// read: of a prompt, as a rule, at its last token.
class trajectory_forest {
 public:
  /// Throws std::invalid_argument as `pack_tree`, and on a trajectory with another number of labels than of actions.
  trajectory_forest(const std::vector<trajectory>& trajectories, erase_floor floor = erase_floor::prompt_end) {
    const trajectory* before = nullptr;
    for (const trajectory& t : trajectories) {
      detail::require_length("label", static_cast<index>(t.label.size()), static_cast<index>(t.actions.size()));
      add(t, pack_tree(t.prompt, t.actions, floor), before && before->prompt == t.prompt);
      before = &t;
    }
    number_rows();
  }

  index trajectories() const { return static_cast<index>(offsets_.size()) - 1; }
  /// Nodes: token, parent (-1 at a root, else an earlier node) and depth, which is the position; [nodes].
  index nodes() const { return static_cast<index>(token_.size()); }
  const std::vector<index>& token() const { return token_; }
  const std::vector<index>& parent() const { return parent_; }
  const std::vector<index>& depth() const { return depth_; }
  /// Nodes whose scores are wanted, ascending: row k of the scores is that of node rows()[k].
  const std::vector<index>& rows() const { return rows_; }

  /// Numbers of trajectories and of actions, for normalisers.
  struct counts {
    index trajectories = 0, actions = 0;
  };
  const counts& data() const { return data_; }
  const counts& rollouts() const { return rollouts_; }

  /// What `evaluate_trajectories` takes, over rows(); a view of this forest.
  trajectory_columns columns() const { return {offsets_, at_, label_, is_rollout_, is_complete_, is_at_floor_}; }

 private:
  void add(const trajectory& t, const state_tree& tree, bool shares_prompt) {
    const index prompt = static_cast<index>(t.prompt.size()), here = static_cast<index>(token_.size());
    if (!shares_prompt) prompt_begin_ = here;
    // Nodes of the prompt stand where it was first met, the others here.
    const index shift = shares_prompt ? here - prompt : here;
    const auto place = [&](index node) { return node < prompt ? prompt_begin_ + node : shift + node; };
    for (index node = shares_prompt ? prompt : 0; node < static_cast<index>(tree.token.size()); ++node) {
      const auto i = static_cast<std::size_t>(node);
      token_.push_back(tree.token[i]);
      parent_.push_back(tree.parent[i] < 0 ? -1 : place(tree.parent[i]));
      depth_.push_back(tree.depth[i]);
      is_floor_node_.push_back(tree.is_at_floor[i]);
    }
    for (const index node : tree.at) at_.push_back(place(node));
    label_.insert(label_.end(), t.label.begin(), t.label.end());
    label_.push_back(-1);
    offsets_.push_back(static_cast<index>(at_.size()));
    is_rollout_.push_back(t.is_rollout);
    is_complete_.push_back(t.is_complete);
    counts& of = t.is_rollout ? rollouts_ : data_;
    ++of.trajectories;
    of.actions += static_cast<index>(t.actions.size());
  }

  /// From nodes to rows of scores.
  void number_rows() {
    std::vector<index> row(token_.size(), -1);
    for (const index node : at_) row[static_cast<std::size_t>(node)] = 0;
    for (std::size_t node = 0; node < row.size(); ++node) {
      if (row[node] < 0) continue;
      row[node] = static_cast<index>(rows_.size());
      rows_.push_back(static_cast<index>(node));
      is_at_floor_.push_back(is_floor_node_[node]);
    }
    for (index& node : at_) node = row[static_cast<std::size_t>(node)];
  }

  index prompt_begin_ = 0;
  std::vector<index> token_, parent_, depth_, rows_, at_, label_, offsets_{0};
  std::vector<char> is_floor_node_, is_at_floor_, is_rollout_, is_complete_;
  counts data_, rollouts_;
};

}  // namespace emend
