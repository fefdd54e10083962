#pragma once

#include <emend/evaluation/evaluate.hpp>
#include <emend/libtorch/head/row_operations.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/index.h>

namespace emend {

/// Scores in a tensor on any device, of which nothing of size V leaves the device: a `head_scores` by ATen's
/// operations. scores: as for backend<at::Tensor>, but for the device. The gradient is a tensor of the same shape,
/// dtype and device. `emend::loss` keeps the tokens' numbers there, too, where its options and the loss allow: see
/// there. `evaluate` and `statistics` run their losses on the host: every call brings there, and waits for, three
/// numbers a row (six where more than log_z and entropy are wanted) and one a term; it takes to the device three
/// indices a term, with a gradient five numbers a row and two a term, and what kept sets, temperatures and masked rows
/// need, in numbers of the tokens, never of the vocabulary. Cost: chunks of rows (8 MiB on the host, 256 MiB elsewhere)
/// pass some ten operations for the statistics, as many for the gradient.
struct device_scores {
  at::Tensor scores;
};

namespace detail {

/// Sets the terms of each row side by side: order[first[r]] .. order[first[r + 1] - 1] are those of row r.
struct terms_by_row {
  std::vector<index> first, order;
  terms_by_row(id_column row_of_term, index rows)
      : first(static_cast<std::size_t>(rows) + 1, 0), order(static_cast<std::size_t>(row_of_term.size())) {
    for (index i = 0; i < row_of_term.size(); ++i) ++first[static_cast<std::size_t>(row_of_term[i]) + 1];
    for (std::size_t r = 0; r + 1 < first.size(); ++r) first[r + 1] += first[r];
    std::vector<index> next(first.begin(), first.end() - 1);
    for (index i = 0; i < row_of_term.size(); ++i)
      order[static_cast<std::size_t>(next[static_cast<std::size_t>(row_of_term[i])]++)] = i;
  }
};

/// The terms that say something of their target, for a chunk of rows.
inline std::vector<op_chain::target> targets_of(const op_chain& chain, const head_request& r, const terms_by_row& terms,
                                                std::span<const index> rows, const double* score_adjoints) {
  std::vector<op_chain::target> targets;
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (index t = terms.first[static_cast<std::size_t>(rows[k])];
         t < terms.first[static_cast<std::size_t>(rows[k]) + 1]; ++t) {
      const index i = terms.order[static_cast<std::size_t>(t)];
      if (score_adjoints[i] != 0 && chain.keeps(rows[k], r.targets[i]))
        targets.push_back({static_cast<index>(k), r.targets[i], score_adjoints[i]});
    }
  return targets;
}

/// Chunks of the rows of [B, T, V] scores, none over the end of a batch entry unless these follow each other in memory:
/// f(chunk [n, V], its first row).
template <class F>
void for_each_score_chunk(const at::Tensor& scores, F&& f) {
  at::Tensor block = scores;
  if (block.size(0) > 1 && block.stride(0) == block.size(1) * block.stride(1))
    block = block.view({1, -1, block.size(2)});
  const index tokens = block.size(1);
  for (index b = 0; b < block.size(0); ++b)
    for_each_row_chunk(
        tokens, block.size(2) * (block.scalar_type() == at::kDouble ? 8 : 4), block.device(),
        [&](index first, index last) { f(block[b].narrow(0, first, last - first), b * tokens + first); });
}

/// The same with its active rows: f(chunk, first, active).
template <class F>
void for_each_score_chunk(const at::Tensor& scores, const std::uint8_t* is_active, F&& f) {
  std::vector<index> active;
  for_each_score_chunk(scores, [&](const at::Tensor& chunk, index first) {
    active.clear();
    for (index row = first; row < first + chunk.size(0); ++row)
      if (is_active[row]) active.push_back(row);
    f(chunk, first, std::span<const index>(active));
  });
}

/// Rows first .. of [B, T, V] become those of `rows`, rounded to its type.
inline void write_rows(const at::Tensor& out, index first, const at::Tensor& rows) {
  const index tokens = out.size(1);
  for (index done = 0; done < rows.size(0);) {
    const index b = (first + done) / tokens, t = (first + done) % tokens,
                count = std::min(tokens - t, rows.size(0) - done);
    out[b].narrow(0, t, count).copy_(rows.narrow(0, done, count));
    done += count;
  }
}

/// Places of the active rows within their chunk, on the device; undefined where all are active.
inline at::Tensor places_of(std::span<const index> active, index first, index size, at::Device device,
                            std::vector<index>& storage) {
  if (static_cast<index>(active.size()) == size) return {};
  storage.assign(active.begin(), active.end());
  for (index& row : storage) row -= first;
  return on_device(storage, device);
}

}  // namespace detail

template <>
struct backend<device_scores> {
  static at::Tensor like(const device_scores& x) { return backend<at::Tensor>::like(x.scores); }

