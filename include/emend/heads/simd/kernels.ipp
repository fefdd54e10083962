// The row kernels, written once. Each instruction set includes this file in a namespace of its own, after defining
// EMEND_TARGET (its function attribute), EMEND_BYTES (its register width) and the few operations that differ.

typedef double wide_of_float __attribute__((vector_size(2 * EMEND_BYTES)));
typedef double wide_of_double __attribute__((vector_size(EMEND_BYTES)));

template <class A>
struct pack {
  static constexpr int lanes = EMEND_BYTES / sizeof(A);
  using integer = std::conditional_t<sizeof(A) == 4, std::int32_t, std::int64_t>;
  typedef A reg __attribute__((vector_size(EMEND_BYTES)));
  typedef integer bits __attribute__((vector_size(EMEND_BYTES)));
  typedef A unaligned __attribute__((vector_size(EMEND_BYTES), aligned(sizeof(A)), may_alias));
  typedef std::uint16_t halves __attribute__((vector_size(EMEND_BYTES / 2)));
  typedef std::uint16_t unaligned_halves __attribute__((vector_size(EMEND_BYTES / 2), aligned(2), may_alias));
  using wide = std::conditional_t<sizeof(A) == 4, wide_of_float, wide_of_double>;  // as many doubles as lanes
  typedef std::uint32_t words __attribute__((vector_size(EMEND_BYTES)));
};

template <class A>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg splat(A x) {
  return typename pack<A>::reg{} + x;
}

template <class T>
EMEND_TARGET EMEND_INLINE typename pack<arithmetic<T>>::reg load(const T* x) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, arithmetic<T>>) {
    return *reinterpret_cast<const typename p::unaligned*>(x);
  } else {
    const typename p::halves half = *reinterpret_cast<const typename p::unaligned_halves*>(x);
    const typename p::words word = __builtin_convertvector(half, typename p::words);
    if constexpr (std::is_same_v<T, bfloat16>) {
      return (typename p::reg)(word << 16);
    } else {
      const typename p::words sign = (word & 0x8000u) << 16, magnitude = word & 0x7fffu;
      const typename p::words scaled = (typename p::words)((typename p::reg)(magnitude << 13) * 0x1p112f);
      const typename p::words special = 0x7f800000u | (magnitude << 13);
      return (typename p::reg)(sign | (magnitude >= 0x7c00u ? special : scaled));
    }
  }
}

/// v = the scores of one register group; 16-bit floats in an order of their own, which no sum minds.
template <class T>
EMEND_TARGET EMEND_INLINE void load_group(const T* x, typename pack<arithmetic<T>>::reg* v) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, bfloat16>) {
    typedef std::uint32_t unaligned_words __attribute__((vector_size(EMEND_BYTES), aligned(2), may_alias));
    for (int u = 0; u < row_unroll; u += 2) {
      const typename p::words pairs = *reinterpret_cast<const unaligned_words*>(x + u * p::lanes);
      v[u] = (typename p::reg)(pairs << 16);
      v[u + 1] = (typename p::reg)(pairs & 0xffff0000u);
    }
  } else {
    for (int u = 0; u < row_unroll; ++u) v[u] = load(x + u * p::lanes);
  }
}

template <class T>
EMEND_TARGET EMEND_INLINE void store(T* out, typename pack<arithmetic<T>>::reg x) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, arithmetic<T>>) {
    *reinterpret_cast<typename p::unaligned*>(out) = x;
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    const typename p::words word = (typename p::words)x;
    const typename p::words rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const typename p::words quiet = (word >> 16) | 0x40u;
    const typename p::words half = (word & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
    *reinterpret_cast<typename p::unaligned_halves*>(out) = __builtin_convertvector(half, typename p::halves);
  } else {
    for (int i = 0; i < p::lanes; ++i) out[i] = T(x[i]);
  }
}

/// Adding this to a small number rounds it to an integer and leaves that integer in the low bits.
template <class A>
inline constexpr A rounding_magic = sizeof(A) == 4 ? A(12582912) : A(6755399441055744.0);

/// Lowest and highest t of which the kernels take 2^t.
template <class A>
inline constexpr A lowest_power = sizeof(A) == 4 ? A(-126) : A(-1022);
template <class A>
inline constexpr A highest_power = 40;

template <class A>
inline constexpr int fraction_bits = sizeof(A) == 4 ? 23 : 52;
template <class A>
inline constexpr int exponent_bias = sizeof(A) == 4 ? 127 : 1023;

