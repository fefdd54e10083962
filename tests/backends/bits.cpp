// The bits of a row depend on the row alone: not on its neighbours, its place, the mask, or the threads.
#include "suite.hpp"

namespace suite {

static table rows_of(const table& x, const std::vector<index>& rows) {
  table part{static_cast<index>(rows.size()), x.vocab};
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (index j = 0; j < x.vocab; ++j) part(static_cast<index>(i), j) = x(rows[i], j);
  return part;
}

TEST_CASE_TEMPLATE_DEFINE("a row's gradient has the same bits in whatever batch it sits", Carrier, bits_of_batches) {
  if (!traits_of<Carrier>().keeps_bits_in_batches) return;
  for (instruction_set set : every_instruction_set)
    for (index vocab : {1, 5, 33, 100, 2100}) {
      if (vocab > traits_of<Carrier>().max_vocab) continue;
      CAPTURE(vocab);
      CAPTURE(static_cast<int>(set));
      const index n = 70;
      const table x = rounded<Carrier>(random_table(n, vocab));
      request r{.targets = random_targets(n, vocab),
                .loss = every_statistic,
                .options = {.with_log_sum_squares = true, .instructions = set}};
      const outcome whole = evaluate_on<Carrier>(x, r);
      for (const std::vector<index>& rows :
           {std::vector<index>{0}, {69}, {3, 1}, {5, 6, 7}, {64, 2, 65, 13}, {9, 8, 7, 6, 5, 4, 3, 2, 1}}) {
        request part = r;
        part.targets.clear();
        for (index row : rows) part.targets.push_back(r.targets[static_cast<std::size_t>(row)]);
        const outcome got = evaluate_on<Carrier>(rows_of(x, rows), part);
        for (std::size_t i = 0; i < rows.size(); ++i) {
          CAPTURE(rows.size());
          CHECK(same_bits(got.gradient.data() + static_cast<index>(i) * vocab, whole.gradient.data() + rows[i] * vocab,
                          vocab));
        }
      }
    }
}
TEST_CASE_TEMPLATE_APPLY(bits_of_batches, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("masked, silent and non-finite neighbours change no bits", Carrier, bits_of_neighbours) {
  const traits carrier = traits_of<Carrier>();
  for (instruction_set set : every_instruction_set)
    for (index vocab : {5, 33, 100}) {
      const index n = 11;
      table x = rounded<Carrier>(random_table(n, vocab));
      request r{.targets = random_targets(n, vocab),
                .loss = every_statistic,
                .options = {.with_log_sum_squares = true, .instructions = set}};
      const outcome whole = evaluate_on<Carrier>(x, r);
      const std::vector<double> keep{1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1};
      for (bool is_mask : {true, false})
        for (double filler : {0.0, nan, 1e4}) {
          table y = x;
          for (index i = 0; i < n; ++i)
            if (keep[static_cast<std::size_t>(i)] == 0)
              for (index j = 0; j < vocab; ++j) y(i, j) = filler;
          request masked = r;
          if (is_mask)
            masked.options.mask = keep;
          else
            masked.options.weight = keep;
          const outcome got = evaluate_on<Carrier>(y, masked);
          for (index i = 0; i < n; ++i)
            if (keep[static_cast<std::size_t>(i)] != 0)
              CHECK(same_bits(got.gradient.data() + i * vocab, whole.gradient.data() + i * vocab, vocab));
        }
      if (!carrier.takes_infinities) continue;
      // Neighbours that the slow path takes, all of them evaluated.
      table y = x;
      y(1, 0) = nan;
      for (index j = 0; j < vocab; ++j) y(4, j) = -inf;
      y(9, vocab - 1) = carrier.highest;
      const outcome got = evaluate_on<Carrier>(y, r);
      for (index i : {0, 2, 3, 5, 6, 7, 8, 10})
        CHECK(same_bits(got.gradient.data() + i * vocab, whole.gradient.data() + i * vocab, vocab));
    }
}
TEST_CASE_TEMPLATE_APPLY(bits_of_neighbours, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("the same bits for any number of threads", Carrier, bits_of_threads) {
  const std::vector<int> links{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, -1};
  for (bool is_linked : {false, true})
    for (index vocab : {7, 130}) {
      const table x = rounded<Carrier>(random_table(13, vocab));
      request r{.targets = random_targets(13, vocab),
                .loss = {-1, 0.125, 0.5, 0.25, 0.0625, is_linked ? 0.3 : 0},
                .options = {.with_log_sum_squares = true}};
      if (is_linked) r.options.links = links;
      const outcome alone = evaluate_on<Carrier>(x, r);
      const auto columns = statistics_on<Carrier>(x, r.targets, {});
      for (int threads : {1, 2, 3}) {
        r.threads = threads;
        for (way how : {way::fresh, way::into, way::in_place}) {
          r.how = how;
          const outcome got = evaluate_on<Carrier>(x, r);
          CHECK(same_bits(&got.value, &alone.value, 1));
          CHECK(got.metrics == alone.metrics);
          CHECK(same_bits(got.gradient.data(), alone.gradient.data(), 13 * vocab));
        }
        const auto again = statistics_on<Carrier>(x, r.targets, {}, threads);
        CHECK(again.log_z == columns.log_z);
        CHECK(again.entropy == columns.entropy);
      }
      r.threads = 0;
      r.how = way::fresh;
    }
}
TEST_CASE_TEMPLATE_APPLY(bits_of_threads, every_carrier);

TEST_CASE_TEMPLATE_DEFINE("in place has the bits of out of place", Carrier, bits_in_place) {
  const std::vector<int> offsets{0, 2, 5, 5, 9}, ids{1, 0, 2, 3, 4, 0, 1, 2, 3};
  for (const score_transform& transform :
       {score_transform{}, score_transform{.temperature = 0.5}, score_transform{.soft_cap = 3}})
    for (bool is_kept : {false, true}) {
      const table x = rounded<Carrier>(random_table(4, 21));
      request r{.targets = {1, 3, 0, 2}, .loss = {-1, 0, 0.5}, .options = {.transform = transform}};
      const std::vector<int> mask{1, 1, 0, 1};
      r.options.mask = mask;
      if (is_kept) r.options.kept = {offsets, ids};
      const outcome fresh = evaluate_on<Carrier>(x, r);
      r.how = way::in_place;
      const outcome got = evaluate_on<Carrier>(x, r);
      CHECK(same_bits(fresh.gradient.data(), got.gradient.data(), 4 * 21));
      CHECK(same_bits(&fresh.value, &got.value, 1));
    }
}
TEST_CASE_TEMPLATE_APPLY(bits_in_place, every_carrier);

// Above 8 MiB the gradient is written past the cache.
TEST_CASE("a block beyond the cache has the bits of a small one") {
  const index n = 80, vocab = 30001;
  const table x = rounded<plain<float>>(random_table(n, vocab));
  request r{.targets = random_targets(n, vocab), .loss = {-1, 0, 0.5}};
  const outcome whole = evaluate_on<plain<float>>(x, r);
  for (index row : {0, 1, 37, 79}) {
    request one = r;
    one.targets = {r.targets[static_cast<std::size_t>(row)]};
    const outcome got = evaluate_on<plain<float>>(rows_of(x, {row}), one);
    CHECK(same_bits(got.gradient.data(), whole.gradient.data() + row * vocab, vocab));
  }
  r.how = way::in_place;
  r.threads = 3;
  const outcome in_place = evaluate_on<plain<float>>(x, r);
  CHECK(same_bits(in_place.gradient.data(), whole.gradient.data(), n * vocab));
}

}  // namespace suite