  static head_shape shape(const device_scores& x) {
    detail::require_score_tensor("scores", x.scores);
    const index vocab = x.scores.size(-1);
    index rows = 1;
    for (index d = 0; d + 1 < x.scores.dim(); ++d) rows *= x.scores.size(d);
    return {rows, vocab};
  }

  static void forward(const device_scores& x, const head_request& r, row_statistics* rows, double* scores) {
    const at::NoGradGuard no_graph;
    const at::Tensor block = detail::in_three_dimensions(x.scores);
    const detail::op_chain chain(r, block.scalar_type());
    const index tokens = block.size(1), vocab = block.size(2);
    std::vector<at::Tensor> parts;
    std::vector<index> order, storage;
    detail::for_each_score_chunk(
        block, r.is_active, [&](const at::Tensor& part, index first, std::span<const index> active) {
          if (active.empty()) return;
          const at::Tensor places = detail::places_of(active, first, part.size(0), block.device(), storage);
          parts.push_back(chain.statistics(places.defined() ? part.index_select(0, places) : part, active));
          order.insert(order.end(), active.begin(), active.end());
        });
    // The scores of the targets, wherever they are kept.
    std::vector<index> terms, batch, token, id;
    for (index i = 0; i < r.targets.size(); ++i) {
      scores[i] = -detail::infinity;
      if (!r.is_active[r.rows[i]] || !chain.keeps(r.rows[i], r.targets[i])) continue;
      terms.push_back(i);
      batch.push_back(r.rows[i] / tokens);
      token.push_back(r.rows[i] % tokens);
      id.push_back(r.targets[i]);
    }
    std::vector<at::Tensor> all;
    if (!parts.empty()) all.push_back(at::cat(parts, 1).flatten());
    if (!terms.empty()) {
      const auto there = [&](std::vector<index>& values) { return detail::on_device(values, block.device()); };
      all.push_back(block.index({there(batch), there(token), there(id)}).to(at::kDouble));
    }
    if (all.empty()) return;
    const at::Tensor on_host = at::cat(all).cpu();  // the one copy that waits for the device
    const double* columns = static_cast<const double*>(on_host.const_data_ptr());
    const index count = static_cast<index>(order.size());
    for (index k = 0; k < count; ++k) {
      const index row = order[static_cast<std::size_t>(k)];
      rows[row] = chain.read(row, columns + k, count, vocab);
    }
    const double* given = columns + (count > 0 ? chain.columns() * count : 0);
    for (std::size_t k = 0; k < terms.size(); ++k) scores[terms[k]] = chain.score(r.rows[terms[k]], given[k]);
  }

  static void backward(const device_scores& x, const head_request& r, const row_statistics* rows,
                       const row_adjoint* adjoints, const double* score_adjoints, at::Tensor& gradient) {
    const at::NoGradGuard no_graph;
    detail::require_gradient_tensor(x.scores, gradient);
    const at::Tensor block = detail::in_three_dimensions(x.scores), out = detail::writable(gradient);
    const detail::op_chain chain(r, block.scalar_type());
    const detail::terms_by_row terms(r.rows, block.size(0) * block.size(1));
    std::vector<index> storage;
    detail::for_each_score_chunk(
        block, r.is_active, [&](const at::Tensor& part, index first, std::span<const index> active) {
          const index size = part.size(0);
          if (active.empty()) {
            detail::write_rows(out, first, at::zeros({1, 1}, part.options()).expand({size, part.size(1)}));
            return;
          }
          const at::Tensor places = detail::places_of(active, first, size, block.device(), storage);
          at::Tensor written = chain.gradient(places.defined() ? part.index_select(0, places) : part, active, rows,
                                              adjoints, detail::targets_of(chain, r, terms, active, score_adjoints));
          if (places.defined())
            written = at::zeros({size, part.size(1)}, written.options()).index_copy_(0, places, written);
          detail::write_rows(out, first, written);
        });
  }
};
static_assert(head_scores<device_scores> && !host_scores<device_scores>);

}  // namespace emend
