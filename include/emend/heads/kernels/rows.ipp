// Rows with contiguous vocabulary: sums forward, gradients backward, the soft cap. Part of kernels.ipp.

/// e = 2^t of `Count` registers with t in [lowest_power, 127); `shifted` is t + rounding_magic.
template <class A, int Count>
EMEND_TARGET EMEND_INLINE void powers_of_two(const typename pack<A>::reg* t, const typename pack<A>::reg* shifted,
                                             typename pack<A>::reg* e) {
  using p = pack<A>;
  using reg = typename p::reg;
  reg r[Count];
  for (int u = 0; u < Count; ++u) r[u] = t[u] - (shifted[u] - rounding_magic<A>);
  polynomial<quick, A, Count>(r, e);
  for (int u = 0; u < Count; ++u)
    e[u] = (reg)((typename p::bits)e[u] + ((typename p::bits)shifted[u] << fraction_bits<A>));
}

template <class A>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg power_of_two(typename pack<A>::reg t) {
  const typename pack<A>::reg shifted = t + rounding_magic<A>;
  typename pack<A>::reg e;
  powers_of_two<A, 1>(&t, &shifted, &e);
  return e;
}

/// How the powers of a gradient are made: closely, since a linear or a quadratic term may cancel nearly all of it. The
/// unit of the scaled ones is a power of two, so that a row of one score keeps its exact gradient.
template <int Terms>
inline constexpr exponential_policy gradient_policy = has_fused_multiply ? precise_scaled
                                                      : Terms == 0       ? quick
                                                                         : precise;

/// The coefficients of a row in registers, or of as many tokens as there are lanes.
template <class A>
struct gradient_registers {
  using reg = typename pack<A>::reg;
  reg multiplier, negative_reference, magic, lowest, center, constant, linear, quadratic;

  template <int Terms>
  EMEND_TARGET EMEND_INLINE void set(const row_gradient<A>& row) {
    const row_gradient<A> g = centered<Terms>(row);
    multiplier = splat<A>(g.multiplier);
    negative_reference = splat<A>(-g.reference);
    magic = splat<A>(rounding_magic<A> - g.reference);
    lowest = splat<A>(lowest_of(g));
    center = splat<A>(g.center);
    constant = splat<A>(g.constant);
    linear = splat<A>(g.linear);
    quadratic = splat<A>(g.quadratic);
  }

  template <int Terms>
  EMEND_TARGET EMEND_INLINE void set_lane(int lane, const row_gradient<A>& row) {
    const row_gradient<A> g = centered<Terms>(row);
    multiplier[lane] = g.multiplier;
    negative_reference[lane] = -g.reference;
    magic[lane] = rounding_magic<A> - g.reference;
    lowest[lane] = lowest_of(g);
    center[lane] = g.center;
    constant[lane] = g.constant;
    linear[lane] = g.linear;
    quadratic[lane] = g.quadratic;
  }

  /// Scaling goes on below the normal numbers: only further down is its result exactly 0.
  EMEND_TARGET EMEND_INLINE static A lowest_of(const row_gradient<A>& g) {
    return has_scaling ? g.lowest - A(sizeof(A) == 4 ? 64 : 128) / g.multiplier : g.lowest;
  }

  /// Without a fused multiply the powers are those of v - center; the difference is a factor of the whole row, and so
  /// is the unit of the powers.
  template <int Terms>
  EMEND_TARGET EMEND_INLINE static row_gradient<A> centered(row_gradient<A> g) {
    double factor = 1 / static_cast<double>(power_unit<A, gradient_policy<Terms>>);
    if constexpr (!has_fused_multiply)
      factor *= __builtin_exp2(static_cast<double>(g.center) * static_cast<double>(g.multiplier) -
                               static_cast<double>(g.reference));
    g.constant = static_cast<A>(static_cast<double>(g.constant) * factor);
    g.linear = static_cast<A>(static_cast<double>(g.linear) * factor);
    g.quadratic = static_cast<A>(static_cast<double>(g.quadratic) * factor * factor);
    if constexpr (!has_fused_multiply) g.reference = 0;
    return g;
  }
};

/// out = (power - 2^lowest) (constant + linear (x - center)): the gradient of one block from its saved powers. What was
/// clamped to the lowest power gives exactly 0.
template <class T, int Terms>
EMEND_TARGET EMEND_INLINE typename pack<arithmetic<T>>::reg saved_gradient_of(
    typename pack<arithmetic<T>>::reg power, typename pack<arithmetic<T>>::reg v,
    const gradient_registers<arithmetic<T>>& g) {
  using A = arithmetic<T>;
  const typename pack<A>::reg e = power - smallest_power<T>;
  if constexpr (Terms == 0) return e * g.constant;
  return e * ((at_least(g.lowest, v) - g.center) * g.linear + g.constant);
}