/// Coefficients of 2^r on [-1/2, 1/2], from the highest power down; the last is 1, so that 2^0 is exact. Double: Taylor
/// series, below 2e-16. Float: minimax, relative error 2e-9 (precise), 9.2e-8 (quick), 2.8e-6 (coarse: sums over 16-bit
/// scores, which are known to 2e-3 at best), before rounding.
enum exponential_policy { precise, quick, coarse };

template <class A, exponential_policy Policy>
inline constexpr auto power_coefficients = [] {
  if constexpr (sizeof(A) == 8)
    return std::array{1.3691488853904124e-12, 2.5678435993488196e-11, 4.44553827187081e-10,   7.054911620801121e-09,
                      1.0178086009239696e-07, 1.3215486790144305e-06, 1.5252733804059838e-05, 0.00015403530393381606,
                      0.0013333558146428441,  0.009618129107628477,   0.055504108664821576,   0.2402265069591007,
                      0.6931471805599453,     1.0};
  else if constexpr (Policy == precise)
    return std::array{0.00015353361959569156f, 0.0013398875016719103f, 0.00961843691766262f, 0.055503323674201965f,
                      0.24022647738456726f,    0.6931471824645996f,    1.0f};
  else if constexpr (Policy == coarse)
    return std::array{0.009582852944731712f, 0.055906426161527634f, 0.24024099111557007f, 0.6931241750717163f, 1.0f};
  else
    return std::array{0.001326472731307149f, 0.009671512991189957f, 0.05550733581185341f,
                      0.24022242426872253f,  0.6931470036506653f,   1.0f};
}();

/// y = 2^r of `Count` registers with r in [-1/2, 1/2].
template <exponential_policy Policy, class A, int Count>
EMEND_TARGET EMEND_INLINE void polynomial(const typename pack<A>::reg* r, typename pack<A>::reg* y) {
  constexpr auto& c = power_coefficients<A, Policy>;
  for (int u = 0; u < Count; ++u) y[u] = r[u] * c[0] + c[1];
#pragma GCC unroll 16
  for (unsigned k = 2; k < c.size(); ++k)
    for (int u = 0; u < Count; ++u) y[u] = y[u] * r[u] + c[k];
}

template <class A>
EMEND_TARGET EMEND_INLINE double sum_lanes(typename pack<A>::reg x) {
  double total = 0;
  for (int i = 0; i < pack<A>::lanes; ++i) total += static_cast<double>(x[i]);
  return total;
}

/// Largest of n scores, NaN and all -inf giving -inf.
template <class T>
EMEND_TARGET inline arithmetic<T> block_maximum(const T* x, index n) {
  using A = arithmetic<T>;
  using p = pack<A>;
  typename p::reg best = splat<A>(-__builtin_inff());
  index i = 0;
  for (; i + p::lanes <= n; i += p::lanes) {
    const typename p::reg v = load(x + i);
    best = v > best ? v : best;
  }
  A maximum = -__builtin_inff();
  for (int lane = 0; lane < p::lanes; ++lane) maximum = best[lane] > maximum ? best[lane] : maximum;
  for (; i < n; ++i) maximum = static_cast<A>(x[i]) > maximum ? static_cast<A>(x[i]) : maximum;
  return maximum;
}

template <class A>
struct block_sums {
  typename pack<A>::reg sum, weighted, squares;
  double plain;
  A maximum;
  bool is_in_range;  ///< no t above highest_power, no NaN
};

