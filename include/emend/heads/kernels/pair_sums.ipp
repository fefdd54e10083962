// The sums of two rows with contiguous vocabulary, a student's and a teacher's, for their divergence. Part of
// kernels.ipp.

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
