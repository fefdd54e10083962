// The gradient of a divergence from the powers that its sums kept. Part of kernels.ipp.

/// Coefficients of one saved block: g = (first - 2^lowest) (constant + linear second), or, of a difference,
/// g = (first - 2^lowest) constant - (second - 2^lowest) linear.
template <class A>
struct pair_registers {
  typename pack<A>::reg constant, linear;
};

template <class A, bool IsDifference>
EMEND_TARGET EMEND_INLINE pair_registers<A> pair_coefficients(const pair_gradient& g, double student_reference,
                                                              double teacher_reference) {
  const double scale = g.scale * saved_scale(student_reference, g.student_log2_z);
  double constant = scale, linear = 0;
  if constexpr (IsDifference) {
    linear = g.scale * saved_scale(teacher_reference, g.teacher_log2_z);
  } else if (student_reference == -infinity || (!g.is_ratio_complete && teacher_reference == -infinity)) {
    constant = 0;  // no student probability of the block is above 0
  } else {
    const double offset =
        g.is_ratio_complete ? 0 : (student_reference - g.student_log2_z) - (teacher_reference - g.teacher_log2_z);
    constant = scale * (g.constant + ln_2 * offset);
    linear = scale * ln_2;
  }
  pair_registers<A> registers;
  registers.constant = splat<A>(static_cast<A>(constant));
  registers.linear = splat<A>(static_cast<A>(linear));
  return registers;
}

template <class A, bool IsDifference>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg pair_gradient_of(const A* first, const A* second,
                                                                 const pair_registers<A>& g) {
  constexpr A smallest = sizeof(A) == 4 ? A(0x1p-126) : A(0x1p-1022);
  const typename pack<A>::reg power = load(first) - smallest;
  if constexpr (IsDifference) return power * g.constant - (load(second) - smallest) * g.linear;
  return power * (load(second) * g.linear + g.constant);
}

/// Writes the gradient of a row of n scores from what accumulate_pair saved; never reads the scores.
template <class T, bool IsDifference>
EMEND_TARGET void write_pair_gradient(const saved_pair<arithmetic<T>>& saved, T* out, index n, const pair_gradient& g,
                                      bool is_streaming) {
  using A = arithmetic<T>;
  using p = pack<A>;
  constexpr index group = 2 * p::lanes;
  for_each_saved_block<A>(n, [&](index done, index size, index block) EMEND_TARGET {
    const auto coefficients =
        pair_coefficients<A, IsDifference>(g, saved.student_reference[block], saved.teacher_reference[block]);
    const auto at = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA {
      return pair_gradient_of<A, IsDifference>(saved.first + i, saved.second + i, coefficients);
    };
    const index end = done + size < n ? done + size : n;
    index i = done;
    if constexpr (can_stream && std::is_same_v<T, A>) {
      if (is_streaming && elements_to_line(out + i) % group == 0) {
        for (; i + group <= end; i += group) stream_pair(out + i, at(i), at(i + p::lanes));
      }
    }
    for (; i + group <= end; i += group) {
      const typename p::reg pair[2] = {at(i), at(i + p::lanes)};
      store_pair(out + i, pair);
    }
    if (i == end) return;
    T tail[group];
    const typename p::reg pair[2] = {at(i), at(i + p::lanes)};
    store_pair(tail, pair);
    for (index k = 0; i + k < end; ++k) out[i + k] = tail[k];
  });
}