/// e = 2^t of `Count` registers with t in [lowest_power, 127); `shifted` is t + rounding_magic.
template <class A, int Count, bool IsCoarse = false>
EMEND_TARGET EMEND_INLINE void powers_of_two(const typename pack<A>::reg* t, const typename pack<A>::reg* shifted,
                                             typename pack<A>::reg* e) {
  using p = pack<A>;
  using reg = typename p::reg;
  reg r[Count];
  for (int u = 0; u < Count; ++u) r[u] = t[u] - (shifted[u] - rounding_magic<A>);
  polynomial<IsCoarse ? coarse : quick, A, Count>(r, e);
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

/// The coefficients of a row in registers, or of as many tokens as there are lanes.
template <class A>
struct gradient_registers {
  using reg = typename pack<A>::reg;
  reg multiplier, magic, lowest, center, constant, linear, quadratic;

  EMEND_TARGET EMEND_INLINE void set(const row_gradient<A>& g) {
    multiplier = splat<A>(g.multiplier);
    magic = splat<A>(rounding_magic<A> - g.reference);
    lowest = splat<A>(g.lowest);
    center = splat<A>(g.center);
    constant = splat<A>(g.constant);
    linear = splat<A>(g.linear);
    quadratic = splat<A>(g.quadratic);
  }

  EMEND_TARGET EMEND_INLINE void set_lane(int lane, const row_gradient<A>& g) {
    multiplier[lane] = g.multiplier;
    magic[lane] = rounding_magic<A> - g.reference;
    lowest[lane] = g.lowest;
    center[lane] = g.center;
    constant[lane] = g.constant;
    linear[lane] = g.linear;
    quadratic[lane] = g.quadratic;
  }
};

/// out = (power - 2^lowest) (constant + linear (x - center)): the gradient of one block from its saved powers. What was
/// clamped to the lowest power gives exactly 0.
template <class T, int Terms>
EMEND_TARGET EMEND_INLINE typename pack<arithmetic<T>>::reg saved_gradient_of(typename pack<arithmetic<T>>::reg power,
                                                                            typename pack<arithmetic<T>>::reg v,
                                                                            const gradient_registers<arithmetic<T>>& g) {
  using A = arithmetic<T>;
  constexpr A smallest = sizeof(A) == 4 ? A(0x1p-126) : A(0x1p-1022);
  const typename pack<A>::reg e = power - smallest;
  if constexpr (Terms == 0) return e * g.constant;
  return e * ((at_least(g.lowest, v) - g.center) * g.linear + g.constant);
}

/// One block of a pending row, as sum_block takes it along. Terms: -1 nothing, 0 constant, 1 and linear.
template <class T>
struct pending_block {
  const T* x;
  const arithmetic<T>* power;
  T* out;
  gradient_registers<arithmetic<T>> g;
};

/// One pass over a block of n scores, n a multiple of `row_unroll` registers. A score far below the reference counts
/// as 2^lowest_power: less than any sum can show. With IsSaved `saved` receives every 2^t. `pending` is written on the way.
template <class T, int Features, bool IsSaved, int PendingTerms = -1>
EMEND_TARGET EMEND_INLINE block_sums<arithmetic<T>> sum_block(const T* x, index n, arithmetic<T> multiplier,
                                                              arithmetic<T> reference, arithmetic<T>* saved,
                                                              const pending_block<T>* pending = nullptr) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  reg sum[row_unroll] = {}, weighted[row_unroll] = {}, squares[row_unroll] = {}, plain[row_unroll] = {}, best[row_unroll];
  typename p::bits highest{};
  for (reg& b : best) b = splat<A>(-__builtin_inff());
  const reg lowest = splat<A>(lowest_power<A>);
  constexpr std::uintptr_t page = 4096;
  for (index i = 0; i < n; i += row_unroll * p::lanes) {
    // Hardware prefetchers stop at the end of a page; this reaches into the next one.
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(x + i) + page));
    // Stage by stage over all registers of the group, so that independent operations stand side by side.
    reg v[row_unroll], t[row_unroll], shifted[row_unroll], e[row_unroll];
    load_group(x + i, v);
    for (int u = 0; u < row_unroll; ++u) t[u] = at_least(lowest, v[u] * multiplier - reference);
    for (int u = 0; u < row_unroll; ++u) shifted[u] = t[u] + rounding_magic<A>;
    powers_of_two<A, row_unroll, sizeof(T) == 2>(t, shifted, e);
    for (int u = 0; u < row_unroll; ++u) {
      // The bits of positive numbers order as the numbers do; the integer unit has time for this.
      highest = (typename p::bits)shifted[u] > highest ? (typename p::bits)shifted[u] : highest;
      sum[u] += e[u];
      weighted[u] += e[u] * t[u];
      if constexpr (Features & want_extras) squares[u] += e[u] * e[u];
      if constexpr (Features & want_extras) plain[u] += v[u];
      if constexpr (Features & want_arg_max) best[u] = v[u] > best[u] ? v[u] : best[u];
      if constexpr (IsSaved) store(saved + i + u * p::lanes, e[u]);
      if constexpr (PendingTerms >= 0) {
        const index k = i + u * p::lanes;
        stream(pending->out + k, saved_gradient_of<T, PendingTerms>(load(pending->power + k), load(pending->x + k), pending->g));
      }
    }
  }
  for (int u = 1; u < row_unroll; ++u) {
    sum[0] += sum[u];
    weighted[0] += weighted[u];
    squares[0] += squares[u];
    plain[0] += plain[u];
    best[0] = best[u] > best[0] ? best[u] : best[0];
  }
  block_sums<A> result{sum[0], weighted[0], squares[0], 0, -__builtin_inff(), true};
  if constexpr (Features & want_extras) result.plain = sum_lanes<A>(plain[0]);
  if constexpr (Features & want_arg_max)
    for (int lane = 0; lane < p::lanes; ++lane) result.maximum = best[0][lane] > result.maximum ? best[0][lane] : result.maximum;
  const reg top = (reg)highest;
  result.is_in_range = !is_any((top > rounding_magic<A> + highest_power<A>) | (weighted[0] != weighted[0]));
  return result;
}

