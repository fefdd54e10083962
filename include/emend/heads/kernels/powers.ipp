// Powers of two of registers. Part of kernels.ipp.

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
