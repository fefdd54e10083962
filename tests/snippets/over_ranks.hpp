#pragma once

// The smallest model that can be trained over ranks, and a rollout of two responses of one token.
#include <unit/training/tabular.hpp>

#include <vector>

namespace snippets::over_ranks {

inline emend::single_process ranks;
inline const std::vector<double> advantage{1, -1};
inline const std::vector<emend::index> offsets{0, 1, 2};
inline const emend::ragged layout(offsets);
inline const emend::batch_counts own_counts{2, 2};
inline tabular::policy policy(3, 1);
inline const emend::rollout rollout = [] {
  emend::rollout r;
  const std::vector<emend::index> prompt{0}, first{1}, second{2};
  r.batch.add(prompt, first);
  r.batch.add(prompt, second);
  r.old_log_prob = {-1, -1};
  r.advantage = advantage;
  return r;
}();
inline const emend::update_options options{};
inline const auto make_loss = [](const emend::token_columns& columns) {
  return emend::policy_objective<emend::ppo_clip>{
      .policy = {.old_log_prob = columns.old_log_prob, .advantage = columns.advantage}, .weight = columns.weight};
};
inline const auto on_step = [](const auto&) {};

}  // namespace snippets::over_ranks
