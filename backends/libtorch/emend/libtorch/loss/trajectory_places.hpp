#pragma once

#include <emend/libtorch/tensor/token.hpp>
#include <emend/sequence_match/evaluate_trajectories.hpp>

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace emend::detail {

/// Where a batch of trajectories reads scores and sends adjoints, as the host knows it; goes to the device in one copy,
/// for which the host waits.
class trajectory_places {
 public:
  enum list {
    entry_row,  // of each entry
    term_batch,
    term_token,
    term_id,  // of each single score that is read: those of the entries, then others
    data_steps,
    rollout_steps,
    data_tails,
    rollout_tails,  // entries
    valued,         // entries whose V stands in the value term
    ends,
    end_terms,  // entries whose V is one score, and its term
    zeros,      // entries whose V is 0
    floor_rows,
    floor_terms,  // rows whose V leaves one score out, and its term
    unread,       // rows
    slot_row,
    slot_id,  // scores that some terms send adjoints to, each once, by rows
    slot_of   // of what sends them: data's steps, rollouts' steps, ends, floors
  };

  /// rows: of the scores, [B, tokens].
  trajectory_places(const trajectory_buffers& plan, index entries, index rows, index tokens, bool data_sends,
                    bool rollouts_send) {
    for (const index row : plan.rows)
      (*this)[term_batch].push_back(row / tokens), (*this)[term_token].push_back(row % tokens);
    (*this)[term_id] = plan.targets;
    (*this)[entry_row].assign(plan.rows.begin(), plan.rows.begin() + static_cast<std::ptrdiff_t>(entries));
    for (index i = 0; i < entries; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const bool of_rollout = (plan.flags[k] & is_of_rollout) != 0;
      if (plan.flags[k] & is_step) (*this)[of_rollout ? rollout_steps : data_steps].push_back(i);
      if (plan.flags[k] & is_tail) (*this)[of_rollout ? rollout_tails : data_tails].push_back(i);
      if (plan.flags[k] & is_zero) (*this)[zeros].push_back(i);
      if (plan.linear[k] != 0) (*this)[valued].push_back(i);
      if (plan.extra_term[k] >= 0) (*this)[ends].push_back(i), (*this)[end_terms].push_back(plan.extra_term[k]);
    }
    for (std::size_t row = 0; row < plan.floor_term.size(); ++row)
      if (plan.floor_term[row] >= 0)
        (*this)[floor_rows].push_back(static_cast<index>(row)), (*this)[floor_terms].push_back(plan.floor_term[row]);
    std::vector<std::uint8_t> is_read(static_cast<std::size_t>(rows), 0);
    for (std::size_t i = 0; i < plan.rows.size(); ++i)
      is_read[static_cast<std::size_t>(plan.rows[i])] |= plan.is_term[i];
    for (index row = 0; row < rows; ++row)
      if (!is_read[static_cast<std::size_t>(row)]) (*this)[unread].push_back(row);

    std::vector<index> senders;
    for (const auto& [of, sends] : {std::pair{data_steps, data_sends}, std::pair{rollout_steps, rollouts_send},
                                    std::pair{end_terms, true}, std::pair{floor_terms, true}})
      if (sends) senders.insert(senders.end(), (*this)[of].begin(), (*this)[of].end());
    const auto place = [&](index term) {
      return std::pair{plan.rows[static_cast<std::size_t>(term)], plan.targets[static_cast<std::size_t>(term)]};
    };
    std::vector<std::pair<index, index>> slots;
    for (const index term : senders) slots.push_back(place(term));
    std::sort(slots.begin(), slots.end());
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    for (const auto& [row, id] : slots) (*this)[slot_row].push_back(row), (*this)[slot_id].push_back(id);
    for (const index term : senders)
      (*this)[slot_of].push_back(std::lower_bound(slots.begin(), slots.end(), place(term)) - slots.begin());
  }

  const std::vector<index>& operator[](list of) const { return here_[of]; }
  index size(list of) const { return static_cast<index>(here_[of].size()); }
  /// The lists as tensors of int64 on the device.
  std::array<at::Tensor, slot_of + 1> on(const at::Device& device) const {
    std::vector<index> all;
    for (const auto& each : here_) all.insert(all.end(), each.begin(), each.end());
    const at::Tensor there = ids_on_device(all, device);
    std::array<at::Tensor, slot_of + 1> result;
    index first = 0;
    for (std::size_t k = 0; k < here_.size(); ++k) {
      const auto count = static_cast<index>(here_[k].size());
      result[k] = there.narrow(0, first, count);
      first += count;
    }
    return result;
  }

 private:
  std::vector<index>& operator[](list of) { return here_[of]; }

  std::array<std::vector<index>, slot_of + 1> here_;
};

}  // namespace emend::detail