/// Coefficients of one block of a saved row: those of powers relative to log_z, moved to the block's own reference and
/// to the unit of the powers.
template <class T, class A = arithmetic<T>>
EMEND_TARGET EMEND_INLINE gradient_registers<A> block_registers(const row_gradient<A>& coefficients, double reference,
                                                                double log2_z) {
  const double scale = __builtin_exp2(reference - log2_z) / static_cast<double>(power_unit<A, sum_policy>);
  gradient_registers<A> g{};
  g.lowest = splat<A>(coefficients.lowest);
  g.center = splat<A>(coefficients.center);
  g.constant = splat<A>(static_cast<A>(static_cast<double>(coefficients.constant) * scale));
  g.linear = splat<A>(static_cast<A>(static_cast<double>(coefficients.linear) * scale));
  return g;
}

/// One block of a row whose gradient is written while the next row is read: x, powers and output of the block.
template <class T>
struct pending_block {
  const T* x;
  const arithmetic<T>* power;
  T* out;
  gradient_registers<arithmetic<T>> g;

  /// Writes the gradient of two registers, one after the other: half a cache line alone would be written twice.
  template <int Terms>
  EMEND_TARGET EMEND_INLINE void write(index i) const {
    using p = pack<arithmetic<T>>;
    const auto first = saved_gradient_of<T, Terms>(load(power + i), load(x + i), g);
    const auto second = saved_gradient_of<T, Terms>(load(power + i + p::lanes), load(x + i + p::lanes), g);
    stream_pair(out + i, first, second);
  }
};

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

/// out = gradient of `Count` registers of scores. Terms: 0 constant, 1 and linear, 2 and quadratic.
template <class A, int Terms, int Count>
EMEND_TARGET EMEND_INLINE void gradients_of(typename pack<A>::reg* v, const gradient_registers<A>& g) {
  using p = pack<A>;
  using reg = typename p::reg;
  reg shifted[Count], r[Count], e[Count];
  for (int u = 0; u < Count; ++u) v[u] = at_least(g.lowest, v[u]);
  reg w[Count];
  for (int u = 0; u < Count; ++u) w[u] = has_fused_multiply ? v[u] : v[u] - g.center;
  // The integer part and the reference leave together, so the remainder is rounded once, at its own size.
  if constexpr (has_scaling) {
    for (int u = 0; u < Count; ++u)
      shifted[u] = round_to_integer(fused_multiply_add(w[u], g.multiplier, g.negative_reference));
    for (int u = 0; u < Count; ++u) r[u] = fused_multiply_add(w[u], g.multiplier, g.negative_reference - shifted[u]);
  } else {
    for (int u = 0; u < Count; ++u) shifted[u] = fused_multiply_add(w[u], g.multiplier, g.magic);
    for (int u = 0; u < Count; ++u) r[u] = fused_multiply_add(w[u], g.multiplier, g.magic - shifted[u]);
  }
  polynomial<gradient_policy<Terms>, A, Count>(r, e);
  for (int u = 0; u < Count; ++u) {
    if constexpr (has_scaling) e[u] = scale_by_power(e[u], shifted[u]);
    // The lowest score gives the exponent field 0, which is the number 0.
    else
      e[u] *= (reg)(((typename p::bits)shifted[u] + exponent_bias<A>) << fraction_bits<A>);
    if constexpr (Terms == 0) v[u] = e[u] * g.constant;
    if constexpr (Terms == 1) v[u] = e[u] * ((v[u] - g.center) * g.linear + g.constant);
    if constexpr (Terms == 2) v[u] = e[u] * (e[u] * g.quadratic + ((v[u] - g.center) * g.linear + g.constant));
  }
}

/// Pairs of scores that become pairs of gradients two steps later, where powers are made by scaling: what a pair waits
/// for was begun with the pair before it.
template <class A, int Terms>
struct scaled_gradients {
  using reg = typename pack<A>::reg;
  using pair = register_pair<A>;
  using power_of = pair_polynomial<A, gradient_policy<Terms>>;

  const gradient_registers<A>& g;
  pair v = pair_of<A>(g.lowest), shifted = pair_of<A>(reg{});                 // after the first step
  pair v_second = v, shifted_second = shifted, r = shifted, begun = shifted;  // after the second

