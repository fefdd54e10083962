// Rows side by side, tokens contiguous: lanes are tokens. Part of kernels.ipp.

/// Where a register of tokens stands in its rows; column kernels keep one for each register of the tile.
template <class A>
struct column_state {
  using reg = typename pack<A>::reg;
  typename pack<A>::wide sum, weighted, squares, plain;
  typename pack<A>::wide sum_rest, weighted_rest;  // of double: what the rounding of the sums took off them
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

/// total += x. Sums of float lose nothing that counts in double; of double, `rest` receives what the rounding takes
/// off.
template <class A>
EMEND_TARGET EMEND_INLINE void add_column_sums(typename pack<A>::wide& total, typename pack<A>::wide& rest,
                                               const typename pack<A>::wide& x) {
  const typename pack<A>::wide next = total + x;
  if constexpr (sizeof(A) == 8) rest += x - (next - total);
  total = next;
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
    for (int lane = 0; lane < lanes; ++lane) {
      if (!rises[lane] || state.sum[lane] == 0) continue;
      const double down = reference_difference<A>(state.reference[lane], state.reference_score[lane], next[lane],
                                                  maximum[lane], multiplier);
      const double factor = __builtin_exp2(down);
      state.weighted[lane] = factor == 0 ? 0 : factor * (state.weighted[lane] + down * state.sum[lane]);
      state.sum[lane] *= factor;
      state.weighted_rest[lane] = factor == 0 ? 0 : factor * (state.weighted_rest[lane] + down * state.sum_rest[lane]);
      state.sum_rest[lane] *= factor;
      state.squares[lane] *= factor * factor;
    }
    state.reference_score = rises ? maximum : state.reference_score;
    state.reference = next;
  }
  reg sum{}, weighted{}, squares{}, plain{};
  for (index k = 0; k < column_group; k += 2) {
    reg t[2], shifted[2], e[2];
    for (int u = 0; u < 2; ++u)
      t[u] = at_least(lowest, exponent_of(v[k + u], splat<A>(multiplier.high), state.reference, state.reference_score));
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
  add_column_sums<A>(state.sum, state.sum_rest, __builtin_convertvector(sum, wide));
  add_column_sums<A>(state.weighted, state.weighted_rest, __builtin_convertvector(weighted, wide));
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
    row.sum[0] = state.sum[lane] + state.sum_rest[lane];
    row.weighted[0] = state.weighted[lane] + state.weighted_rest[lane];
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
  for (index token = 0; token < count; ++token)
    g[token / lanes].template set_lane<2>(static_cast<int>(token % lanes), rows[token]);
  for (index j = 0; j < vocab; ++j)
    for_each_register<A>(count, [&](index k, index present) EMEND_TARGET {
      const T* from = x + k * lanes + j * vocab_stride;
      T* to = out + k * lanes + j * out_stride;
      __builtin_prefetch(from + 8 * vocab_stride);
      auto gradient = load_some(from, present);
      gradients_of<A, 2, 1>(&gradient, g[k]);
      if (present == lanes) {
        store(to, gradient);
      } else {
        T edge[lanes];
        store(edge, gradient);
        for (index i = 0; i < present; ++i) to[i] = edge[i];
      }
    });
}
