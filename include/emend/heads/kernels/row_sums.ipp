// The sums of rows with contiguous vocabulary, block by block. Part of kernels.ipp.

/// Whether a pass over a block stops before a chunk whose mass lies too far above the reference. Where more than the
/// sums comes of the pass, the whole block is summed again instead.
template <class T, int Features, bool IsSaved>
inline constexpr bool stops_at_high_mass =
    Features == 0 && !IsSaved && (!has_scaling || paired_sums<T, true>::template is_faster<Features>);

/// One pass over a block of n scores, n a multiple of two registers. A score far below the reference counts as
/// 2^lowest_power: less than any sum can show. With IsSaved `saved` receives every 2^t. With PendingTerms >= 0 the
/// gradient of another row's block is written on the way, so that reading and writing overlap.
template <class T, int Features, bool IsSaved, int PendingTerms = -1, bool IsClamped = true>
EMEND_TARGET EMEND_INLINE block_sums<arithmetic<T>> sum_block(const T* x, index n, arithmetic<T> multiplier,
                                                              const row_sums<arithmetic<T>>& row, arithmetic<T>* saved,
                                                              const pending_block<T>* pending = nullptr) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  using pairs = paired_sums<T, IsClamped>;
  constexpr bool is_stopping = stops_at_high_mass<T, Features, IsSaved>;
  constexpr index chunk = summed_chunk<A>;
  const auto end_of_chunk = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA { return n - i < chunk ? n : i + chunk; };
  reg v[2];
  const auto load_next = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA {
    prefetch_ahead(x + i);
    load_pair<T, pairs::template is_faster<Features>>(x + i, v);
  };
  if constexpr (pairs::template is_faster<Features>) {
    static_assert(!IsSaved && PendingTerms < 0);
    pairs line{splat<A>(multiplier), splat<A>(-row.kernel_reference), splat<A>(lowest_power<A>)};
    index taken = 0;
    for (index i = 0; i < n;) {
      for (const index end = end_of_chunk(i); i < end; i += 2 * p::lanes) {
        load_next(i);
        line.step({v[0], v[1]});
      }
      if (!line.flush()) return line.result(taken);
      // Two pairs are still on their way.
      taken = i < 4 * p::lanes ? 0 : i - 4 * p::lanes;
    }
    line.finish();
    return line.flush() ? line.result(n) : line.result(taken);
  }
  block_pipeline<T, Features, IsClamped> line{splat<A>(multiplier), splat<A>(row.kernel_reference),
                                              splat<A>(row.kernel_center), splat<A>(lowest_power<A>)};
  if constexpr (has_scaling) {
    static_assert(!IsSaved && PendingTerms < 0);
    line.fill();
    const auto step = [&]() EMEND_TARGET EMEND_INLINE_LAMBDA {
      line.take();
      line.complete();
      line.advance();
    };
    for (index i = 0; i < n; line.template flush<false>())
      for (const index end = end_of_chunk(i); i < end; i += 2 * p::lanes) {
        load_next(i);
        step();
        line.start(v[0]);
        step();
        line.start(v[1]);
      }
    step();
    line.take();
    line.complete();
    line.take();
  } else {
    const auto keep = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA {
      line.complete();
      const reg e = line.take();
      if constexpr (IsSaved) store(saved + i, e);
    };
    load_pair(x, v);
    line.start(v[0]);
    line.advance();
    line.start(v[1]);
    index i = 2 * p::lanes, taken = 0;
    while (i < n) {
      for (const index end = end_of_chunk(i); i < end; i += 2 * p::lanes) {
        load_next(i);
        keep(i - 2 * p::lanes);
        line.advance();
        line.start(v[0]);
        keep(i - p::lanes);
        line.advance();
        line.start(v[1]);
        if constexpr (PendingTerms >= 0) pending->template write<PendingTerms>(i);
      }
      if (!line.template flush<is_stopping>()) return line.result(taken);
      taken = i - 2 * p::lanes;  // one pair is still on its way
    }
    if constexpr (PendingTerms >= 0) pending->template write<PendingTerms>(0);
    keep(i - 2 * p::lanes);
    line.advance();
    keep(i - p::lanes);
    if constexpr (is_stopping) return line.template flush<true>() ? line.result(n) : line.result(taken);
  }
  line.template flush<false>();
  return line.result(is_mass_high<A>(line.whole_sum, line.whole_weighted) ? 0 : n);
}

/// total += factor x, lane by lane.
template <class A>
EMEND_TARGET EMEND_INLINE void add_lanes(double (&total)[row_sums<A>::lanes], typename pack<A>::reg x,
                                         double factor = 1) {
  using wide = typename pack<A>::wide;
  typedef wide unaligned __attribute__((aligned(8), may_alias));
  unaligned* const sums = reinterpret_cast<unaligned*>(total);
  *sums += __builtin_convertvector(x, wide) * factor;
}