  /// Takes in a pair; returns the gradient of the pair before the one before it.
  EMEND_TARGET EMEND_INLINE pair step(const pair& given) {
    const pair v_new = given.clamped(g.lowest);
    const pair shifted_new = v_new.times_plus(pair_of<A>(g.multiplier), g.negative_reference).rounded();
    // The integer part and the reference leave together, so the remainder is rounded once, at its own size.
    const pair rest = v.times_plus(pair_of<A>(g.multiplier), pair_of<A>(g.negative_reference) - shifted),
               halfway = power_of::begin(rest);
    const pair written = gradient(power_of::end(r, begun).scaled(shifted_second), v_second);
    v_second = v, shifted_second = shifted, r = rest, begun = halfway;
    v = v_new, shifted = shifted_new;
    return written;
  }
  /// Of one register alone.
  EMEND_TARGET EMEND_INLINE static reg of(reg x, const gradient_registers<A>& g) {
    scaled_gradients line{g};
    line.step({x, x});
    line.step({x, x});
    return line.step({x, x}).first;
  }

 private:
  EMEND_TARGET EMEND_INLINE pair gradient(const pair& e, const pair& x) const {
    const pair constant = pair_of<A>(g.constant);
    if constexpr (Terms == 0) return e * constant;
    const pair linear = (x - pair_of<A>(g.center)).times_plus(pair_of<A>(g.linear), g.constant);
    if constexpr (Terms == 1) return e * linear;
    return e * e.times_plus(pair_of<A>(g.quadratic), linear);
  }
};

template <class A, int Terms>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg gradient_of(typename pack<A>::reg v, const gradient_registers<A>& g) {
  if constexpr (has_scaling) {
    return scaled_gradients<A, Terms>::of(v, g);
  } else {
    gradients_of<A, Terms, 1>(&v, g);
    return v;
  }
}

/// Gradients of `groups` pairs of registers from load(k), each a pair, to write(k, pair), in order, a pair written two
/// steps after it was loaded.
template <class A, int Terms, class Load, class Write>
EMEND_TARGET EMEND_INLINE void write_groups(index groups, const gradient_registers<A>& g, const Load& load,
                                            const Write& write) {
  if constexpr (has_scaling) {
    using pair = register_pair<A>;
    scaled_gradients<A, Terms> line{g};
    const pair none = pair_of<A>(g.center);
    if (groups == 0) return;
    line.step(load(0));
    line.step(groups > 1 ? load(1) : none);
    for (index k = 2; k < groups; ++k) {
      const pair next = load(k);
      write(k - 2, line.step(next));
    }
    if (groups > 1) write(groups - 2, line.step(none));
    write(groups - 1, line.step(none));
  } else {
    for (index k = 0; k < groups; ++k) {
      const register_pair<A> given = load(k);
      typename pack<A>::reg v[2] = {given.first, given.second};
      gradients_of<A, Terms, 2>(v, g);
      write(k, register_pair<A>{v[0], v[1]});
    }
  }
}

/// Writes the gradient of n contiguous scores; `x` may be `out`. With `is_streaming` whole registers bypass the cache.
/// The row at `next`, of the same length, is brought near on the way: memory has nothing to read meanwhile. Null: there
/// is none.
template <class T, int Terms>
EMEND_TARGET void write_gradient_row(const T* x, T* out, index n, const row_gradient<arithmetic<T>>& coefficients,
                                     bool is_streaming, const T* next) {
  using A = arithmetic<T>;
  using p = pack<A>;
  constexpr index group = 2 * p::lanes;
  gradient_registers<A> g;
  g.template set<Terms>(coefficients);
  const auto prefetch = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA {
    constexpr index line = 64 / sizeof(T);
    for (index k = 0; k < 2 * p::lanes; k += line) prefetch_for_later(next + i + k);
  };
  index i = 0;
  const auto edge = [&](index count) EMEND_TARGET {
    T buffer[p::lanes];
    for (index k = 0; k < p::lanes; ++k) buffer[k] = k < count ? x[i + k] : T(-__builtin_inff());
    store(buffer, gradient_of<A, Terms>(load(buffer), g));
    for (index k = 0; k < count; ++k) out[i + k] = buffer[k];
    i += count;
  };
  if constexpr (can_stream && std::is_same_v<T, A>) {
    if (is_streaming) {
      for (index head = elements_to_line(out); head > 0 && i < n;) {
        const index most = head < p::lanes ? head : p::lanes, count = n - i < most ? n - i : most;
        edge(count);
        head -= count;
      }
      const index first = i, groups = (n - i) / group;
      const auto load_group = [&](index k) EMEND_TARGET EMEND_INLINE_LAMBDA {
        if (next) prefetch(first + k * group);
        return register_pair<A>{load(x + first + k * group), load(x + first + k * group + p::lanes)};
      };
      write_groups<A, Terms>(groups, g, load_group,
                             [&](index k, const register_pair<A>& v) EMEND_TARGET EMEND_INLINE_LAMBDA {
                               stream_pair(out + first + k * group, v.first, v.second);
                             });
      i += groups * group;
    }
  }
  const index first = i, groups = (n - i) / group;
  const auto load_group = [&](index k) EMEND_TARGET EMEND_INLINE_LAMBDA {
    if (next) prefetch(first + k * group);
    typename p::reg v[2];
    load_pair(x + first + k * group, v);
    return register_pair<A>{v[0], v[1]};
  };
  write_groups<A, Terms>(groups, g, load_group,
                         [&](index k, const register_pair<A>& v) EMEND_TARGET EMEND_INLINE_LAMBDA {
                           const typename p::reg both[2] = {v.first, v.second};
                           store_pair(out + first + k * group, both);
                         });
  i += groups * group;
  while (i < n) edge(n - i < p::lanes ? n - i : p::lanes);
}