template <class A>
EMEND_TARGET EMEND_INLINE void add_lanes(double (&total)[row_sums<A>::lanes], typename pack<A>::reg x) {
  using wide = typename pack<A>::wide;
  typedef wide unaligned __attribute__((aligned(8), may_alias));
  unaligned* const sums = reinterpret_cast<unaligned*>(total);
  *sums += __builtin_convertvector(x, wide);
}

/// Moves the reference of the sums up to the maximum of a block; false if no finite reference exists there.
template <class T>
EMEND_TARGET inline bool raise_reference(row_sums<arithmetic<T>>& row, const T* x, index n,
                                         const row_multiplier<arithmetic<T>>& multiplier) {
  using A = arithmetic<T>;
  const A maximum = block_maximum(x, n);
  if (maximum == -__builtin_inff()) return false;
  const A rounded = maximum * multiplier.high;
  const double exact = static_cast<double>(rounded) + static_cast<double>(maximum) * static_cast<double>(multiplier.low);
  if (!(rounded - rounded == 0)) {
    row.needs_reference_path = true;
    return false;
  }
  if (row.has_reference) {
    const double down = row.reference - exact, factor = __builtin_exp2(down);
    for (int lane = 0; lane < row_sums<A>::lanes; ++lane) {
      row.weighted[lane] = factor * (row.weighted[lane] + down * row.sum[lane]);
      row.sum[lane] *= factor;
      row.squares[lane] *= factor * factor;
    }
  }
  row.reference = exact;
  row.kernel_reference = rounded;
  row.has_reference = true;
  return true;
}

/// Takes one block into the sums; `first` is the position of its first score in the row.
template <class T, int Features, bool IsSaved, int PendingTerms = -1>
EMEND_TARGET inline void take_block(row_sums<arithmetic<T>>& row, const T* x, index n, index first,
                                    const row_multiplier<arithmetic<T>>& multiplier, arithmetic<T>* saved,
                                    const pending_block<T>* pending = nullptr) {
  using A = arithmetic<T>;
  // Until a block has a finite score there is nothing to refer to, and every term so far is exactly 0.
  if (!row.has_reference && !raise_reference(row, x, n, multiplier)) {
    if constexpr (Features & want_extras) row.plain = -infinity;
    for (index i = 0; i < n; ++i) {
      if (!(static_cast<A>(x[i]) == -__builtin_inff())) row.needs_reference_path = true;
      if constexpr (IsSaved) saved[i] = 0;
    }
    if constexpr (PendingTerms >= 0)
      for (index i = 0; i < n; i += pack<A>::lanes)
        stream(pending->out + i, saved_gradient_of<T, PendingTerms>(load(pending->power + i), load(pending->x + i), pending->g));
    return;
  }
  block_sums<A> block = sum_block<T, Features, IsSaved, PendingTerms>(x, n, multiplier.high, row.kernel_reference, saved, pending);
  // Lazy reference: sums in powers of two stay exact to rounding until they near the end of the range.
  if (!block.is_in_range) {
    if (!raise_reference(row, x, n, multiplier)) row.needs_reference_path = true;
    block = sum_block<T, Features, IsSaved>(x, n, multiplier.high, row.kernel_reference, saved);
    if (!block.is_in_range) row.needs_reference_path = true;
  }
  add_lanes<A>(row.sum, block.sum);
  add_lanes<A>(row.weighted, block.weighted);
  if constexpr (Features & want_extras) {
    add_lanes<A>(row.squares, block.squares);
    row.plain += block.plain;
  }
  if constexpr (Features & want_arg_max) {
    if (block.maximum > row.maximum || row.arg_max < 0) {
      index i = 0;
      while (i + 1 < n && static_cast<A>(x[i]) != block.maximum) ++i;
      row.maximum = block.maximum;
      row.arg_max = first + i;
    }
  }
}

