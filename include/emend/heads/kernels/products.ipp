// Matrix products for the linear head. Part of kernels.ipp.

/// c = a b for one panel, or c += a b: a packed as [depth][gemm_rows], b packed as [depth][gemm_columns], into `rows` x
/// `columns` of c. Every element adds its depth products in order, so that its bits do not depend on where the panel
/// starts.
template <class A>
EMEND_TARGET inline void multiply_panel(const A* a, const A* b, index depth, A* c, index c_stride, bool is_added,
                                        index rows, index columns) {
  using p = pack<A>;
  using reg = typename p::reg;
  const bool is_whole = rows == gemm_rows && columns == 2 * p::lanes;
  if (is_whole && is_added)
    for (int i = 0; i < gemm_rows; ++i) {
      __builtin_prefetch(c + i * c_stride, 1);
      __builtin_prefetch(c + i * c_stride + p::lanes, 1);
    }
  reg total[gemm_rows][2] = {};
  for (index k = 0; k < depth; ++k) {
    const reg first = load(b + k * 2 * p::lanes), second = load(b + k * 2 * p::lanes + p::lanes);
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      const reg x = splat<A>(a[k * gemm_rows + i]);
      total[i][0] += x * first;
      total[i][1] += x * second;
    }
  }
  if (is_whole && !is_added) {
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      store(c + i * c_stride, total[i][0]);
      store(c + i * c_stride + p::lanes, total[i][1]);
    }
    return;
  }
  if (is_whole) {
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      store(c + i * c_stride, load(c + i * c_stride) + total[i][0]);
      store(c + i * c_stride + p::lanes, load(c + i * c_stride + p::lanes) + total[i][1]);
    }
    return;
  }
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < columns; ++j) {
      A& to = c[i * c_stride + j];
      to = (is_added ? to : A(0)) + total[i][j / p::lanes][j % p::lanes];
    }
}

/// out[k * Width + l] = x[l * across + k * along] for l < Width and k < depth; asks for the panel after it.
template <class A, index Width>
EMEND_TARGET EMEND_INLINE void pack_panel(const A* x, index across, index along, index depth, A* out) {
  typedef A four __attribute__((vector_size(4 * sizeof(A)), aligned(sizeof(A)), may_alias));
  constexpr index whole = Width / 4 * 4, line = 64 / static_cast<index>(sizeof(A));
  const auto prefetch_next = [&](index l, index k) EMEND_TARGET EMEND_INLINE_LAMBDA {
    const index place = (Width + l) * across + k * along;
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(x) +
                                                     static_cast<std::uintptr_t>(place) * sizeof(A)));
  };
  const auto pack_one_by_one = [&](index k, index from) EMEND_TARGET EMEND_INLINE_LAMBDA {
    for (index l = from; l < Width; ++l) out[k * Width + l] = x[l * across + k * along];
  };
  index k = 0;
  if (across == 1) {
    for (; k < depth; ++k) {
      for (index l = 0; l < Width; l += line) prefetch_next(l, k);
      if constexpr (Width % pack<A>::lanes == 0) {
        for (index l = 0; l < Width; l += pack<A>::lanes) store(out + k * Width + l, load(x + k * along + l));
      } else {
        for (index l = 0; l < whole; l += 4)
          *reinterpret_cast<four*>(out + k * Width + l) = *reinterpret_cast<const four*>(x + k * along + l);
        pack_one_by_one(k, whole);
      }
    }
  } else if (along == 1) {
    for (; k + 4 <= depth; k += 4) {
      if (k % line == 0)
        for (index l = 0; l < Width; ++l) prefetch_next(l, k);
      for (index l = 0; l < whole; l += 4) {
        const A* const from = x + l * across + k;
        const auto row = [&](index i) EMEND_TARGET EMEND_INLINE_LAMBDA {
          return reinterpret_cast<const four*>(from + i * across);
        };
        const four a = *row(0), b = *row(1), c = *row(2), d = *row(3);
        const four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
        const four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        A* const to = out + k * Width + l;
        *reinterpret_cast<four*>(to) = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
        *reinterpret_cast<four*>(to + Width) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
        *reinterpret_cast<four*>(to + 2 * Width) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
        *reinterpret_cast<four*>(to + 3 * Width) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
      }
      for (index i = 0; i < 4; ++i) pack_one_by_one(k + i, whole);
    }
  }
  for (; k < depth; ++k) pack_one_by_one(k, 0);
}

