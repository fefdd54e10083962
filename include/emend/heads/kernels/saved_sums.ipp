// The sums of a row whose powers are kept, and the gradient of the row before on the way. Part of kernels.ipp.

/// As accumulate_row over a whole row, and keeps the powers. The gradient of `pending`, a row of the same length whose
/// output starts on a cache line, is written on the way, past the cache.
template <class T, int PendingTerms>
EMEND_TARGET void accumulate_and_save_row(row_sums<arithmetic<T>>& row, const T* x, index n,
                                          const row_multiplier<arithmetic<T>>& multiplier,
                                          const saved_powers<arithmetic<T>>& saved,
                                          const saved_row<T, arithmetic<T>>& pending) {
  using A = arithmetic<T>;
  double* reference = saved.reference;
  const double* pending_reference = pending.powers.reference;
  for_each_block<saved_block<T>>(x, n, [&](const T* block, index count, index done, index present) EMEND_TARGET {
    pending_block<T> before{};
    if constexpr (PendingTerms >= 0)
      before = {pending.x + done, pending.powers.power + done, pending.out + done,
                block_registers<T>(pending.coefficients, *pending_reference++, pending.log2_z)};
    if (present == count) {
      take_block<T, 0, true, PendingTerms>(row, block, count, done, multiplier, saved.power + done, &before);
    } else {
      A powers[2 * pack<A>::lanes];
      take_block<T, 0, true>(row, block, count, done, multiplier, powers);
      for (index i = 0; i < present; ++i) saved.power[done + i] = powers[i];
      if constexpr (PendingTerms >= 0)
        write_saved_block<T, PendingTerms>(before.x, before.power, before.out, present, before.g, true);
    }
    // A block of nothing but -inf before any reference: its gradient is 0 whatever log_z turns out to be.
    *reference++ = row.has_reference ? row.reference : -infinity;
  });
}

/// The kernels that keep powers, where the arithmetic type is the storage type: 16-bit rows would be outweighed by
/// them.
template <class T, int PendingTerms>
constexpr auto saving_kernel() {
  using A = arithmetic<T>;
  using kernel =
      void (*)(row_sums<A>&, const T*, index, const row_multiplier<A>&, const saved_powers<A>&, const saved_row<T, A>&);
  // A linear term reads the pending row's scores again, and with them the working set leaves the cache: slower than
  // apart.
  if constexpr (!keeps_powers || !std::is_same_v<T, A> || PendingTerms > 0 || (PendingTerms == 0 && !can_stream))
    return kernel{nullptr};
  else
    return kernel{accumulate_and_save_row<T, PendingTerms>};
}
