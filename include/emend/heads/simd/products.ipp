// Matrix products for the linear head. Part of kernels.ipp.

/// c += a b for one panel: a packed as [depth][gemm_rows], b packed as [depth][gemm_columns], into `rows` x `columns` of c.
/// Every element adds its depth products in order, so that its bits do not depend on where the panel starts.
template <class A>
EMEND_TARGET inline void multiply_panel(const A* a, const A* b, index depth, A* c, index c_stride, index rows, index columns) {
  using p = pack<A>;
  using reg = typename p::reg;
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
  if (rows == gemm_rows && columns == 2 * p::lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < gemm_rows; ++i) {
      store(c + i * c_stride, load(c + i * c_stride) + total[i][0]);
      store(c + i * c_stride + p::lanes, load(c + i * c_stride + p::lanes) + total[i][1]);
    }
    return;
  }
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < columns; ++j) c[i * c_stride + j] += total[i][j / p::lanes][j % p::lanes];
}

/// c[m, n] += a[m, depth] b[depth, n]; a and b with any strides, c with contiguous rows. `buffer` holds the packed panels.
template <class A>
EMEND_TARGET void multiply_add(const A* a, index a_row, index a_depth, const A* b, index b_depth, index b_column, A* c,
                               index c_stride, index m, index n, index depth, std::vector<A>& buffer) {
  constexpr index rows = gemm_rows, columns = 2 * pack<A>::lanes, depth_block = 256, row_panels = 16, column_panels = 32;
  buffer.resize(static_cast<std::size_t>(depth_block * (rows * row_panels + columns * column_panels)));
  A* const packed_a = buffer.data();
  A* const packed_b = packed_a + depth_block * rows * row_panels;
  for (index j0 = 0; j0 < n; j0 += columns * column_panels) {
    const index width = n - j0 < columns * column_panels ? n - j0 : columns * column_panels;
    for (index k0 = 0; k0 < depth; k0 += depth_block) {
      const index deep = depth - k0 < depth_block ? depth - k0 : depth_block;
      for (index j = 0; j < width; j += columns)
        for (index k = 0; k < deep; ++k)
          for (index l = 0; l < columns; ++l)
            packed_b[(j / columns * deep + k) * columns + l] =
                j + l < width ? b[(k0 + k) * b_depth + (j0 + j + l) * b_column] : A(0);
      for (index i0 = 0; i0 < m; i0 += rows * row_panels) {
        const index height = m - i0 < rows * row_panels ? m - i0 : rows * row_panels;
        for (index i = 0; i < height; i += rows)
          for (index k = 0; k < deep; ++k)
            for (index l = 0; l < rows; ++l)
              packed_a[(i / rows * deep + k) * rows + l] =
                  i + l < height ? a[(i0 + i + l) * a_row + (k0 + k) * a_depth] : A(0);
        for (index j = 0; j < width; j += columns)
          for (index i = 0; i < height; i += rows)
            multiply_panel<A>(packed_a + i / rows * deep * rows, packed_b + j / columns * deep * columns, deep,
                              c + (i0 + i) * c_stride + j0 + j, c_stride, height - i < rows ? height - i : rows,
                              width - j < columns ? width - j : columns);
      }
    }
  }
}
