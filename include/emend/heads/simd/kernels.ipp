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

/// Elements from `out` to the next cache line.
template <class A>
EMEND_TARGET EMEND_INLINE index elements_to_line(const A* out) {
  constexpr std::uintptr_t line = 64;
  const std::uintptr_t past = reinterpret_cast<std::uintptr_t>(out) % line;
  return past == 0 ? 0 : static_cast<index>((line - past) / sizeof(A));
}

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
    if constexpr (std::is_same_v<T, float16> && has_half_conversion) return from_half(half);
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

/// Two registers of scores; bfloat16 in an order of their own (even places, odd places), which no sum minds.
template <class T>
EMEND_TARGET EMEND_INLINE void load_pair(const T* x, typename pack<arithmetic<T>>::reg* v) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, bfloat16>) {
    typedef std::uint32_t unaligned_words __attribute__((vector_size(EMEND_BYTES), aligned(2), may_alias));
    const typename p::words pairs = *reinterpret_cast<const unaligned_words*>(x);
    v[0] = (typename p::reg)(pairs << 16);
    v[1] = (typename p::reg)(pairs & 0xffff0000u);
  } else {
    v[0] = load(x);
    v[1] = load(x + p::lanes);
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
  } else if constexpr (has_half_conversion) {
    *reinterpret_cast<typename p::unaligned_halves*>(out) = to_half(x);
  } else {
    for (int i = 0; i < p::lanes; ++i) out[i] = T(x[i]);
  }
}

/// Two registers of numbers as bfloat16, rounded to nearest even, in the order that `load_pair` gave them.
template <class T>
EMEND_TARGET EMEND_INLINE void store_pair(T* out, const typename pack<arithmetic<T>>::reg* x) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, bfloat16>) {
    typedef std::uint32_t unaligned_words __attribute__((vector_size(EMEND_BYTES), aligned(2), may_alias));
    typename p::words rounded[2];
    for (int u = 0; u < 2; ++u) {
      const typename p::words word = (typename p::words)x[u];
      const typename p::words nearest = word + 0x7fffu + ((word >> 16) & 1u);
      rounded[u] = (word & 0x7fffffffu) > 0x7f800000u ? (word | 0x400000u) : nearest;
    }
    *reinterpret_cast<unaligned_words*>(out) = (rounded[0] >> 16) | (rounded[1] & 0xffff0000u);
  } else {
    store(out, x[0]);
    store(out + p::lanes, x[1]);
  }
}