/// What exponent_of subtracts, without its rounding: the multiplier's low part is taken at the center.
template <class A>
EMEND_TARGET EMEND_INLINE double exact_reference(A rounded, A center, const row_multiplier<A>& multiplier) {
  const double high = static_cast<double>(multiplier.high), low = static_cast<double>(multiplier.low);
  const double c = static_cast<double>(center);
  return has_fused_multiply ? static_cast<double>(rounded) + c * low : c * high + c * low;
}

/// A reference less another, without the rounding of either.
template <class A>
EMEND_TARGET EMEND_INLINE double reference_difference(A rounded, A center, A other_rounded, A other_center,
                                                      const row_multiplier<A>& multiplier) {
  const double high = static_cast<double>(multiplier.high), low = static_cast<double>(multiplier.low);
  const double scores = static_cast<double>(center) - static_cast<double>(other_center);
  if constexpr (!has_fused_multiply) return scores * high + scores * low;
  return static_cast<double>(rounded) - static_cast<double>(other_rounded) + scores * low;
}

/// Moves the reference of the sums to the maximum of a block; false if no finite reference exists there. Apart from the
/// loops: it is rare.
template <class T>
EMEND_TARGET __attribute__((noinline)) bool raise_reference(row_sums<arithmetic<T>>& row, const T* x, index n,
                                                            const row_multiplier<arithmetic<T>>& multiplier) {
  using A = arithmetic<T>;
  const A maximum = block_maximum(x, n);
  if (maximum == -__builtin_inff()) return false;
  const A rounded = maximum * multiplier.high;
  const double exact = exact_reference(rounded, maximum, multiplier);
  if (!(rounded - rounded == 0)) {
    row.needs_reference_path = true;
    return false;
  }
  if (row.has_reference) {
    const double down = reference_difference(row.kernel_reference, row.kernel_center, rounded, maximum, multiplier);
    const double factor = __builtin_exp2(down);
    for (int lane = 0; lane < row_sums<A>::lanes; ++lane) {
      row.weighted[lane] = factor * (row.weighted[lane] + down * row.sum[lane]);
      row.sum[lane] *= factor;
      row.squares[lane] *= factor * factor;
    }
  }
  row.reference = exact;
  row.kernel_reference = rounded;
  row.kernel_center = maximum;
  row.has_reference = true;
  return true;
}

/// The sums of n scores of a block. Without clamping first, unless the row is known to hold a score of -inf.
template <class T, int Features, bool IsSaved, int PendingTerms = -1>
EMEND_TARGET EMEND_INLINE block_sums<arithmetic<T>> sum_scores(row_sums<arithmetic<T>>& row, const T* x, index n,
                                                               const row_multiplier<arithmetic<T>>& multiplier,
                                                               arithmetic<T>* saved,
                                                               const pending_block<T>* pending = nullptr) {
  if constexpr (has_scaling && !IsSaved) {
    if (!row.is_clamped) {
      const block_sums<arithmetic<T>> sums =
          sum_block<T, Features, IsSaved, PendingTerms, false>(x, n, multiplier.high, row, saved, pending);
      if (!sums.has_nan) return sums;
      // Most likely a score of -inf, and a row that holds one holds more.
      row.is_clamped = true;
    }
  }
  return sum_block<T, Features, IsSaved, PendingTerms>(x, n, multiplier.high, row, saved, pending);
}

/// Adds the sums of a block of n scores to those of its row; `first` is the position of its first score in the row.
template <class T, int Features>
EMEND_TARGET EMEND_INLINE void add_block(row_sums<arithmetic<T>>& row, const block_sums<arithmetic<T>>& block,
                                         const T* x, index n, index first) {
  using A = arithmetic<T>;
  constexpr double unit = 1 / static_cast<double>(power_unit<A, sum_policy>);
  static_assert(unit * static_cast<double>(power_unit<A, sum_policy>) == 1, "2^0 must come out as 1");
  add_lanes<A>(row.sum, block.sum, unit);
  add_lanes<A>(row.weighted, block.weighted, unit);
  if constexpr (Features & want_extras) {
    add_lanes<A>(row.squares, block.squares, unit * unit);
    row.plain += block.plain;
  }
  if constexpr (Features & want_arg_max) {
    if (block.maximum > row.maximum || row.arg_max < 0) {
      row.maximum = block.maximum;
      row.arg_max = first + place_of(x, n, block.maximum);
    }
  }
}

