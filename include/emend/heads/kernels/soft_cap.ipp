// The soft cap of a row and its chain rule. Part of kernels.ipp.

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