template <class T, int Terms>
EMEND_TARGET inline void write_saved_block(const T* x, const arithmetic<T>* power, T* out, index n,
                                           const gradient_registers<arithmetic<T>>& g, bool is_streaming) {
  using A = arithmetic<T>;
  using p = pack<A>;
  index i = 0;
  const auto edge = [&](index count) EMEND_TARGET {
    T scores[p::lanes], result[p::lanes];
    A powers[p::lanes];
    for (index k = 0; k < p::lanes; ++k) {
      scores[k] = k < count ? x[i + k] : T(0.0f);
      powers[k] = k < count ? power[i + k] : A(0);
    }
    store(result, saved_gradient_of<T, Terms>(load(powers), load(scores), g));
    for (index k = 0; k < count; ++k) out[i + k] = result[k];
    i += count;
  };
  if constexpr (can_stream && std::is_same_v<T, A>) {
    if (is_streaming) {
      for (index head = elements_to_line(out); head > 0 && i < n;) {
        const index most = head < p::lanes ? head : p::lanes, count = n - i < most ? n - i : most;
        edge(count);
        head -= count;
      }
      for (; i + 2 * p::lanes <= n; i += 2 * p::lanes)
        stream_pair(out + i, saved_gradient_of<T, Terms>(load(power + i), load(x + i), g),
                    saved_gradient_of<T, Terms>(load(power + i + p::lanes), load(x + i + p::lanes), g));
    }
  }
  for (; i + p::lanes <= n; i += p::lanes) store(out + i, saved_gradient_of<T, Terms>(load(power + i), load(x + i), g));
  while (i < n) edge(n - i < p::lanes ? n - i : p::lanes);
}

/// Scores of a block whose powers are kept.
template <class T>
inline constexpr index saved_block = summed_block<T> < row_block ? summed_block<T> : row_block;
static_assert(saved_block<float> >= least_saved_block && saved_block<double> >= least_saved_block);

/// Gradient of a whole row from the powers that accumulate_and_save_row kept; `x` may be `out`.
template <class T, int Terms>
EMEND_TARGET void write_saved_gradient(const saved_row<T, arithmetic<T>>& row, index n, bool is_streaming) {
  using A = arithmetic<T>;
  constexpr index group = 2 * pack<A>::lanes;
  const double* reference = row.powers.reference;
  index done = 0;
  while (done < n) {
    const index whole = (n - done) / group * group;
    const index size = whole == 0 ? n - done : whole < saved_block<T> ? whole : saved_block<T>;
    write_saved_block<T, Terms>(row.x + done, row.powers.power + done, row.out + done, size,
                                block_registers<T>(row.coefficients, *reference++, row.log2_z), is_streaming);
    done += size;
  }
}

