// The sums of one block of scores, in the unit of their powers: register by register, or two registers at a time where
// powers are made by scaling. Part of kernels.ipp.

/// Scores of a block: their powers are summed in their own type before they join the row's sums, which are double.
template <class T>
inline constexpr index summed_block = 256 * pack<arithmetic<T>>::lanes;

/// Scores of a chunk: their powers are summed before they join the sums of the block. A lane that starts with a large
/// power loses at most half a unit in the last place with every further addition. Float: 15 of them in a chunk and 15
/// more until the block ends, so a lane is off by at most 30/2^24 of itself, which is 1.8e-6. Double: 63 and 3 more, at
/// most 66/2^53, which is 7.4e-15.
template <class A>
inline constexpr index summed_chunk = (sizeof(A) == 4 ? 16 : 64) * pack<A>::lanes;

/// Largest mean exponent, weighted by the powers, that a lane may have. The entropy is ln 2 (log2(sum) - weighted /
/// sum) with the error of `weighted`, which grows with the exponents: where the mass of a lane lies further above the
/// reference, the last chunk is summed again with a reference at its maximum.
template <class A>
inline constexpr A highest_mean = 2;

/// Whether a lane's mass lies above 2^highest_mean.
template <class A>
EMEND_TARGET EMEND_INLINE bool is_mass_high(typename pack<A>::reg sum, typename pack<A>::reg weighted) {
  return is_any(weighted > sum * highest_mean<A>);
}

template <class A>
struct block_sums {
  typename pack<A>::reg sum, weighted, squares;
  double plain;
  A maximum;
  bool is_in_range;  ///< no t above highest_power, no NaN
  bool has_nan;      ///< where powers are made by scaling: a NaN, or a score of -inf that was not clamped
  index taken;       ///< scores in the sums: less than the block has if the mass of the next chunk is too high
};

/// The policy of the sums over a row, and 2^lowest_power in its unit.
inline constexpr exponential_policy sum_policy = has_fused_multiply ? quick_scaled : quick;
template <class T>
inline constexpr arithmetic<T> smallest_power =
    power_unit<arithmetic<T>, sum_policy> *
    (sizeof(arithmetic<T>) == 4 ? arithmetic<T>(0x1p-126) : arithmetic<T>(0x1p-1022));

/// Whether sums of powers by scaling show that all was in range: below 2^highest_power, and no NaN.
template <class A>
EMEND_TARGET EMEND_INLINE bool are_in_range(typename pack<A>::reg sum, typename pack<A>::reg weighted) {
  return !is_any((sum >= A(0x1p40) * power_unit<A, sum_policy>) | (weighted != weighted));
}

/// The sums of one block, register by register, in the unit of their powers. A chain of dependent operations runs
/// through every register of scores, so several of them are in work at a time, each a stage apart, and the operations
/// of one step wait for nothing: `start`, `advance`, `complete` and `take`, to be called in the opposite order. Where
/// powers are made by scaling, only -inf is in need of the clamp, and whether all was in range is seen in the sums.
template <class T, int Features, bool IsClamped>
struct block_pipeline {
  using A = arithmetic<T>;
  using reg = typename pack<A>::reg;
  using bits = typename pack<A>::bits;
  static constexpr exponential_policy policy = sum_policy;
  /// Steps of Horner's rule in the second stage; the third has the rest.
  static constexpr unsigned middle = (power_coefficients<A, policy>.size() - 1) / 2;

  reg multiplier, reference, center, lowest;
  reg sum{}, weighted{}, squares{}, plain{}, best = splat<A>(-__builtin_inff());
  reg whole_sum{}, whole_weighted{}, whole_squares{}, whole_plain{};  // without the chunk in work
  bits highest{};
  reg t{}, shifted{};                              // after the first stage
  reg t_second{}, shifted_second{}, r{}, begun{};  // after the second
  reg t_third{}, shifted_third{}, power{};         // after the third

