// Two rows with contiguous vocabulary beside each other: sums forward, gradients backward. Part of kernels.ipp.

/// What a pass over two rows sums beside the powers: the differences of KL(teacher || student), those of KL(student ||
/// teacher), or the latter only to see that they are finite, because they are saved.
enum pair_cross { forward_cross, reverse_cross, mixed_cross };

/// An exponent that stands for a score of -inf in differences: far below every one that the kernels take, and yet
/// nothing once it is multiplied by the lowest power.
template <class A>
inline constexpr A far_exponent = -A(1 << 21);
template <class A>
inline constexpr A largest_difference = A(1 << 20);

template <class A>
struct pair_block_sums {
  typename pack<A>::reg student{}, teacher{}, weighted{}, cross{};
  bool is_in_range = true;  ///< no exponent above highest_power, no NaN in an exponent
  bool is_finite = true;    ///< the sums are
  bool is_unbounded =
      false;  ///< a score of -inf against one that is none, on the side that makes the divergence infinite
};

/// As `polynomial`, each coefficient read once for all registers.
template <exponential_policy Policy, class A, int Count>
EMEND_TARGET EMEND_INLINE void shared_polynomial(const typename pack<A>::reg* r, typename pack<A>::reg* y) {
  constexpr auto& c = power_coefficients<A, Policy>;
  typename pack<A>::reg top = splat<A>(c[0]);
  keep_in_register(top);
  for (int u = 0; u < Count; ++u) y[u] = top;
#pragma GCC unroll 16
  for (unsigned k = 1; k < c.size(); ++k) {
    typename pack<A>::reg coefficient = splat<A>(c[k]);
    keep_in_register(coefficient);
    for (int u = 0; u < Count; ++u) y[u] = y[u] * r[u] + coefficient;
  }
}

/// One pass over a block of n scores of both rows, n a multiple of two registers. With IsCareful scores of -inf may
/// occur; without it they show as sums that are not finite.
template <class T, pair_cross Cross, bool IsSaved, bool IsCareful>
EMEND_TARGET EMEND_INLINE pair_block_sums<arithmetic<T>> sum_pair_block(
    const T* student, const T* teacher, index n, const row_multiplier<arithmetic<T>>& student_multiplier,
    const row_multiplier<arithmetic<T>>& teacher_multiplier, const pair_sums<arithmetic<T>>& row,
    const saved_pair<arithmetic<T>>& saved) {
  using A = arithmetic<T>;
  using p = pack<A>;
  using reg = typename p::reg;
  using bits = typename p::bits;
  const reg multiplier[2] = {splat<A>(student_multiplier.high), splat<A>(teacher_multiplier.high)};
  const reg reference[2] = {splat<A>(row.student.kernel_reference), splat<A>(row.teacher.kernel_reference)};
  const reg center[2] = {splat<A>(row.student.kernel_center), splat<A>(row.teacher.kernel_center)};
  const reg lowest = splat<A>(lowest_power<A>), far = splat<A>(far_exponent<A>);
  pair_block_sums<A> sums;
  bits highest{};
  reg largest = splat<A>(-__builtin_inff());
  for (index i = 0; i < n; i += 2 * p::lanes) {
    prefetch_ahead(student + i);
    prefetch_ahead(teacher + i);
    reg score[2][2];
    load_pair(student + i, score[0]);
    load_pair(teacher + i, score[1]);
    // Places 0 and 1 are the student's registers, 2 and 3 the teacher's.
    reg exponent[4], t[4], shifted[4], r[4], e[4];
    for (int u = 0; u < 4; ++u) {
      exponent[u] = exponent_of(score[u / 2][u % 2], multiplier[u / 2], reference[u / 2], center[u / 2]);
      if constexpr (IsCareful) exponent[u] = at_least(far, exponent[u]);
    }
    for (int u = 0; u < 4; ++u) t[u] = at_least(lowest, exponent[u]);
    if constexpr (has_scaling) {
      for (int u = 0; u < 4; ++u) shifted[u] = round_to_integer(t[u]);
      for (int u = 0; u < 4; ++u) r[u] = t[u] - shifted[u];
    } else {
      for (int u = 0; u < 4; ++u) shifted[u] = t[u] + rounding_magic<A>;
      for (int u = 0; u < 4; ++u) r[u] = t[u] - (shifted[u] - rounding_magic<A>);
    }
    shared_polynomial<quick, A, 4>(r, e);
    for (int u = 0; u < 4; ++u) {
      if constexpr (has_scaling) {
        e[u] = scale_by_power(e[u], shifted[u]);
      } else {
        e[u] = (reg)((bits)e[u] + ((bits)shifted[u] << fraction_bits<A>));
        // The bits of positive numbers order as the numbers do, and those of NaN lie above.
        highest = (bits)shifted[u] > highest ? (bits)shifted[u] : highest;
      }
    }
    for (int k = 0; k < 2; ++k) {
      sums.student += e[k];
      sums.teacher += e[2 + k];
      sums.weighted += e[k] * t[k];
      const reg difference = Cross == forward_cross ? exponent[2 + k] - exponent[k] : exponent[k] - exponent[2 + k];
      sums.cross += e[Cross == forward_cross ? 2 + k : k] * difference;
      if constexpr (Cross != mixed_cross && IsCareful) largest = difference > largest ? difference : largest;
      if constexpr (IsSaved) {
        store(saved.first + i + k * p::lanes, e[k]);
        store(saved.second + i + k * p::lanes, Cross == forward_cross ? e[2 + k] : difference);
        if constexpr (Cross == mixed_cross) store(saved.third + i + k * p::lanes, e[2 + k]);
      }
    }
  }
  if constexpr (has_scaling) {
    const reg limit = splat<A>(A(0x1p40));  // 2^highest_power; a comparison that NaN fails
    sums.is_in_range = !is_any(~((sums.student < limit) & (sums.teacher < limit)));
  } else {
    const bits limit = (bits)splat<A>(rounding_magic<A> + highest_power<A>);
    sums.is_in_range = !is_any(highest > limit);
  }
  sums.is_finite = !is_any(sums.cross - sums.cross != 0);
  if constexpr (IsCareful) sums.is_unbounded = is_any(largest > largest_difference<A>);
  return sums;
}