/// f(x, count, first, present): the blocks of a row of n scores, each a multiple of the register group; the last one is
/// filled up with -inf in a copy.
template <class T, class F>
EMEND_TARGET EMEND_INLINE void for_each_block(const T* x, index n, F&& f) {
  constexpr index group = row_unroll * pack<arithmetic<T>>::lanes;
  index done = 0;
  while (n - done >= group) {
    const index whole = (n - done) / group * group, size = whole < row_block ? whole : row_block;
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
  for_each_block(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
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
  for (int u = 0; u < Count; ++u) shifted[u] = v[u] * g.multiplier + g.magic;
  // The integer part and the reference leave together, so the remainder is rounded once, at its own size.
  for (int u = 0; u < Count; ++u) r[u] = v[u] * g.multiplier - (shifted[u] - g.magic);
  polynomial<(Terms > 0 ? precise : quick), A, Count>(r, e);
  for (int u = 0; u < Count; ++u) {
    // The lowest score gives the exponent field 0, which is the number 0.
    e[u] *= (reg)(((typename p::bits)shifted[u] + exponent_bias<A>) << fraction_bits<A>);
    if constexpr (Terms == 0) v[u] = e[u] * g.constant;
    if constexpr (Terms == 1) v[u] = e[u] * ((v[u] - g.center) * g.linear + g.constant);
    if constexpr (Terms == 2) v[u] = e[u] * (e[u] * g.quadratic + ((v[u] - g.center) * g.linear + g.constant));
  }
}

template <class A, int Terms>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg gradient_of(typename pack<A>::reg v, const gradient_registers<A>& g) {
  gradients_of<A, Terms, 1>(&v, g);
  return v;
}

/// Writes the gradient of n contiguous scores; `x` may be `out`. With `is_streaming` whole registers bypass the cache.
template <class T, int Terms>
EMEND_TARGET void write_gradient_row(const T* x, T* out, index n, const row_gradient<arithmetic<T>>& coefficients,
                                     bool is_streaming) {
  using A = arithmetic<T>;
  using p = pack<A>;
  gradient_registers<A> g;
  g.set(coefficients);
  index i = 0;
  const auto edge = [&](index count) EMEND_TARGET {
    T buffer[p::lanes];
    for (index k = 0; k < p::lanes; ++k) buffer[k] = k < count ? x[i + k] : T(-__builtin_inff());
    store(buffer, gradient_of<A, Terms>(load(buffer), g));
    for (index k = 0; k < count; ++k) out[i + k] = buffer[k];
    i += count;
  };
  if constexpr (can_stream<A> && std::is_same_v<T, A>) {
    const auto address = reinterpret_cast<std::uintptr_t>(out);
    if (is_streaming && address % sizeof(A) == 0) {
      const index head = static_cast<index>((EMEND_BYTES - address % EMEND_BYTES) % EMEND_BYTES / sizeof(A));
      if (head > 0) edge(head < n ? head : n);
      for (; i + 2 * p::lanes <= n; i += 2 * p::lanes) {
        typename p::reg v[2] = {load(x + i), load(x + i + p::lanes)};
        gradients_of<A, Terms, 2>(v, g);
        stream(out + i, v[0]);
        stream(out + i + p::lanes, v[1]);
      }
    }
  }
  for (; i + 2 * p::lanes <= n; i += 2 * p::lanes) {
    typename p::reg v[2] = {load(x + i), load(x + i + p::lanes)};
    gradients_of<A, Terms, 2>(v, g);
    store(out + i, v[0]);
    store(out + i + p::lanes, v[1]);
  }
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
  if constexpr (can_stream<A> && std::is_same_v<T, A>) {
    const auto address = reinterpret_cast<std::uintptr_t>(out);
    if (is_streaming && address % sizeof(A) == 0) {
      const index head = static_cast<index>((EMEND_BYTES - address % EMEND_BYTES) % EMEND_BYTES / sizeof(A));
      if (head > 0) edge(head < n ? head : n);
      for (; i + p::lanes <= n; i += p::lanes) stream(out + i, saved_gradient_of<T, Terms>(load(power + i), load(x + i), g));
    }
  }
  for (; i + p::lanes <= n; i += p::lanes) store(out + i, saved_gradient_of<T, Terms>(load(power + i), load(x + i), g));
  while (i < n) edge(n - i < p::lanes ? n - i : p::lanes);
}

/// Coefficients of one block of a saved row: those of powers relative to log_z, moved to the block's own reference.
template <class A>
EMEND_TARGET EMEND_INLINE gradient_registers<A> block_registers(const row_gradient<A>& coefficients, double reference, double log2_z) {
  row_gradient<A> block = coefficients;
  const double scale = __builtin_exp2(reference - log2_z);
  block.constant = static_cast<A>(static_cast<double>(coefficients.constant) * scale);
  block.linear = static_cast<A>(static_cast<double>(coefficients.linear) * scale);
  gradient_registers<A> g;
  g.set(block);
  return g;
}

/// Gradient of a whole row from the powers that accumulate_and_save_row kept; `x` may be `out`.
template <class T, int Terms>
EMEND_TARGET void write_saved_gradient(const pending_row<T, arithmetic<T>>& row, index n, bool is_streaming) {
  using A = arithmetic<T>;
  constexpr index group = row_unroll * pack<A>::lanes;
  const double* reference = row.saved.reference;
  index done = 0;
  while (done < n) {
    const index whole = (n - done) / group * group;
    const index size = whole == 0 ? n - done : whole < row_block ? whole : row_block;
    write_saved_block<T, Terms>(row.x + done, row.saved.power + done, row.out + done, size,
                                block_registers(row.coefficients, *reference++, row.log2_z), is_streaming);
    done += size;
  }
}

/// As accumulate_row over a whole row, and keeps the powers. The gradient of `pending`, a row of the same length whose
/// output is aligned to a register, is written on the way, past the cache.
template <class T, int PendingTerms>
EMEND_TARGET void accumulate_and_save_row(row_sums<arithmetic<T>>& row, const T* x, index n,
                                          const row_multiplier<arithmetic<T>>& multiplier,
                                          const saved_powers<arithmetic<T>>& saved,
                                          const pending_row<T, arithmetic<T>>& pending) {
  using A = arithmetic<T>;
  double* reference = saved.reference;
  const double* pending_reference = pending.saved.reference;
  for_each_block(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
    pending_block<T> before{};
    if constexpr (PendingTerms >= 0)
      before = {pending.x + done, pending.saved.power + done, pending.out + done,
                block_registers(pending.coefficients, *pending_reference++, pending.log2_z)};
    if (present == count) {
      take_block<T, 0, true, PendingTerms>(row, block, count, done, multiplier, saved.power + done, &before);
    } else {
      A powers[row_unroll * pack<A>::lanes];
      take_block<T, 0, true>(row, block, count, done, multiplier, powers);
      for (index i = 0; i < present; ++i) saved.power[done + i] = powers[i];
      if constexpr (PendingTerms >= 0)
        write_saved_block<T, PendingTerms>(before.x, before.power, before.out, present, before.g, true);
    }
    *reference++ = row.reference;
  });
}

/// The kernels that keep powers, where the arithmetic type is the storage type: 16-bit rows would be outweighed by them.
template <class T, int PendingTerms>
constexpr auto saving_kernel() {
  using A = arithmetic<T>;
  using kernel = void (*)(row_sums<A>&, const T*, index, const row_multiplier<A>&, const saved_powers<A>&, const pending_row<T, A>&);
  if constexpr (!std::is_same_v<T, A> || (PendingTerms >= 0 && !can_stream<A>)) return kernel{nullptr};
  else return kernel{accumulate_and_save_row<T, PendingTerms>};
}
template <class T, int Terms>
constexpr auto saved_gradient_kernel() {
  using kernel = void (*)(const pending_row<T, arithmetic<T>>&, index, bool);
  if constexpr (!std::is_same_v<T, arithmetic<T>>) return kernel{nullptr};
  else return kernel{write_saved_gradient<T, Terms>};
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
    const reg near = magnitude * (1 + s * (A(-0.33333333) + s * (A(0.13333333) + s * (A(-0.053968254) + s * (A(0.021869489) + s * A(-0.0088632355))))));
    const reg y = magnitude < A(0.3) ? near : far;
    return u < 0 ? -y : y;
  }
}

