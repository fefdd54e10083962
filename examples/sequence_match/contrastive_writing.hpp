#pragma once

#include <emend/sampling/contrastive_search.hpp>
#include <lm/lm.hpp>
#include <sequence_match/questions.hpp>

namespace sequence_match {

struct contrastive_options {
  emend::index k = 5;
  double alpha = 0.6;                   // Su et al. 2022
  std::vector<emend::index> forbidden;  // ids that are no text
};

/// Continues prompts by `length` tokens by contrastive search: deterministic. All candidates of all prompts are read at
/// once.
inline std::vector<ids> write_contrastively(const lm::weights<float>& w, const std::vector<ids>& prompts, int length,
                                            const contrastive_options& o) {
  const emend::index vocab = w.shape().vocab_size, dim = w.shape().dim;
  struct text {
    std::vector<float> scores, hidden;  // of the last token; [tokens, dim] of all
    int node = -1;
    ids written;
  };
  std::vector<text> texts(prompts.size());
  lm::key_value_cache<float> cache(w.shape());
  lm::workspace<float> s;
  const auto copy_row = [](auto&& block, Eigen::Index row, std::vector<float>& to) {
    to.insert(to.end(), block.data() + row * block.cols(), block.data() + (row + 1) * block.cols());
  };
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    std::vector<int> tokens(prompts[p].begin(), prompts[p].end()), parents, rows;
    const int first = cache.size();
    for (int i = 0; i < static_cast<int>(tokens.size()); ++i) {
      parents.push_back(i == 0 ? -1 : first + i - 1);
      rows.push_back(i);
    }
    lm::advance<float>(w, cache, tokens, parents, rows, s);
    for (const int row : rows) copy_row(s.hidden(), row, texts[p].hidden);
    copy_row(s.logits(), rows.back(), texts[p].scores);
    texts[p].node = first + rows.back();
  }
  for (int step = 0; step < length; ++step) {
    std::vector<int> tokens, parents, rows;
    std::vector<emend::contrastive_candidates> among;
    for (text& t : texts) {
      for (const emend::index id : o.forbidden) t.scores[static_cast<std::size_t>(id)] = -emend::detail::infinity;
      among.push_back(emend::most_probable(t.scores.data(), vocab, o.k));
      for (const emend::index id : among.back().id) {
        rows.push_back(static_cast<int>(tokens.size()));
        tokens.push_back(static_cast<int>(id));
        parents.push_back(t.node);
      }
    }
    const int first = lm::advance<float>(w, cache, tokens, parents, rows, s);
    Eigen::Index row = 0;
    for (std::size_t p = 0; p < texts.size(); ++p) {
      text& t = texts[p];
      const auto k = static_cast<emend::index>(among[p].id.size());
      emend::matrix<float> candidates(k, dim), context(static_cast<emend::index>(t.hidden.size()) / dim, dim);
      std::copy_n(s.hidden().data() + row * dim, k * dim, candidates.data());
      std::copy(t.hidden.begin(), t.hidden.end(), context.data());
      const emend::index chosen =
          emend::contrastive_choice(among[p].probability, candidates, context, o.alpha).selected;
      t.written.push_back(among[p].id[static_cast<std::size_t>(chosen)]);
      t.node = first + static_cast<int>(row + chosen);
      t.scores.clear();
      copy_row(s.logits(), row + chosen, t.scores);
      copy_row(s.hidden(), row + chosen, t.hidden);
      row += k;
    }
  }
  std::vector<ids> result;
  for (text& t : texts) result.push_back(std::move(t.written));
  return result;
}

}  // namespace sequence_match