/// Moves one side's reference up to the maximum of a block; the other sums follow by `rescale(down, factor)`. False if
/// the block's maximum is no number that a reference could be.
template <class T, class Rescale>
EMEND_TARGET inline bool raise_pair_reference(typename pair_sums<arithmetic<T>>::side& side, const T* x, index n,
                                              const row_multiplier<arithmetic<T>>& multiplier, const Rescale& rescale) {
  using A = arithmetic<T>;
  const A maximum = block_maximum(x, n);
  if (maximum == -__builtin_inff()) return true;
  const A rounded = maximum * multiplier.high;
  if (!(rounded - rounded == 0)) return false;
  const double exact = exact_reference(rounded, maximum, multiplier);
  if (side.has_reference && !(exact > side.reference)) return true;
  if (side.has_reference) {
    const double down = side.reference - exact, factor = __builtin_exp2(down);
    rescale(down, factor);
    for (double& sum : side.sum) sum *= factor;
  }
  side.reference = exact;
  side.kernel_reference = rounded;
  side.kernel_center = maximum;
  side.has_reference = true;
  return true;
}

/// Apart from the loops: it is rare.
template <class T, pair_cross Cross>
EMEND_TARGET __attribute__((noinline)) void raise_pair_references(
    pair_sums<arithmetic<T>>& row, const T* student, const T* teacher, index n,
    const row_multiplier<arithmetic<T>>& student_multiplier, const row_multiplier<arithmetic<T>>& teacher_multiplier) {
  constexpr int lanes = pair_sums<arithmetic<T>>::lanes;
  const bool is_student_taken =
      raise_pair_reference(row.student, student, n, student_multiplier, [&](double down, double factor) EMEND_TARGET {
        for (int lane = 0; lane < lanes; ++lane) {
          row.weighted[lane] = factor * (row.weighted[lane] + down * row.student.sum[lane]);
          if constexpr (Cross == forward_cross) row.cross[lane] -= down * row.teacher.sum[lane];
          if constexpr (Cross == reverse_cross)
            row.cross[lane] = factor * (row.cross[lane] + down * row.student.sum[lane]);
        }
      });
  const bool is_teacher_taken =
      raise_pair_reference(row.teacher, teacher, n, teacher_multiplier, [&](double down, double factor) EMEND_TARGET {
        for (int lane = 0; lane < lanes; ++lane) {
          if constexpr (Cross == forward_cross)
            row.cross[lane] = factor * (row.cross[lane] + down * row.teacher.sum[lane]);
          if constexpr (Cross == reverse_cross) row.cross[lane] -= down * row.student.sum[lane];
        }
      });
  if (!is_student_taken || !is_teacher_taken) row.needs_reference_path = true;
}