/// z = cap tanh(scale x / cap) of n contiguous scores; a score of -inf stays -inf, so that it stays outside the support.
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

/// Sums of `count` rows side by side (tokens contiguous): lanes are tokens. `rows` holds one entry a token.
template <class T, int Features>
EMEND_TARGET void accumulate_columns(row_sums<arithmetic<T>>* rows, const T* x, index count, index vocab,
                                     index vocab_stride, const row_multiplier<arithmetic<T>>& multiplier) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  constexpr int lanes = p::lanes, columns = 16;
  using wide = typename p::wide;
  const reg unset = splat<A>(-A(sizeof(A) == 4 ? 1e38 : 1e307)), lowest = splat<A>(lowest_power<A>);
  // One register of tokens at a time, a few columns deep, keeps the sums in registers.
  for (index token = 0; token < count; token += lanes) {
    const index present = count - token < lanes ? count - token : lanes;
    T edge[lanes] = {};
    const auto read = [&](index j) EMEND_TARGET EMEND_INLINE_LAMBDA {
      const T* from = x + token + j * vocab_stride;
      if (present == lanes) return load(from);
      for (index k = 0; k < present; ++k) edge[k] = from[k];
      return load(static_cast<const T*>(edge));
    };
    wide sum{}, weighted{}, squares{}, plain{};
    reg reference = unset, reference_score = reg{}, best = splat<A>(-__builtin_inff()), best_group = reg{};
    for (index j = 0; j < vocab; j += columns) {
      const index size = vocab - j < columns ? vocab - j : columns;
      reg v[columns], maximum = splat<A>(-__builtin_inff());
      for (index k = 0; k < columns; ++k) v[k] = k < size ? read(j + k) : splat<A>(-__builtin_inff());
      for (const reg& value : v) maximum = value > maximum ? value : maximum;
      const reg raised = maximum * multiplier.high;
      const auto rises = raised > reference;
      if (is_any(rises)) {
        const reg next = rises ? raised : reference;
        reference_score = rises ? maximum : reference_score;
        for (int lane = 0; lane < lanes; ++lane) {
          const double down = static_cast<double>(reference[lane]) - static_cast<double>(next[lane]);
          if (down == 0) continue;
          const double factor = __builtin_exp2(down);
          weighted[lane] = factor == 0 ? 0 : factor * (weighted[lane] + down * sum[lane]);
          sum[lane] *= factor;
          squares[lane] *= factor * factor;
        }
        reference = next;
      }
      reg group_sum{}, group_weighted{}, group_squares{}, group_plain{};
      for (index k = 0; k < columns; ++k) {
        const reg t = at_least(lowest, v[k] * multiplier.high - reference);
        const reg e = power_of_two<A>(t);
        group_sum += e;
        group_weighted += e * t;
        if constexpr (Features & want_extras) group_squares += e * e;
        if constexpr (Features & want_extras)
          if (k < size) group_plain += v[k];
      }
      sum += __builtin_convertvector(group_sum, wide);
      weighted += __builtin_convertvector(group_weighted, wide);
      if constexpr (Features & want_extras) squares += __builtin_convertvector(group_squares, wide);
      if constexpr (Features & want_extras) plain += __builtin_convertvector(group_plain, wide);
      if constexpr (Features & want_arg_max) {
        best_group = maximum > best ? splat<A>(static_cast<A>(j / columns)) : best_group;
        best = maximum > best ? maximum : best;
      }
    }
    for (index lane = 0; lane < present; ++lane) {
      row_sums<A>& row = rows[token + lane];
      row.sum[0] = sum[lane];
      row.weighted[0] = weighted[lane];
      row.squares[0] = squares[lane];
      row.plain = plain[lane];
      row.has_reference = reference[lane] != unset[lane];
      row.kernel_reference = reference[lane];
      row.reference = static_cast<double>(reference[lane]) +
                      static_cast<double>(reference_score[lane]) * static_cast<double>(multiplier.low);
      row.needs_reference_path = !(sum[lane] > 0) || !(row.reference - row.reference == 0) || !row.has_reference;
      if constexpr (Features & want_arg_max) {
        row.maximum = best[lane];
        index j = static_cast<index>(best_group[lane]) * columns;
        while (j + 1 < vocab && static_cast<A>(x[token + lane + j * vocab_stride]) != row.maximum) ++j;
        row.arg_max = j;
      }
    }
  }
}

