// Registers of numbers: loads and stores of every storage type, and powers of two. Part of kernels.ipp.

typedef double wide_of_float __attribute__((vector_size(2 * EMEND_BYTES)));
typedef double wide_of_double __attribute__((vector_size(EMEND_BYTES)));

template <class A>
struct pack {
  static constexpr int lanes = EMEND_BYTES / sizeof(A);
  using integer = std::conditional_t<sizeof(A) == 4, std::uint32_t, std::uint64_t>;  // unsigned: sums of bits may wrap
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
  // Less 0, which is x for every x and costs nothing: plus 0 is not, for x = -0.
  return x - typename pack<A>::reg{};
}

/// Asks for what a later pass reads: into the second cache, the nearest holds the row in work.
template <class T>
EMEND_TARGET EMEND_INLINE void prefetch_for_later(const T* x) {
  __builtin_prefetch(x, 0, 2);
}

/// Asks for what a pass over memory reads in a while: across the end of the page, where hardware prefetchers stop, and
/// past the row, so no pointer into it.
template <class T>
EMEND_TARGET EMEND_INLINE void prefetch_ahead(const T* x) {
  const std::uintptr_t place = reinterpret_cast<std::uintptr_t>(x);
  // Where the arithmetic keeps up with memory, the nearest cache is too small for what must be on its way; farther
  // ahead is slower in pages of 4 KiB. With half the bytes memory is not what one waits for.
  if constexpr (has_scaling && sizeof(T) > 2)
    __builtin_prefetch(reinterpret_cast<const void*>(place + 2048), 0, 2);
  else
    __builtin_prefetch(reinterpret_cast<const void*>(place + 4096));
}