template <class T, pair_cross Cross, bool IsSaved>
EMEND_TARGET inline void take_pair_block(pair_sums<arithmetic<T>>& row, const T* student, const T* teacher, index n,
                                         const row_multiplier<arithmetic<T>>& student_multiplier,
                                         const row_multiplier<arithmetic<T>>& teacher_multiplier,
                                         const saved_pair<arithmetic<T>>& saved) {
  using A = arithmetic<T>;
  const auto raise = [&]() EMEND_TARGET {
    raise_pair_references<T, Cross>(row, student, teacher, n, student_multiplier, teacher_multiplier);
  };
  if (!row.student.has_reference || !row.teacher.has_reference) raise();
  pair_block_sums<A> block =
      sum_pair_block<T, Cross, IsSaved, false>(student, teacher, n, student_multiplier, teacher_multiplier, row, saved);
  if (!block.is_in_range || !block.is_finite) {
    if (!block.is_in_range) raise();
    block = sum_pair_block<T, Cross, IsSaved, true>(student, teacher, n, student_multiplier, teacher_multiplier, row,
                                                    saved);
    if (!block.is_in_range || !block.is_finite || block.is_unbounded) row.needs_reference_path = true;
  }
  // A side that has had nothing but -inf so far has no powers to add.
  if (row.student.has_reference) {
    add_lanes<A>(row.student.sum, block.student);
    add_lanes<A>(row.weighted, block.weighted);
  }
  if (row.teacher.has_reference) add_lanes<A>(row.teacher.sum, block.teacher);
  if (Cross == forward_cross ? row.teacher.has_reference : row.student.has_reference)
    add_lanes<A>(row.cross, block.cross);
}

/// Takes a whole pair of rows into its sums. The order of additions depends on n alone.
template <class T, pair_cross Cross, bool IsSaved>
EMEND_TARGET void accumulate_pair(pair_sums<arithmetic<T>>& row, const T* student, const T* teacher, index n,
                                  const row_multiplier<arithmetic<T>>& student_multiplier,
                                  const row_multiplier<arithmetic<T>>& teacher_multiplier,
                                  const saved_pair<arithmetic<T>>& saved) {
  constexpr index group = 2 * pack<arithmetic<T>>::lanes;
  index block = 0;
  for_each_block<row_block>(student, n, [&](const T* scores, index count, index done, index present) EMEND_TARGET {
    T tail[group];
    const T* beside = teacher + done;
    if (present < count) {
      for (index i = 0; i < count; ++i) tail[i] = i < present ? beside[i] : T(-__builtin_inff());
      beside = tail;
    }
    saved_pair<arithmetic<T>> at{};
    if constexpr (IsSaved)
      at = {saved.first + done, saved.second + done, saved.third + (Cross == mixed_cross ? done : 0), nullptr, nullptr};
    take_pair_block<T, Cross, IsSaved>(row, scores, beside, count, student_multiplier, teacher_multiplier, at);
    if constexpr (IsSaved) {
      saved.student_reference[block] = row.student.has_reference ? row.student.reference : -infinity;
      saved.teacher_reference[block] = row.teacher.has_reference ? row.teacher.reference : -infinity;
      ++block;
    }
  });
}

/// log2 of registers of positive numbers, -126 or less where they are below 2^-126; absolute error 1e-7 in float.
template <class A>
EMEND_TARGET EMEND_INLINE typename pack<A>::reg logarithm(typename pack<A>::reg x) {
  using p = pack<A>;
  using reg = typename p::reg;
  using bits = typename p::bits;
  if constexpr (sizeof(A) == 8) {
    reg y = x;
    for (int i = 0; i < p::lanes; ++i) y[i] = __builtin_log2(x[i] > 0x1p-1022 ? x[i] : 0x1p-1022);
    return y;
  } else {
    x = at_least(splat<A>(0x1p-126f), x);
    // Fraction in [sqrt(1/2), sqrt(2)): near 1 the logarithm does not cancel.
    const bits exponent = ((bits)x + (0x3f800000u - 0x3f3504f3u)) >> 23;
    const reg f = (reg)((bits)x - ((exponent - 127u) << 23)) - 1;
    const reg whole = (reg)(exponent | 0x4b000000u) - (8388608.0f + 127.0f);
    reg y = f * 7.0376836292e-2f - 1.1514610310e-1f;
    y = y * f + 1.1676998740e-1f;
    y = y * f - 1.2420140846e-1f;
    y = y * f + 1.4249322787e-1f;
    y = y * f - 1.6668057665e-1f;
    y = y * f + 2.0000714765e-1f;
    y = y * f - 2.4999993993e-1f;
    y = y * f + 3.3333331174e-1f;
    const reg square = f * f;
    const reg natural = f + (y * f * square - square * A(0.5));
    return whole + natural * A(log2_e);
  }
}