/// As accumulate_row over a whole row, and keeps the powers. The gradient of `pending`, a row of the same length whose
/// output starts on a cache line, is written on the way, past the cache.
template <class T, int PendingTerms>
EMEND_TARGET void accumulate_and_save_row(row_sums<arithmetic<T>>& row, const T* x, index n,
                                          const row_multiplier<arithmetic<T>>& multiplier,
                                          const saved_powers<arithmetic<T>>& saved,
                                          const saved_row<T, arithmetic<T>>& pending) {
  using A = arithmetic<T>;
  double* reference = saved.reference;
  const double* pending_reference = pending.powers.reference;
  for_each_block<saved_block<T>>(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
    pending_block<T> before{};
    if constexpr (PendingTerms >= 0)
      before = {pending.x + done, pending.powers.power + done, pending.out + done,
                block_registers<T>(pending.coefficients, *pending_reference++, pending.log2_z)};
    if (present == count) {
      take_block<T, 0, true, PendingTerms>(row, block, count, done, multiplier, saved.power + done, &before);
    } else {
      A powers[2 * pack<A>::lanes];
      take_block<T, 0, true>(row, block, count, done, multiplier, powers);
      for (index i = 0; i < present; ++i) saved.power[done + i] = powers[i];
      if constexpr (PendingTerms >= 0)
        write_saved_block<T, PendingTerms>(before.x, before.power, before.out, present, before.g, true);
    }
    // A block of nothing but -inf before any reference: its gradient is 0 whatever log_z turns out to be.
    *reference++ = row.has_reference ? row.reference : -infinity;
  });
}

/// The kernels that keep powers, where the arithmetic type is the storage type: 16-bit rows would be outweighed by
/// them.
template <class T, int PendingTerms>
constexpr auto saving_kernel() {
  using A = arithmetic<T>;
  using kernel =
      void (*)(row_sums<A>&, const T*, index, const row_multiplier<A>&, const saved_powers<A>&, const saved_row<T, A>&);
  // A linear term reads the pending row's scores again, and with them the working set leaves the cache: slower than
  // apart.
  if constexpr (!keeps_powers || !std::is_same_v<T, A> || PendingTerms > 0 || (PendingTerms == 0 && !can_stream))
    return kernel{nullptr};
  else
    return kernel{accumulate_and_save_row<T, PendingTerms>};
}
template <class T, int Terms>
constexpr auto saved_gradient_kernel() {
  using kernel = void (*)(const saved_row<T, arithmetic<T>>&, index, bool);
  if constexpr (!keeps_powers || !std::is_same_v<T, arithmetic<T>>)
    return kernel{nullptr};
  else
    return kernel{write_saved_gradient<T, Terms>};
}

/// tanh, absolute error below 2e-7 in float; in double the library function.
template <class A>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg hyperbolic_tangent(typename pack<A>::reg u) {
  using reg = typename pack<A>::reg;
  if constexpr (sizeof(A) == 8) {
    reg y = u;
    for (int i = 0; i < pack<A>::lanes; ++i) y[i] = __builtin_tanh(u[i]);
    return y;
  } else {
    const reg magnitude = u < 0 ? -u : u;
    const reg t = at_least(splat<A>(-100), magnitude * A(-2 * log2_e));
    const reg e = power_of_two<A>(t);
    const reg far = (1 - e) / (1 + e);
    const reg s = u * u;
    // Near 0 the quotient cancels; the odd series does not.
    const reg near =
        magnitude *
        (1 + s * (A(-0.33333333) +
                  s * (A(0.13333333) + s * (A(-0.053968254) + s * (A(0.021869489) + s * A(-0.0088632355))))));
    const reg y = magnitude < A(0.3) ? near : far;
    return u < 0 ? -y : y;
  }
}

/// z = cap tanh(scale x / cap) of n contiguous scores; a score of -inf stays -inf, so that it stays outside the
/// support.
template <class T>
EMEND_TARGET void soft_cap_row(const T* x, arithmetic<T>* z, index n, arithmetic<T> scale, arithmetic<T> cap) {
  using A = arithmetic<T>;
  using p = pack<A>;
  for (index i = 0; i < n; i += p::lanes) {
    T buffer[p::lanes];
    A result[p::lanes];
    const index count = n - i < p::lanes ? n - i : p::lanes;
    for (index k = 0; k < p::lanes; ++k) buffer[k] = k < count ? x[i + k] : T(0.0f);
    const typename p::reg v = load(buffer);
    const typename p::reg capped = hyperbolic_tangent<A>(v * (scale / cap)) * cap;
    store(result, v == -__builtin_inff() ? v : capped);
    for (index k = 0; k < count; ++k) z[i + k] = result[k];
  }
}

/// out = gradient scale (1 - (z / cap)^2), the chain rule of the soft cap, for n entries; 0 where the gradient is 0.
template <class T>
EMEND_TARGET void soft_cap_chain_row(const arithmetic<T>* z, const arithmetic<T>* gradient, T* out, index n,
                                     arithmetic<T> scale, arithmetic<T> cap) {
  using A = arithmetic<T>;
  for (index i = 0; i < n; ++i) {
    const A fraction = z[i] / cap, slope = scale * (1 - fraction * fraction);
    out[i] = T(gradient[i] == 0 ? A(0) : gradient[i] * slope);
  }
}