template <class T>
EMEND_TARGET EMEND_INLINE typename pack<arithmetic<T>>::reg load(const T* x) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, arithmetic<T>>) {
    return *reinterpret_cast<const typename p::unaligned*>(x);
  } else {
    const typename p::halves half = *reinterpret_cast<const typename p::unaligned_halves*>(x);
    if constexpr (std::is_same_v<T, float16> && has_half_conversion) return from_half(half);
    const typename p::words word = widened(half);
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

/// Two registers of scores; bfloat16 in an order of their own (even places, odd places), which no sum minds. IsMasked:
/// by masked loads where there are some, which spares two operations and takes a register for the mask.
template <class T, bool IsMasked = false>
EMEND_TARGET EMEND_INLINE void load_pair(const T* x, typename pack<arithmetic<T>>::reg* v) {
  using p = pack<arithmetic<T>>;
  if constexpr (std::is_same_v<T, bfloat16> && has_masked_load && IsMasked) {
    v[0] = high_halves(x, -1);
    v[1] = high_halves(x, 0);
  } else if constexpr (std::is_same_v<T, bfloat16>) {
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
  if constexpr (has_fused_multiply)
    return fused_multiply_add(v, multiplier, -reference);
  else
    return (v - center) * multiplier;
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
inline constexpr typename pack<A>::integer exponent_bias = sizeof(A) == 4 ? 127 : 1023;

/// How 2^r is made on [-1/2, 1/2]. Double: Taylor series, below 3e-16. Float: minimax, relative error 2e-9 (precise),
/// 9.2e-8 (quick), 1.9e-8 (precise_scaled), 9.2e-8 (quick_scaled), before rounding.
enum exponential_policy { precise, quick, precise_scaled, quick_scaled };

/// Coefficients from the highest power down. The last is what 2^0 comes out as, exactly: 1, but for the scaled
/// policies, whose first coefficient is 1 instead. The first step of Horner's rule is then a sum, for which processors
/// have units beside those of the products, and the unit of the powers is a factor of whole sums, taken off once.
template <class A, exponential_policy Policy>
inline constexpr auto power_coefficients = [] {
  constexpr bool is_scaled = Policy == precise_scaled || Policy == quick_scaled;
  if constexpr (sizeof(A) == 8) {
    std::array c{1.3691488853904124e-12, 2.5678435993488196e-11,
                 4.44553827187081e-10,   7.054911620801121e-09,
                 1.0178086009239696e-07, 1.3215486790144305e-06,
                 1.5252733804059838e-05, 0.00015403530393381606,
                 0.0013333558146428441,  0.009618129107628477,
                 0.055504108664821576,   0.2402265069591007,
                 0.6931471805599453,     1.0};
    if constexpr (is_scaled) {
      // 2^-39 instead of the first coefficient is less than half a unit in the last place away.
      for (double& coefficient : c) coefficient *= 0x1p39;
      c[0] = 1;
    }
    return c;
  } else if constexpr (Policy == precise)
    return std::array{0.00015353361959569156f,
                      0.0013398875016719103f,
                      0.00961843691766262f,
                      0.055503323674201965f,
                      0.24022647738456726f,
                      0.6931471824645996f,
                      1.0f};
  else if constexpr (Policy == precise_scaled)
    return std::array{
        1.0f,   10.95882236210829f, 78.88351123724763f, 454.68854833811355f, 1967.9284700892754f, 5678.261577834924f,
        8192.0f};
  else if constexpr (Policy == quick_scaled)
    return std::array{
        1.0f, 7.291166137499106f, 41.8459102139572f, 181.099043695136f, 522.5501193894033f, 753.8806866057114f};
  else
    return std::array{0.001326472731307149f, 0.009671512991189957f, 0.05550733581185341f,
                      0.24022242426872253f,  0.6931470036506653f,   1.0f};
}();

/// What the powers of a policy are multiples of.
template <class A, exponential_policy Policy>
inline constexpr A power_unit = power_coefficients<A, Policy>.back();

/// The first `Steps` coefficients, beyond the highest, taken into Horner's rule.
template <exponential_policy Policy, class A, unsigned Steps>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg begin_polynomial(typename pack<A>::reg r) {
  constexpr auto& c = power_coefficients<A, Policy>;
  typename pack<A>::reg y;
  if constexpr (c[0] == 1)
    y = r + c[1];
  else
    y = r * c[0] + c[1];
#pragma GCC unroll 16
  for (unsigned k = 2; k <= Steps; ++k) y = y * r + c[k];
  return y;
}

/// The steps that `begin_polynomial` left.
template <exponential_policy Policy, class A, unsigned Steps>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg end_polynomial(typename pack<A>::reg r, typename pack<A>::reg y) {
  constexpr auto& c = power_coefficients<A, Policy>;
#pragma GCC unroll 16
  for (unsigned k = Steps + 1; k < c.size(); ++k) y = y * r + c[k];
  return y;
}

/// y = 2^r, in the policy's unit, of `Count` registers with r in [-1/2, 1/2].
template <exponential_policy Policy, class A, int Count>
EMEND_TARGET EMEND_INLINE void polynomial(const typename pack<A>::reg* r, typename pack<A>::reg* y) {
  constexpr auto& c = power_coefficients<A, Policy>;
  for (int u = 0; u < Count; ++u) y[u] = begin_polynomial<Policy, A, 1>(r[u]);
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

/// First of n scores that equals `value`, the last one if none does.
template <class T>
EMEND_TARGET inline index place_of(const T* x, index n, arithmetic<T> value) {
  using p = pack<arithmetic<T>>;
  constexpr index group = 8 * p::lanes;
  const typename p::reg wanted = splat<arithmetic<T>>(value);
  index i = 0;
  for (; i + group <= n; i += group) {
    auto is_there = load(x + i) == wanted;
    for (index k = p::lanes; k < group; k += p::lanes) is_there |= load(x + i + k) == wanted;
    if (is_any(is_there)) break;
  }
  while (i + 1 < n && static_cast<arithmetic<T>>(x[i]) != value) ++i;
  return i;
}