/// f(position, size, block number): the blocks in which accumulate_pair left a row of n scores, in whole register
/// groups.
template <class A, class F>
EMEND_TARGET EMEND_INLINE void for_each_saved_block(index n, F&& f) {
  constexpr index group = 2 * pack<A>::lanes;
  index done = 0, block = 0;
  while (done < n) {
    const index whole = (n - done) / group * group;
    const index size = whole == 0 ? group : whole < row_block ? whole : row_block;
    f(done, size, block++);
    done += size;
  }
}

/// A factor of saved powers that moves them to the row's log_z; 0 where there were none.
inline double saved_scale(double reference, double log2_z) {
  return reference == -infinity ? 0 : __builtin_exp2(reference - log2_z);
}

/// Sums over the mixture b teacher + (1-b) student, from saved powers; `second` becomes log2(p / m).
template <class A>
EMEND_TARGET mixture_sums mix_pair(const saved_pair<A>& saved, index n, double student_log2_z, double teacher_log2_z,
                                   double mixture) {
  using p = pack<A>;
  using reg = typename p::reg;
  constexpr A smallest = sizeof(A) == 4 ? A(0x1p-126) : A(0x1p-1022);
  mixture_sums result;
  const reg student_share = splat<A>(static_cast<A>(1 - mixture)), teacher_share = splat<A>(static_cast<A>(mixture));
  // log2(q / m) is never above this, which is what it is where p is 0, and to the last bit where (1-b) p is nothing
  // beside m. Saved powers near the lowest have too few bits left for log2(p / m), from which the other one follows.
  const reg teacher_most = splat<A>(static_cast<A>(-__builtin_log2(mixture)));
  const reg nothing = splat<A>(static_cast<A>((sizeof(A) == 4 ? -26 : -55) - __builtin_log2(1 - mixture)));
  for_each_saved_block<A>(n, [&](index done, index size, index block) EMEND_TARGET {
    const double of_student = saved.student_reference[block], of_teacher = saved.teacher_reference[block];
    const reg student_scale = splat<A>(static_cast<A>(saved_scale(of_student, student_log2_z)));
    const reg teacher_scale = splat<A>(static_cast<A>(saved_scale(of_teacher, teacher_log2_z)));
    // A side without powers has no offset, and no need of one.
    const bool is_whole = of_student != -infinity && of_teacher != -infinity;
    const reg offset =
        splat<A>(static_cast<A>(is_whole ? (of_student - student_log2_z) - (of_teacher - teacher_log2_z) : 0));
    reg student_sum{}, teacher_sum{};
    for (index i = done; i < done + size; i += 2 * p::lanes) {
      reg student[2], teacher[2], ratio[2];
      for (int k = 0; k < 2; ++k) {
        student[k] = (load(saved.first + i + k * p::lanes) - smallest) * student_scale;
        teacher[k] = (load(saved.third + i + k * p::lanes) - smallest) * teacher_scale;
        ratio[k] = student[k] / at_least(splat<A>(smallest), student[k] * student_share + teacher[k] * teacher_share);
      }
      for (int k = 0; k < 2; ++k) {
        const reg student_log = logarithm<A>(ratio[k]);
        const reg other_log = student_log - (load(saved.second + i + k * p::lanes) + offset);
        const reg teacher_log = ((student_log > nothing) & (other_log < teacher_most)) ? other_log : teacher_most;
        student_sum += student[k] * student_log;
        teacher_sum += teacher[k] * teacher_log;
        store(saved.second + i + k * p::lanes, student_log);
      }
    }
    result.student += sum_lanes<A>(student_sum);
    result.teacher += sum_lanes<A>(teacher_sum);
  });
  return result;
}

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