/// Takes what is left of a block whose first sums end early: the reference of the row lies too far below. Apart from
/// the loops: rows with this are rare.
template <class T, int Features, bool IsSaved>
EMEND_TARGET __attribute__((noinline)) void take_rest_of_block(row_sums<arithmetic<T>>& row, const T* x, index n,
                                                               index first,
                                                               const row_multiplier<arithmetic<T>>& multiplier,
                                                               arithmetic<T>* saved, block_sums<arithmetic<T>> block) {
  using A = arithmetic<T>;
  for (index done = 0;;) {
    if (!block.is_in_range) {
      if (!raise_reference(row, x + done, n - done, multiplier)) row.needs_reference_path = true;
      block = sum_scores<T, Features, IsSaved>(row, x + done, n - done, multiplier, saved);
      if (!block.is_in_range) row.needs_reference_path = true;
    }
    if (block.taken > 0) add_block<T, Features>(row, block, x, n, first);
    done += block.taken;
    if (done == n || row.needs_reference_path) return;
    // The mass of the next chunk lies too far above the reference: with a reference at its maximum it does not.
    constexpr index next = summed_chunk<A> + 4 * pack<A>::lanes;
    const index high = stops_at_high_mass<T, Features, IsSaved> && n - done > next ? next : n - done;
    if (!raise_reference(row, x + done, high, multiplier)) row.needs_reference_path = true;
    block = sum_scores<T, Features, IsSaved>(row, x + done, n - done, multiplier, saved);
  }
}

/// Takes one block into the sums; `first` is the position of its first score in the row.
template <class T, int Features, bool IsSaved, int PendingTerms = -1>
EMEND_TARGET inline void take_block(row_sums<arithmetic<T>>& row, const T* x, index n, index first,
                                    const row_multiplier<arithmetic<T>>& multiplier, arithmetic<T>* saved,
                                    const pending_block<T>* pending = nullptr) {
  using A = arithmetic<T>;
  // Until a block has a finite score there is nothing to refer to, and every term so far is exactly 0.
  // Any finite score near the row's largest will do. Where a wrong guess costs no more than a chunk, only a few scores
  // are looked at.
  const index few = stops_at_high_mass<T, Features, IsSaved> && n > 256 ? 256 : n;
  if (!row.has_reference && !raise_reference(row, x, few, multiplier) && !raise_reference(row, x, n, multiplier)) {
    if constexpr (Features & want_extras) row.plain = -infinity;
    for (index i = 0; i < n; ++i) {
      if (!(static_cast<A>(x[i]) == -__builtin_inff())) row.needs_reference_path = true;
      if constexpr (IsSaved) saved[i] = smallest_power<T>;
    }
    if constexpr (PendingTerms >= 0)
      for (index i = 0; i < n; i += 2 * pack<A>::lanes) pending->template write<PendingTerms>(i);
    return;
  }
  const block_sums<A> block = sum_scores<T, Features, IsSaved, PendingTerms>(row, x, n, multiplier, saved, pending);
  if (block.is_in_range && block.taken == n) [[likely]]
    return add_block<T, Features>(row, block, x, n, first);
  take_rest_of_block<T, Features, IsSaved>(row, x, n, first, multiplier, saved, block);
}

/// f(x, count, first, present): the blocks of a row of n scores, `Block` or fewer, each a multiple of the register
/// group; the last one is filled up with -inf in a copy.
template <index Block, class T, class F>
EMEND_TARGET EMEND_INLINE void for_each_block(const T* x, index n, F&& f) {
  constexpr index group = 2 * pack<arithmetic<T>>::lanes;
  index done = 0;
  while (n - done >= group) {
    const index whole = (n - done) / group * group, size = whole < Block ? whole : Block;
    f(x + done, size, done, size);
    done += size;
  }
  if (done == n) return;
  T tail[group];
  for (index i = 0; i < group; ++i) tail[i] = i < n - done ? x[done + i] : T(-__builtin_inff());
  f(static_cast<const T*>(tail), group, done, n - done);
}

/// Takes n contiguous scores into the sums of their row. The order of additions depends on n alone.
template <class T, int Features>
EMEND_TARGET void accumulate_row(row_sums<arithmetic<T>>& row, const T* x, index n, index first,
                                 const row_multiplier<arithmetic<T>>& multiplier) {
  for_each_block<summed_block<T>>(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
    const double plain = row.plain;
    take_block<T, Features, false>(row, block, count, first + done, multiplier, nullptr);
    if constexpr (Features & want_extras)
      if (present < count) {
        row.plain = plain;
        for (index i = 0; i < present; ++i) row.plain += static_cast<double>(static_cast<arithmetic<T>>(block[i]));
      }
  });
}