/// The same for `size` lines, a panel of `Width` after the other, the last one filled up with zeros.
template <class A, index Width>
EMEND_TARGET void pack_panels(const A* x, index across, index along, index size, index depth, A* out) {
  const index whole = size / Width * Width;
  for (index first = 0; first < whole; first += Width)
    pack_panel<A, Width>(x + first * across, across, along, depth, out + first * depth);
  if (whole == size) return;
  for (index k = 0; k < depth; ++k)
    for (index l = 0; l < Width; ++l)
      out[whole * depth + k * Width + l] = whole + l < size ? x[(whole + l) * across + k * along] : A(0);
}

/// c[m, n] = a[m, depth] b[depth, n], or with is_added c += a b; a and b with any strides, c with contiguous rows.
/// `buffer` holds the packed panels: a block of b that stays in the second cache, and the rows of a that pass it, one
/// panel after the other in the first.
template <class A>
EMEND_TARGET void multiply_add(const A* a, index a_row, index a_depth, const A* b, index b_depth, index b_column, A* c,
                               index c_stride, bool is_added, index m, index n, index depth, std::vector<A>& buffer) {
  constexpr index rows = gemm_rows, columns = 2 * pack<A>::lanes, line = 64 / static_cast<index>(sizeof(A));
  constexpr index most_deep = 1536 / static_cast<index>(sizeof(A)), row_block = 504 / rows * rows, column_block = 384;
  static_assert(column_block % columns == 0);
  const auto up_to = [](index size, index block, index unit) {
    return size < block ? (size + unit - 1) / unit * unit : block;
  };
  if (depth == 0 && !is_added)
    for (index i = 0; i < m; ++i)
      for (index j = 0; j < n; ++j) c[i * c_stride + j] = 0;
  // Equal shares: a short last one would read and write all of c for little.
  const index shares = (depth + most_deep - 1) / most_deep,
              depth_block = shares == 0 ? 0 : (depth + shares - 1) / shares;
  const index wide = up_to(n, column_block, columns), high = up_to(m, row_block, rows);
  buffer.resize(static_cast<std::size_t>(depth_block * (wide + high) + line));
  A* const packed_b = buffer.data() + elements_to_line(buffer.data());
  A* const packed_a = packed_b + depth_block * wide;
  for (index k0 = 0; k0 < depth; k0 += depth_block) {
    const index deep = depth - k0 < depth_block ? depth - k0 : depth_block;
    for (index i0 = 0; i0 < m; i0 += row_block) {
      const index height = m - i0 < row_block ? m - i0 : row_block;
      pack_panels<A, rows>(a + i0 * a_row + k0 * a_depth, a_row, a_depth, height, deep, packed_a);
      for (index j0 = 0; j0 < n; j0 += column_block) {
        const index width = n - j0 < column_block ? n - j0 : column_block;
        pack_panels<A, columns>(b + k0 * b_depth + j0 * b_column, b_column, b_depth, width, deep, packed_b);
        for (index i = 0; i < height; i += rows)
          for (index j = 0; j < width; j += columns)
            multiply_panel<A>(packed_a + i * deep, packed_b + j * deep, deep, c + (i0 + i) * c_stride + j0 + j,
                              c_stride, is_added || k0 > 0, height - i < rows ? height - i : rows,
                              width - j < columns ? width - j : columns);
      }
    }
  }
}