/// Gradient of `count` rows side by side; `rows` holds the coefficients of each token.
template <class T>
EMEND_TARGET void write_gradient_columns(const T* x, T* out, index count, index vocab, index vocab_stride,
                                         index out_stride, const row_gradient<arithmetic<T>>* rows) {
  using A = arithmetic<T>;
  constexpr int lanes = pack<A>::lanes;
  for (index token = 0; token < count; token += lanes) {
    const index present = count - token < lanes ? count - token : lanes;
    gradient_registers<A> g{};
    for (int lane = 0; lane < present; ++lane) g.set_lane(lane, rows[token + lane]);
    for (index j = 0; j < vocab; ++j) {
      const T* from = x + token + j * vocab_stride;
      T* to = out + token + j * out_stride;
      if (present == lanes) {
        store(to, gradient_of<A, 2>(load(from), g));
      } else {
        T edge[lanes] = {};
        for (index k = 0; k < present; ++k) edge[k] = from[k];
        store(edge, gradient_of<A, 2>(load(static_cast<const T*>(edge)), g));
        for (index k = 0; k < present; ++k) to[k] = edge[k];
      }
    }
  }
}

/// c += a b for one panel: a packed as [depth][gemm_rows], b packed as [depth][gemm_columns], into `rows` x `columns` of c.
/// Every element adds its depth products in order, so that its bits do not depend on where the panel starts.
template <class A>
EMEND_TARGET inline void multiply_panel(const A* a, const A* b, index depth, A* c, index c_stride, index rows, index columns) {
  using p = pack<A>;
  using reg = typename p::reg;
  reg total[gemm_rows][2] = {};
  for (index k = 0; k < depth; ++k) {
    const reg first = load(b + k * 2 * p::lanes), second = load(b + k * 2 * p::lanes + p::lanes);
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      const reg x = splat<A>(a[k * gemm_rows + i]);
      total[i][0] += x * first;
      total[i][1] += x * second;
    }
  }
  if (rows == gemm_rows && columns == 2 * p::lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      store(c + i * c_stride, load(c + i * c_stride) + total[i][0]);
      store(c + i * c_stride + p::lanes, load(c + i * c_stride + p::lanes) + total[i][1]);
    }
    return;
  }
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < columns; ++j) c[i * c_stride + j] += total[i][j / p::lanes][j % p::lanes];
}

