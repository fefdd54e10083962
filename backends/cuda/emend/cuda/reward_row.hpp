#pragma once

#include <emend/base/storage.hpp>
#include <emend/cuda/row_pass.hpp>
#include <emend/cuda/team.hpp>
#include <emend/reward/divergence_reward.hpp>

namespace emend::cuda {

/// End ids travel with the launch.
inline constexpr index most_end_ids = 16;

/// A sequence-to-sequence reward model's scores of B responses of T tokens on a device, and what they earn: see
/// `extract_rewards`. Pointers there.
template <class T>
struct reward_problem {
  const T* scores = nullptr;  ///< [B, T, V]
  index sequences = 0, tokens = 0, vocab = 0, batch_stride = 0, token_stride = 0, vocab_stride = 1;
  double multiplier = 1;                       ///< logit_scale / temperature
  const std::int64_t* response = nullptr;      ///< [B, T]
  const bool* mask = nullptr;                  ///< [B, T] or null: all counted
  const double* reference_log_prob = nullptr;  ///< [B, T], of reward_mode::dense
  divergence_reward reward = {};
  bool is_per_length = false;     ///< scores are divided by the response's length
  double truncation_penalty = 0;  ///< taken off the last score of a response without an end id
  index end_id_count = 0;         ///< at most `most_end_ids`
  std::int64_t end_ids[most_end_ids] = {};
  double *log_prob = nullptr, *max_log_prob = nullptr, *score = nullptr;  ///< [B, T], written; 0 where not counted
  std::int64_t* arg_max = nullptr;                                        ///< [B, T], written; -1 where not counted
  std::int64_t* divergence = nullptr;                                     ///< [B], written
  double *sequence_score = nullptr, *copy_log_likelihood = nullptr;       ///< [B], written
};

inline constexpr index reward_threads = 256;

/// What a thread has seen of a row: its sums and the id of its highest score, of equals the lowest.
template <class A>
struct row_choice {
  row_share<A, false> share;
  index at = -1;

  /// The scores of ids from `first` on; ids come in ascending order.
  template <int N>
  constexpr void add(const A (&x)[N], index first, A scale) {
    const A before = share.top;
    share.add(x, scale);
    if (at >= 0 && !(share.top > before)) return;
    for (int k = N; k-- > 0;)
      if (x[k] == share.top) at = first + k;
  }
  constexpr void merge(const row_choice& other, A scale) {
    const A own_top = share.top, other_top = other.share.top;
    share.merge(other.share, scale);
    if (other.at >= 0 && (at < 0 || other_top > own_top || (other_top == own_top && other.at < at))) at = other.at;
  }
};

template <class A>
struct choice_memory {
  row_choice<A> of_thread[reward_threads];
};

/// The model's own choice at one token, and the log-probability of the response's: NaN for an id outside the
/// vocabulary. A row with NaN or +inf has no choice, -1.
template <class Team, class T>
constexpr void choice_row(Team& team, choice_memory<arithmetic<T>>& memory, const reward_problem<T>& p, index token) {
  using A = arithmetic<T>;
  if (p.mask && !p.mask[token]) {
    if (team.rank() == 0) p.log_prob[token] = 0, p.max_log_prob[token] = 0, p.arg_max[token] = -1;
    return;
  }
  const T* const x = p.scores + (token / p.tokens) * p.batch_stride + (token % p.tokens) * p.token_stride;
  const A scale = static_cast<A>(p.multiplier * detail::log2_of_e);
  row_choice<A> own;
  team.for_each_score(x, p.vocab, p.vocab_stride,
                      [&]<int N>(const A(&scores)[N], index first) { own.add(scores, first, scale); });
  memory.of_thread[team.rank()] = own;
  team_reduce(team, memory.of_thread, [scale](row_choice<A> a, const row_choice<A>& b) {
    a.merge(b, scale);
    return a;
  });
  if (team.rank() == 0) {
    const row_choice<A>& all = memory.of_thread[0];
    const index id = p.response[token];
    const double top = p.multiplier * static_cast<double>(all.share.top),
                 log_sum = __builtin_log(static_cast<double>(all.share.sum)), unknown = __builtin_nan("");
    const bool is_number = top < __builtin_inf() && top > -__builtin_inf();
    const double score =
        id < 0 || id >= p.vocab ? unknown : p.multiplier * static_cast<double>(static_cast<A>(x[id * p.vocab_stride]));
    p.log_prob[token] = score == -__builtin_inf() ? score : is_number ? (score - top) - log_sum : unknown;
    p.max_log_prob[token] = is_number ? -log_sum : top < 0 ? top : unknown;
    p.arg_max[token] = top < __builtin_inf() ? all.at : -1;
  }
  team.sync();
}

struct reward_memory {
  team_memory team;
  struct sums {
    double score = 0, log_prob = 0;
  } of_thread[reward_threads];
};

/// The rewards of one response, from the choices at its tokens.
template <class Team, class T>
constexpr void reward_row(Team& team, reward_memory& memory, const reward_problem<T>& p, index sequence) {
  const index first = sequence * p.tokens;
  const auto is_counted = [&](index t) { return !p.mask || p.mask[first + t]; };
  const auto is_match = [&](index t) { return p.arg_max[first + t] == p.response[first + t]; };
  // Of the first token that is not the model's choice; positions count down, so that the largest is the first.
  std::uint64_t before_end = 0, length = 0, end = 0;
  for (index t = team.rank(); t < p.tokens; t += team.size()) {
    if (!is_counted(t)) continue;
    ++length;
    end = static_cast<std::uint64_t>(t) + 1;
    const auto left = static_cast<std::uint64_t>(p.tokens - t);
    if (!is_match(t) && left > before_end) before_end = left;
  }
  before_end = team_max(team, memory.team, before_end);
  length = team_sum(team, memory.team, length);
  end = team_max(team, memory.team, end);
  const index parting = p.tokens - static_cast<index>(before_end);
  bool has_end = p.truncation_penalty == 0 || length == 0;
  for (index k = 0; !has_end && k < p.end_id_count; ++k)
    has_end = p.end_ids[k] == p.response[first + static_cast<index>(end) - 1];
  std::uint64_t matching = 0;
  reward_memory::sums own;
  for (index t = team.rank(); t < p.tokens; t += team.size()) {
    double score = 0;
    if (is_counted(t)) {
      matching += t < parting;
      score = p.reward(is_match(t), t >= parting, p.log_prob[first + t], p.max_log_prob[first + t],
                       p.reference_log_prob ? p.reference_log_prob[first + t] : 0);
      if (!has_end && static_cast<std::uint64_t>(t) + 1 == end) score -= p.truncation_penalty;
      if (p.is_per_length) score /= static_cast<double>(length);
      own.score += score;
      own.log_prob += p.log_prob[first + t];
    }
    p.score[first + t] = score;
  }
  matching = team_sum(team, memory.team, matching);
  memory.of_thread[team.rank()] = own;
  team_reduce(team, memory.of_thread, [](const reward_memory::sums& a, const reward_memory::sums& b) {
    return reward_memory::sums{a.score + b.score, a.log_prob + b.log_prob};
  });
  if (team.rank() == 0) {
    const double divisor = length == 0 ? 1 : static_cast<double>(length);
    p.divergence[sequence] = static_cast<std::int64_t>(matching);
    p.sequence_score[sequence] = memory.of_thread[0].score / divisor;
    p.copy_log_likelihood[sequence] = memory.of_thread[0].log_prob / divisor;
  }
  team.sync();
}

}  // namespace emend::cuda
