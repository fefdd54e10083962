#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include <emend/core/executor.hpp>
#include <lm/key_value_cache.hpp>

namespace lm {

/// How decode runs.
struct decode_options {
  int max_new_tokens = 64;
  int end_id = -1;  // a sequence ends before this token; -1: none
  int prompts_at_once = 128;
};

/// Continues many prompts at once; every step is one matrix product over the prompts still open.
/// Returns the new tokens of each prompt, without the end token. A prompt also ends at max_positions.
/// prompts: each not empty. choose: (scores of one row: std::span<const T>, prompt: int) -> token id; called
/// concurrently for different prompts if the pool has threads. pool: an emend::executor. The results do not depend on
/// the number of threads.
template <class T, emend::executor Pool, class Choose>
std::vector<std::vector<int>> decode(const weights<T>& w, std::span<const std::vector<int>> prompts, Choose&& choose,
                                     Pool&& pool, const decode_options& options = {}) {
  if (options.prompts_at_once < 1) throw std::invalid_argument("lm::decode: prompts_at_once must be positive");
  for (const auto& prompt : prompts)
    if (prompt.empty()) throw std::invalid_argument("lm::decode: a prompt is empty");
  std::vector<std::vector<int>> results(prompts.size());
  const std::size_t at_once = static_cast<std::size_t>(options.prompts_at_once);

  auto decode_group = [&](std::size_t begin, std::size_t end, key_value_cache<T>& cache, workspace<T>& s) {
    std::vector<int> ids, parents, rows;
    std::vector<std::size_t> open;
    cache.clear();
    for (std::size_t p = begin; p < end; ++p) {
      for (std::size_t i = 0; i < prompts[p].size(); ++i) {
        parents.push_back(i == 0 ? -1 : static_cast<int>(ids.size()) - 1);
        ids.push_back(prompts[p][i]);
      }
      rows.push_back(static_cast<int>(ids.size()) - 1);
      open.push_back(p);
    }
    for (int step = 0; step < options.max_new_tokens && !open.empty(); ++step) {
      const int first = advance<T>(w, cache, ids, parents, rows, s);
      std::vector<int> next_ids, next_parents;
      std::vector<std::size_t> next_open;
      const matrix_view<T> logits = s.logits();
      for (std::size_t k = 0; k < open.size(); ++k) {
        const T* row = logits.data() + static_cast<Eigen::Index>(k) * logits.cols();
        const int node = first + rows[k];
        const int id =
            choose(std::span<const T>(row, static_cast<std::size_t>(logits.cols())), static_cast<int>(open[k]));
        if (id == options.end_id) continue;
        results[open[k]].push_back(id);
        if (cache.depth(node) + 1 >= w.shape().max_positions) continue;
        next_ids.push_back(id);
        next_parents.push_back(node);
        next_open.push_back(open[k]);
      }
      ids.swap(next_ids);
      parents.swap(next_parents);
      open.swap(next_open);
      rows.resize(open.size());
      std::iota(rows.begin(), rows.end(), 0);
    }
  };
  const std::size_t groups = (prompts.size() + at_once - 1) / at_once;
  pool.for_each_chunk(static_cast<emend::index>(groups), [&](emend::index first_group, emend::index end_group) {
    key_value_cache<T> cache(w.shape());
    workspace<T> s;
    for (std::size_t g = static_cast<std::size_t>(first_group); g < static_cast<std::size_t>(end_group); ++g)
      decode_group(g * at_once, std::min(prompts.size(), (g + 1) * at_once), cache, s);
  });
  return results;
}

/// decode with the highest score each time (the first of equals).
template <class T, emend::executor Pool>
std::vector<std::vector<int>> decode_greedy(const weights<T>& w, std::span<const std::vector<int>> prompts, Pool&& pool,
                                            const decode_options& options = {}) {
  auto highest = [](std::span<const T> scores, int) {
    return static_cast<int>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  };
  return decode<T>(w, prompts, highest, pool, options);
}

}  // namespace lm
