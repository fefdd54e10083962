// Gradients of rows whose powers are kept from the pass that summed them: nothing is computed twice. Part of
// kernels.ipp.

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

/// The kernel that reads kept powers, where there is one.
template <class T, int Terms>
constexpr auto saved_gradient_kernel() {
  using kernel = void (*)(const saved_row<T, arithmetic<T>>&, index, bool);
  if constexpr (!keeps_powers || !std::is_same_v<T, arithmetic<T>>)
    return kernel{nullptr};
  else
    return kernel{write_saved_gradient<T, Terms>};
}