  /// Puts registers whose powers are 0 into every stage, so that the first steps add nothing. For powers by scaling.
  EMEND_TARGET EMEND_INLINE void fill() {
    t = shifted = splat<A>(-4096);
    t_second = shifted_second = t;
    t_third = shifted_third = t;
  }
  EMEND_TARGET EMEND_INLINE void start(reg v) {
    t = exponent_of(v, multiplier, reference, center);
    if constexpr (IsClamped) t = at_least(lowest, t);
    if constexpr (has_scaling)
      shifted = round_to_integer(t);
    else
      shifted = t + rounding_magic<A>;
    if constexpr (Features & want_extras) plain += v;
    if constexpr (Features & want_arg_max) best = v > best ? v : best;
  }
  EMEND_TARGET EMEND_INLINE void advance() {
    t_second = t;
    shifted_second = shifted;
    if constexpr (has_scaling)
      r = t - shifted;
    else
      r = t - (shifted - rounding_magic<A>);
    begun = begin_polynomial<policy, A, middle>(r);
  }
  EMEND_TARGET EMEND_INLINE void complete() {
    t_third = t_second;
    shifted_third = shifted_second;
    power = end_polynomial<policy, A, middle>(r, begun);
  }
  EMEND_TARGET EMEND_INLINE reg take() {
    reg e;
    if constexpr (has_scaling) {
      e = scale_by_power(power, shifted_third);
    } else {
      e = (reg)((bits)power + ((bits)shifted_third << fraction_bits<A>));
      // The bits of positive numbers order as the numbers do; the integer unit has time for this.
      highest = (bits)shifted_third > highest ? (bits)shifted_third : highest;
    }
    sum += e;
    weighted += e * t_third;
    if constexpr (Features & want_extras) squares += e * e;
    return e;
  }

  /// Ends a chunk. With `IsStopping` false if the mass with it is too high; nothing is then added.
  template <bool IsStopping>
  EMEND_TARGET EMEND_INLINE bool flush() {
    if constexpr (IsStopping)
      if (is_mass_high<A>(whole_sum + sum, whole_weighted + weighted)) return false;
    whole_sum += sum;
    whole_weighted += weighted;
    sum = weighted = reg{};
    if constexpr (Features & want_extras) {
      whole_squares += squares;
      whole_plain += plain;
      squares = plain = reg{};
    }
    return true;
  }

  /// The sums of all chunks that were flushed.
  EMEND_TARGET EMEND_INLINE block_sums<A> result(index taken) const {
    block_sums<A> found{whole_sum, whole_weighted, whole_squares, 0, -__builtin_inff(), true, false, taken};
    if constexpr (Features & want_extras) found.plain = sum_lanes<A>(whole_plain);
    if constexpr (Features & want_arg_max)
      for (int lane = 0; lane < pack<A>::lanes; ++lane)
        found.maximum = best[lane] > found.maximum ? best[lane] : found.maximum;
    if constexpr (has_scaling) {
      found.is_in_range = are_in_range<A>(whole_sum, whole_weighted);
      found.has_nan = is_any(whole_weighted != whole_weighted);
    } else {
      const reg top = (reg)highest;
      found.is_in_range = !is_any((top > rounding_magic<A> + highest_power<A>) | (whole_weighted != whole_weighted));
    }
    return found;
  }
};

/// Two registers that go through the same operations one after the other. Processors of today bind an operation to a
/// unit when it comes, and kinds that alternate bind worse than pairs of a kind: 6 cycles for 16 scores instead of 7.4.
/// So the order is told to the compiler, too, which would make another.
template <class A>
struct register_pair {
  using reg = typename pack<A>::reg;
  reg first, second;

  friend EMEND_TARGET EMEND_INLINE register_pair operator+(const register_pair& a, const register_pair& b) {
    return {in_order(a.first + b.first), in_order(a.second + b.second)};
  }
  friend EMEND_TARGET EMEND_INLINE register_pair operator-(const register_pair& a, const register_pair& b) {
    return {in_order(a.first - b.first), in_order(a.second - b.second)};
  }
  friend EMEND_TARGET EMEND_INLINE register_pair operator*(const register_pair& a, const register_pair& b) {
    return {in_order(a.first * b.first), in_order(a.second * b.second)};
  }
  /// this x + c
  EMEND_TARGET EMEND_INLINE register_pair times_plus(const register_pair& x, const register_pair& c) const {
    return {in_order(fused_multiply_add(first, x.first, c.first)),
            in_order(fused_multiply_add(second, x.second, c.second))};
  }
  EMEND_TARGET EMEND_INLINE register_pair times_plus(const register_pair& x, reg c) const {
    return times_plus(x, register_pair{c, c});
  }
  EMEND_TARGET EMEND_INLINE register_pair rounded() const {
    return {in_order(round_to_integer(first)), in_order(round_to_integer(second))};
  }
  EMEND_TARGET EMEND_INLINE register_pair scaled(const register_pair& power) const {
    return {in_order(scale_by_power(first, power.first)), in_order(scale_by_power(second, power.second))};
  }
  EMEND_TARGET EMEND_INLINE register_pair clamped(reg low) const {
    return {in_order(at_least(low, first)), in_order(at_least(low, second))};
  }
};
template <class A>
EMEND_TARGET EMEND_INLINE register_pair<A> pair_of(typename pack<A>::reg x) {
  return {x, x};
}