/// v multiplier - reference, rounded once. Without a fused operation the product would be rounded at its own size, so
/// the score that the reference belongs to is taken off first.
template <class R>
EMEND_TARGET EMEND_INLINE R exponent_of(R v, R multiplier, R reference, R center) {
  if constexpr (has_fused_multiply) return fused_multiply_add(v, multiplier, -reference);
  else return (v - center) * multiplier;
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

/// The coefficients of a row in registers, or of as many tokens as there are lanes.
template <class A>
struct gradient_registers {
  using reg = typename pack<A>::reg;
  reg multiplier, magic, lowest, center, constant, linear, quadratic;

  EMEND_TARGET EMEND_INLINE void set(const row_gradient<A>& row) {
    const row_gradient<A> g = centered(row);
    multiplier = splat<A>(g.multiplier);
    magic = splat<A>(rounding_magic<A> - g.reference);
    lowest = splat<A>(g.lowest);
    center = splat<A>(g.center);
    constant = splat<A>(g.constant);
    linear = splat<A>(g.linear);
    quadratic = splat<A>(g.quadratic);
  }

  EMEND_TARGET EMEND_INLINE void set_lane(int lane, const row_gradient<A>& row) {
    const row_gradient<A> g = centered(row);
    multiplier[lane] = g.multiplier;
    magic[lane] = rounding_magic<A> - g.reference;
    lowest[lane] = g.lowest;
    center[lane] = g.center;
    constant[lane] = g.constant;
    linear[lane] = g.linear;
    quadratic[lane] = g.quadratic;
  }

  /// Without a fused multiply the powers are those of v - center; the difference is a factor of the whole row.
  EMEND_TARGET EMEND_INLINE static row_gradient<A> centered(row_gradient<A> g) {
    if constexpr (has_fused_multiply) return g;
    const double factor =
        __builtin_exp2(static_cast<double>(g.center) * static_cast<double>(g.multiplier) - static_cast<double>(g.reference));
    g.constant = static_cast<A>(static_cast<double>(g.constant) * factor);
    g.linear = static_cast<A>(static_cast<double>(g.linear) * factor);
    g.quadratic = static_cast<A>(static_cast<double>(g.quadratic) * factor * factor);
    g.reference = 0;
    return g;
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

/// Coefficients of one block of a saved row: those of powers relative to log_z, moved to the block's own reference.
template <class A>
EMEND_TARGET EMEND_INLINE gradient_registers<A> block_registers(const row_gradient<A>& coefficients, double reference, double log2_z) {
  const double scale = __builtin_exp2(reference - log2_z);
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

/// The sums of one block, register by register. A chain of dependent operations runs through every register of scores,
/// so three of them are in work at a time, each a stage apart: the operations of one step wait for nothing.
template <class T, int Features>
struct block_pipeline {
  using A = arithmetic<T>;
  using reg = typename pack<A>::reg;
  using bits = typename pack<A>::bits;
  static constexpr auto& coefficients = power_coefficients<A, sizeof(T) == 2 ? coarse : quick>;
  static constexpr unsigned middle = (coefficients.size() + 1) / 2;

  reg multiplier, reference, center, lowest;
  reg sum{}, weighted{}, squares{}, plain{}, best = splat<A>(-__builtin_inff());
  bits highest{};
  reg t{}, shifted{};                              // after the first stage
  reg t_next{}, shifted_next{}, r{}, polynomial{};  // after the second

  EMEND_TARGET EMEND_INLINE void start(reg v) {
    t = at_least(lowest, exponent_of(v, multiplier, reference, center));
    shifted = t + rounding_magic<A>;
    if constexpr (Features & want_extras) plain += v;
    if constexpr (Features & want_arg_max) best = v > best ? v : best;
  }
  EMEND_TARGET EMEND_INLINE void advance() {
    t_next = t;
    shifted_next = shifted;
    r = t - (shifted - rounding_magic<A>);
    polynomial = r * coefficients[0] + coefficients[1];
#pragma GCC unroll 16
    for (unsigned k = 2; k < middle; ++k) polynomial = polynomial * r + coefficients[k];
  }
  EMEND_TARGET EMEND_INLINE reg finish() {
#pragma GCC unroll 16
    for (unsigned k = middle; k < coefficients.size(); ++k) polynomial = polynomial * r + coefficients[k];
    const reg e = (reg)((bits)polynomial + ((bits)shifted_next << fraction_bits<A>));
    // The bits of positive numbers order as the numbers do; the integer unit has time for this.
    highest = (bits)shifted_next > highest ? (bits)shifted_next : highest;
    sum += e;
    weighted += e * t_next;
    if constexpr (Features & want_extras) squares += e * e;
    return e;
  }
};

/// One pass over a block of n scores, n a multiple of two registers. A score far below the reference counts as
/// 2^lowest_power: less than any sum can show. With IsSaved `saved` receives every 2^t. With PendingTerms >= 0 the
/// gradient of another row's block is written on the way, so that reading and writing overlap.
template <class T, int Features, bool IsSaved, int PendingTerms = -1>
EMEND_TARGET EMEND_INLINE block_sums<arithmetic<T>> sum_block(const T* x, index n, arithmetic<T> multiplier,
                                                              const row_sums<arithmetic<T>>& row, arithmetic<T>* saved,
                                                              const pending_block<T>* pending = nullptr) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  constexpr index ahead = 4096 / sizeof(T);
  block_pipeline<T, Features> line{splat<A>(multiplier), splat<A>(row.kernel_reference), splat<A>(row.kernel_center),
                                   splat<A>(lowest_power<A>)};
  const auto keep = [&](index i, reg e) EMEND_TARGET EMEND_INLINE_LAMBDA {
    if constexpr (IsSaved) store(saved + i, e);
  };
  reg v[2];
  load_pair(x, v);
  line.start(v[0]);
  line.advance();
  line.start(v[1]);
  index i = 2 * p::lanes;
  for (; i < n; i += 2 * p::lanes) {
    // Hardware prefetchers stop at the end of a page; this reaches into the next one.
    __builtin_prefetch(x + i + ahead);
    load_pair(x + i, v);
    keep(i - 2 * p::lanes, line.finish());
    line.advance();
    line.start(v[0]);
    keep(i - p::lanes, line.finish());
    line.advance();
    line.start(v[1]);
    if constexpr (PendingTerms >= 0) pending->template write<PendingTerms>(i);
  }
  if constexpr (PendingTerms >= 0) pending->template write<PendingTerms>(0);
  keep(i - 2 * p::lanes, line.finish());
  line.advance();
  keep(i - p::lanes, line.finish());

  block_sums<A> result{line.sum, line.weighted, line.squares, 0, -__builtin_inff(), true};
  if constexpr (Features & want_extras) result.plain = sum_lanes<A>(line.plain);
  if constexpr (Features & want_arg_max)
    for (int lane = 0; lane < p::lanes; ++lane)
      result.maximum = line.best[lane] > result.maximum ? line.best[lane] : result.maximum;
  const reg top = (reg)line.highest;
  result.is_in_range = !is_any((top > rounding_magic<A> + highest_power<A>) | (line.weighted != line.weighted));
  return result;
}

template <class A>
EMEND_TARGET EMEND_INLINE void add_lanes(double (&total)[row_sums<A>::lanes], typename pack<A>::reg x) {
  using wide = typename pack<A>::wide;
  typedef wide unaligned __attribute__((aligned(8), may_alias));
  unaligned* const sums = reinterpret_cast<unaligned*>(total);
  *sums += __builtin_convertvector(x, wide);
}

/// What exponent_of subtracts, without its rounding: the multiplier's low part is taken at the center.
template <class A>
EMEND_TARGET EMEND_INLINE double exact_reference(A rounded, A center, const row_multiplier<A>& multiplier) {
  const double high = static_cast<double>(multiplier.high), low = static_cast<double>(multiplier.low);
  const double c = static_cast<double>(center);
  return has_fused_multiply ? static_cast<double>(rounded) + c * low : c * high + c * low;
}

/// Moves the reference of the sums up to the maximum of a block; false if no finite reference exists there.
template <class T>
EMEND_TARGET inline bool raise_reference(row_sums<arithmetic<T>>& row, const T* x, index n,
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
    const double down = row.reference - exact, factor = __builtin_exp2(down);
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
      for (index i = 0; i < n; i += 2 * pack<A>::lanes) pending->template write<PendingTerms>(i);
    return;
  }
  block_sums<A> block = sum_block<T, Features, IsSaved, PendingTerms>(x, n, multiplier.high, row, saved, pending);
  // Lazy reference: sums in powers of two stay exact to rounding until they near the end of the range.
  if (!block.is_in_range) {
    if (!raise_reference(row, x, n, multiplier)) row.needs_reference_path = true;
    block = sum_block<T, Features, IsSaved>(x, n, multiplier.high, row, saved);
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
  constexpr index group = 2 * pack<arithmetic<T>>::lanes;
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
  reg w[Count];
  for (int u = 0; u < Count; ++u) w[u] = has_fused_multiply ? v[u] : v[u] - g.center;
  for (int u = 0; u < Count; ++u) shifted[u] = fused_multiply_add(w[u], g.multiplier, g.magic);
  // The integer part and the reference leave together, so the remainder is rounded once, at its own size.
  for (int u = 0; u < Count; ++u) r[u] = fused_multiply_add(w[u], g.multiplier, g.magic - shifted[u]);
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
  if constexpr (can_stream && std::is_same_v<T, A>) {
    if (is_streaming) {
      for (index head = elements_to_line(out); head > 0 && i < n;) {
        const index count = n < head ? n : head < p::lanes ? head : p::lanes;
        edge(count);
        head -= count;
      }
      for (; i + 2 * p::lanes <= n; i += 2 * p::lanes) {
        typename p::reg v[2] = {load(x + i), load(x + i + p::lanes)};
        gradients_of<A, Terms, 2>(v, g);
        stream_pair(out + i, v[0], v[1]);
      }
    }
  }
  for (; i + 2 * p::lanes <= n; i += 2 * p::lanes) {
    typename p::reg v[2];
    load_pair(x + i, v);
    gradients_of<A, Terms, 2>(v, g);
    store_pair(out + i, v);
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
  if constexpr (can_stream && std::is_same_v<T, A>) {
    if (is_streaming) {
      for (index head = elements_to_line(out); head > 0 && i < n;) {
        const index count = n < head ? n : head < p::lanes ? head : p::lanes;
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

/// Gradient of a whole row from the powers that accumulate_and_save_row kept; `x` may be `out`.
template <class T, int Terms>
EMEND_TARGET void write_saved_gradient(const saved_row<T, arithmetic<T>>& row, index n, bool is_streaming) {
  using A = arithmetic<T>;
  constexpr index group = 2 * pack<A>::lanes;
  const double* reference = row.powers.reference;
  index done = 0;
  while (done < n) {
    const index whole = (n - done) / group * group;
    const index size = whole == 0 ? n - done : whole < row_block ? whole : row_block;
    write_saved_block<T, Terms>(row.x + done, row.powers.power + done, row.out + done, size,
                                block_registers(row.coefficients, *reference++, row.log2_z), is_streaming);
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
  for_each_block(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
    pending_block<T> before{};
    if constexpr (PendingTerms >= 0)
      before = {pending.x + done, pending.powers.power + done, pending.out + done,
                block_registers(pending.coefficients, *pending_reference++, pending.log2_z)};
    if (present == count) {
      take_block<T, 0, true, PendingTerms>(row, block, count, done, multiplier, saved.power + done, &before);
    } else {
      A powers[2 * pack<A>::lanes];
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
  using kernel = void (*)(row_sums<A>&, const T*, index, const row_multiplier<A>&, const saved_powers<A>&, const saved_row<T, A>&);
  // A linear term reads the pending row's scores again, and with them the working set leaves the cache: slower than apart.
  if constexpr (!std::is_same_v<T, A> || PendingTerms > 0 || (PendingTerms == 0 && !can_stream)) return kernel{nullptr};
  else return kernel{accumulate_and_save_row<T, PendingTerms>};
}
template <class T, int Terms>
constexpr auto saved_gradient_kernel() {
  using kernel = void (*)(const saved_row<T, arithmetic<T>>&, index, bool);
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

/// Where a register of tokens stands in its rows; column kernels keep one for each register of the tile.
template <class A>
struct column_state {
  using reg = typename pack<A>::reg;
  typename pack<A>::wide sum, weighted, squares, plain;
  reg reference, reference_score, best, best_group;
};

/// f(register number, tokens present): the registers of a tile of `count` tokens.
template <class A, class F>
EMEND_TARGET EMEND_INLINE void for_each_register(index count, F&& f) {
  constexpr index lanes = pack<A>::lanes;
  for (index k = 0; k * lanes < count; ++k) f(k, count - k * lanes < lanes ? count - k * lanes : lanes);
}

template <class T>
EMEND_TARGET EMEND_INLINE typename pack<arithmetic<T>>::reg load_some(const T* from, index present) {
  constexpr index lanes = pack<arithmetic<T>>::lanes;
  if (present == lanes) return load(from);
  T edge[lanes] = {};
  for (index k = 0; k < present; ++k) edge[k] = from[k];
  return load(static_cast<const T*>(edge));
}

/// Takes a few columns of one register of tokens into its state: an online log-sum-exp in lanes.
template <class T, int Features>
EMEND_TARGET inline void take_columns(column_state<arithmetic<T>>& state, const T* x, index vocab_stride, index size,
                                      index group, index present, const row_multiplier<arithmetic<T>>& multiplier) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  constexpr int lanes = p::lanes;
  const reg lowest = splat<A>(lowest_power<A>);
  reg v[column_group], maximum = splat<A>(-__builtin_inff());
  for (index k = 0; k < column_group; ++k) {
    v[k] = k < size ? load_some(x + k * vocab_stride, present) : splat<A>(-__builtin_inff());
    maximum = v[k] > maximum ? v[k] : maximum;
  }
  const reg raised = maximum * multiplier.high;
  const auto rises = raised > state.reference;
  if (is_any(rises)) {
    const reg next = rises ? raised : state.reference;
    state.reference_score = rises ? maximum : state.reference_score;
    for (int lane = 0; lane < lanes; ++lane) {
      const double down = static_cast<double>(state.reference[lane]) - static_cast<double>(next[lane]);
      if (down == 0) continue;
      const double factor = __builtin_exp2(down);
      state.weighted[lane] = factor == 0 ? 0 : factor * (state.weighted[lane] + down * state.sum[lane]);
      state.sum[lane] *= factor;
      state.squares[lane] *= factor * factor;
    }
    state.reference = next;
  }
  reg sum{}, weighted{}, squares{}, plain{};
  for (index k = 0; k < column_group; k += 2) {
    reg t[2], shifted[2], e[2];
    for (int u = 0; u < 2; ++u) t[u] = at_least(lowest, exponent_of(v[k + u], splat<A>(multiplier.high), state.reference, state.reference_score));
    for (int u = 0; u < 2; ++u) shifted[u] = t[u] + rounding_magic<A>;
    powers_of_two<A, 2>(t, shifted, e);
    for (int u = 0; u < 2; ++u) {
      sum += e[u];
      weighted += e[u] * t[u];
      if constexpr (Features & want_extras) squares += e[u] * e[u];
      if constexpr (Features & want_extras)
        if (k + u < size) plain += v[k + u];
    }
  }
  using wide = typename p::wide;
  state.sum += __builtin_convertvector(sum, wide);
  state.weighted += __builtin_convertvector(weighted, wide);
  if constexpr (Features & want_extras) state.squares += __builtin_convertvector(squares, wide);
  if constexpr (Features & want_extras) state.plain += __builtin_convertvector(plain, wide);
  if constexpr (Features & want_arg_max) {
    state.best_group = maximum > state.best ? splat<A>(static_cast<A>(group)) : state.best_group;
    state.best = maximum > state.best ? maximum : state.best;
  }
}

/// Sums of at most `row_tile` rows side by side (tokens contiguous): lanes are tokens, and what a lane adds does not
/// depend on its neighbours. `rows` holds one entry a token.
template <class T, int Features>
EMEND_TARGET void accumulate_columns(row_sums<arithmetic<T>>* rows, const T* x, index count, index vocab,
                                     index vocab_stride, const row_multiplier<arithmetic<T>>& multiplier) {
  using A = arithmetic<T>;
  using p = pack<A>;
  constexpr int lanes = p::lanes;
  const A unset = -A(sizeof(A) == 4 ? 1e38 : 1e307);
  column_state<A> states[row_tile / lanes] = {};
  for_each_register<A>(count, [&](index k, index) EMEND_TARGET {
    states[k].reference = splat<A>(unset);
    states[k].best = splat<A>(-__builtin_inff());
  });
  // A few columns of all registers at a time, so that whole cache lines are used when they come.
  for (index j = 0; j < vocab; j += column_group) {
    const index size = vocab - j < column_group ? vocab - j : column_group;
    for_each_register<A>(count, [&](index k, index present) EMEND_TARGET {
      const T* from = x + k * lanes + j * vocab_stride;
      for (index c = 0; c < column_group; ++c) __builtin_prefetch(from + (column_group + c) * vocab_stride);
      take_columns<T, Features>(states[k], from, vocab_stride, size, j / column_group, present, multiplier);
    });
  }
  for (index token = 0; token < count; ++token) {
    const column_state<A>& state = states[token / lanes];
    const index lane = token % lanes;
    row_sums<A>& row = rows[token];
    row.sum[0] = state.sum[lane];
    row.weighted[0] = state.weighted[lane];
    row.squares[0] = state.squares[lane];
    row.plain = state.plain[lane];
    row.has_reference = state.reference[lane] != unset;
    row.kernel_reference = state.reference[lane];
    row.reference = exact_reference<A>(state.reference[lane], state.reference_score[lane], multiplier);
    row.needs_reference_path = !(row.sum[0] > 0) || !(row.reference - row.reference == 0) || !row.has_reference;
    if constexpr (Features & want_arg_max) {
      row.maximum = state.best[lane];
      index j = static_cast<index>(state.best_group[lane]) * column_group;
      while (j + 1 < vocab && static_cast<A>(x[token + j * vocab_stride]) != row.maximum) ++j;
      row.arg_max = j;
    }
  }
}

/// Gradient of at most `row_tile` rows side by side; `rows` holds the coefficients of each token.
template <class T>
EMEND_TARGET void write_gradient_columns(const T* x, T* out, index count, index vocab, index vocab_stride,
                                         index out_stride, const row_gradient<arithmetic<T>>* rows) {
  using A = arithmetic<T>;
  constexpr index lanes = pack<A>::lanes;
  gradient_registers<A> g[row_tile / lanes] = {};
  for (index token = 0; token < count; ++token) g[token / lanes].set_lane(static_cast<int>(token % lanes), rows[token]);
  for (index j = 0; j < vocab; ++j)
    for_each_register<A>(count, [&](index k, index present) EMEND_TARGET {
      const T* from = x + k * lanes + j * vocab_stride;
      T* to = out + k * lanes + j * out_stride;
      __builtin_prefetch(from + 8 * vocab_stride);
      const auto gradient = gradient_of<A, 2>(load_some(from, present), g[k]);
      if (present == lanes) {
        store(to, gradient);
      } else {
        T edge[lanes];
        store(edge, gradient);
        for (index i = 0; i < present; ++i) to[i] = edge[i];
      }
    });
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
