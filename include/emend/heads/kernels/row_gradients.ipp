// The gradient of a row with contiguous vocabulary. Part of kernels.ipp.

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
