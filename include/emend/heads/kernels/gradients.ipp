// Gradients of registers of scores from the coefficients of their row: plain, or two registers at a time where powers
// are made by scaling. Part of kernels.ipp.

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