/// The polynomial of a policy at pairs, in two halves.
template <class A, exponential_policy Policy>
struct pair_polynomial {
  using pair = register_pair<A>;
  static constexpr auto& coefficients = power_coefficients<A, Policy>;
  static constexpr unsigned steps = coefficients.size() - 1, middle = steps / 2;

  EMEND_TARGET EMEND_INLINE static pair begin(const pair& x) {
    constexpr bool is_sum = coefficients[0] == 1;
    const pair second = pair_of<A>(splat<A>(coefficients[1]));
    if constexpr (is_sum)
      return horner<1, middle>(x, x + second);
    else
      return horner<1, middle>(x, x.times_plus(pair_of<A>(splat<A>(coefficients[0])), second));
  }
  EMEND_TARGET EMEND_INLINE static pair end(const pair& x, const pair& y) { return horner<middle, steps>(x, y); }

 private:
  /// Steps First + 1 .. Last of Horner's rule.
  template <unsigned First, unsigned Last>
  EMEND_TARGET EMEND_INLINE static pair horner(const pair& x, const pair& y) {
    if constexpr (First == Last)
      return y;
    else
      return horner<First + 1, Last>(x, y.times_plus(x, splat<A>(coefficients[First + 1])));
  }
};

/// As block_pipeline, by pairs of registers, with the same bits. What a pair waits for was begun with the pair before
/// it: its powers of two, and before that half of the polynomial.
template <class T, bool IsClamped>
struct paired_sums {
  using A = arithmetic<T>;
  using reg = typename pack<A>::reg;
  using pair = register_pair<A>;
  static constexpr exponential_policy policy = sum_policy;
  using power_of = pair_polynomial<A, policy>;

  /// Without the extras, and where constants and state of two registers fit: what has to be stored and loaded costs
  /// more than the order saves.
  template <int Features>
  static constexpr bool is_faster = has_scaling && Features == 0 && sizeof(A) == 4;

  reg multiplier, negative_reference, lowest;
  reg sum{}, weighted{};
  reg whole_sum{}, whole_weighted{};  // without the chunk in work
  // Pairs whose powers are 0, so that the first steps add nothing.
  pair t = pair_of<A>(splat<A>(-4096)), shifted = t;                        // after the first step
  pair t_second = t, shifted_second = t, r = pair_of<A>(reg{}), begun = r;  // after the second

  /// Takes in a pair of scores; the sums receive the pair before the one before it.
  EMEND_TARGET EMEND_INLINE void step(const pair& v) {
    pair t_new = v.times_plus(pair_of<A>(multiplier), negative_reference);
    if constexpr (IsClamped) t_new = t_new.clamped(lowest);
    const pair shifted_new = t_new.rounded();
    const pair rest = t - shifted, halfway = power_of::begin(rest);
    take();
    t_second = t, shifted_second = shifted, r = rest, begun = halfway;
    t = t_new, shifted = shifted_new;
  }
  /// Adds what is still on its way.
  EMEND_TARGET EMEND_INLINE void finish() {
    take();
    r = t - shifted;
    begun = power_of::begin(r);
    t_second = t, shifted_second = shifted;
    take();
  }

  /// Ends a chunk; false if the mass with it is too high, and nothing is then added.
  EMEND_TARGET EMEND_INLINE bool flush() {
    if (is_mass_high<A>(whole_sum + sum, whole_weighted + weighted)) return false;
    whole_sum += sum;
    whole_weighted += weighted;
    sum = weighted = reg{};
    return true;
  }
  /// The sums of all chunks that were flushed.
  EMEND_TARGET EMEND_INLINE block_sums<A> result(index taken) const {
    block_sums<A> found{whole_sum, whole_weighted, {}, 0, -__builtin_inff(), true, false, taken};
    found.is_in_range = are_in_range<A>(whole_sum, whole_weighted);
    found.has_nan = is_any(whole_weighted != whole_weighted);
    return found;
  }

 private:
  EMEND_TARGET EMEND_INLINE void take() {
    const pair e = power_of::end(r, begun).scaled(shifted_second);
    sum = in_order(sum + e.first);
    sum = in_order(sum + e.second);
    weighted = in_order(fused_multiply_add(e.first, t_second.first, weighted));
    weighted = in_order(fused_multiply_add(e.second, t_second.second, weighted));
  }
};