/// c[m, n] += a[m, depth] b[depth, n]; a and b with any strides, c with contiguous rows. `buffer` holds the packed panels.
template <class A>
EMEND_TARGET void multiply_add(const A* a, index a_row, index a_depth, const A* b, index b_depth, index b_column, A* c,
                               index c_stride, index m, index n, index depth, std::vector<A>& buffer) {
  constexpr index rows = gemm_rows, columns = 2 * pack<A>::lanes, depth_block = 256, row_panels = 16, column_panels = 32;
  buffer.resize(static_cast<std::size_t>(depth_block * (rows * row_panels + columns * column_panels)));
  A* const packed_a = buffer.data();
  A* const packed_b = packed_a + depth_block * rows * row_panels;
  for (index j0 = 0; j0 < n; j0 += columns * column_panels) {
    const index width = n - j0 < columns * column_panels ? n - j0 : columns * column_panels;
    for (index k0 = 0; k0 < depth; k0 += depth_block) {
      const index deep = depth - k0 < depth_block ? depth - k0 : depth_block;
      for (index j = 0; j < width; j += columns)
        for (index k = 0; k < deep; ++k)
          for (index l = 0; l < columns; ++l)
            packed_b[(j / columns * deep + k) * columns + l] =
                j + l < width ? b[(k0 + k) * b_depth + (j0 + j + l) * b_column] : A(0);
      for (index i0 = 0; i0 < m; i0 += rows * row_panels) {
        const index height = m - i0 < rows * row_panels ? m - i0 : rows * row_panels;
        for (index i = 0; i < height; i += rows)
          for (index k = 0; k < deep; ++k)
            for (index l = 0; l < rows; ++l)
              packed_a[(i / rows * deep + k) * rows + l] =
                  i + l < height ? a[(i0 + i + l) * a_row + (k0 + k) * a_depth] : A(0);
        for (index j = 0; j < width; j += columns)
          for (index i = 0; i < height; i += rows)
            multiply_panel<A>(packed_a + i / rows * deep * rows, packed_b + j / columns * deep * columns, deep,
                              c + (i0 + i) * c_stride + j0 + j, c_stride, height - i < rows ? height - i : rows,
                              width - j < columns ? width - j : columns);
      }
    }
  }
}
