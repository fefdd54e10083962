// The sums of a mixture of student and teacher. Part of kernels.ipp.

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
