#pragma once

#include <algorithm>
#include <cmath>
#include <complex>

#include <lm/matrix.hpp>

namespace lm {

/// Root-mean-square norm of each row.
///   y = x * s * gain,  s = 1 / sqrt(mean(x^2) + 1e-5)
/// x, y: [N, dim]; gain: [dim]; inverse: [N], receives s.
/// Zhang and Sennrich 2019; the epsilon is llama2.c's.
template <class T>
void rms_norm(const_matrix_view<T> x, const_array_view<T> gain, matrix_view<T> y, T* inverse) {
  const Eigen::Index dim = x.cols();
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    const_array_view<T> from(x.data() + i * dim, dim);
    const T scale = T(1) / std::sqrt(from.square().sum() / T(dim) + T(1e-5));
    array_view<T>(y.data() + i * dim, dim) = from * scale * gain;
    inverse[i] = scale;
  }
}

/// Gradient of rms_norm; adds to d_x and d_gain.
///   d_x += s * gain * d_y - x * s^3 / dim * sum(gain * d_y * x),  d_gain += sum over rows of d_y * x * s
template <class T>
void rms_norm_backward(const_matrix_view<T> x, const_array_view<T> gain, const T* inverse, const_matrix_view<T> d_y,
                       matrix_view<T> d_x, array_view<T> d_gain) {
  const Eigen::Index dim = x.cols();
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    const_array_view<T> from(x.data() + i * dim, dim), d_to(d_y.data() + i * dim, dim);
    const T scale = inverse[i];
    const T along = (gain * d_to * from).sum() * scale * scale / T(dim);
    array_view<T>(d_x.data() + i * dim, dim) += scale * (gain * d_to - along * from);
    d_gain += d_to * from * scale;
  }
}

/// SwiGLU: y = g / (1 + exp(-g)) * u, with g, u the left and right half of gate_up. gate_up: [N, 2 H]; y: [N, H].
/// Shazeer 2020.
template <class T>
void swiglu(const_matrix_view<T> gate_up, matrix_view<T> y) {
  const Eigen::Index hidden = y.cols();
  for (Eigen::Index i = 0; i < y.rows(); ++i) {
    const_array_view<T> gate(gate_up.data() + i * 2 * hidden, hidden), up(gate.data() + hidden, hidden);
    array_view<T>(y.data() + i * hidden, hidden) = gate * up / (T(1) + (-gate).exp());
  }
}

/// Gradient of swiglu. d_y: [N, H]; d_gate_up: [N, 2 H], overwritten.
template <class T>
void swiglu_backward(const_matrix_view<T> gate_up, const_matrix_view<T> d_y, matrix_view<T> d_gate_up) {
  const Eigen::Index hidden = d_y.cols();
  for (Eigen::Index i = 0; i < d_y.rows(); ++i) {
    const_array_view<T> gate(gate_up.data() + i * 2 * hidden, hidden), up(gate.data() + hidden, hidden);
    const_array_view<T> d_to(d_y.data() + i * hidden, hidden);
    array_view<T> d_gate(d_gate_up.data() + i * 2 * hidden, hidden), d_up(d_gate.data() + hidden, hidden);
    d_gate = (T(1) + (-gate).exp()).inverse();  // the sigmoid, until the last line
    d_up = d_to * gate * d_gate;
    d_gate = d_to * up * d_gate * (T(1) + gate * (T(1) - d_gate));
  }
}

/// Cosines and sines of the rotary positions, as complex numbers, one row of dim / 2 a position, the heads alike.
///   table(position, pair) = exp(i * position * 10000^(-2 pair / head_size))
/// Su et al. 2021; adjacent features form a pair, as in llama2.c.
template <class T>
class rotary_table {
 public:
  using array = Eigen::Map<Eigen::Array<std::complex<T>, 1, Eigen::Dynamic>>;
  using const_array = Eigen::Map<const Eigen::Array<std::complex<T>, 1, Eigen::Dynamic>>;

  /// Makes the table hold at least `positions` of the model's at most `longest`. It grows with the texts: a model that
  /// says that it holds millions of positions takes no memory for those that no text has.
  void build(int positions, int longest, int dim, int head_size) {
    if (table_.rows() >= positions && table_.cols() == dim / 2 && head_size_ == head_size) return;
    head_size_ = head_size;
    const Eigen::Index rows = std::min<Eigen::Index>(longest, std::max<Eigen::Index>(2 * Eigen::Index{positions}, 64));
    table_.resize(rows, dim / 2);
    for (Eigen::Index position = 0; position < rows; ++position)
      for (int pair = 0; pair < dim / 2; ++pair) {
        const int inside = pair % (head_size / 2);
        const double angle = static_cast<double>(position) * std::pow(10000.0, -2.0 * inside / head_size);
        table_(position, pair) = {static_cast<T>(std::cos(angle)), static_cast<T>(std::sin(angle))};
      }
  }

  Eigen::Index positions() const { return table_.rows(); }

  /// Turns size features (a multiple of head_size) forward, in place.
  void rotate(T* features, Eigen::Index size, int position) const {
    array pairs(reinterpret_cast<std::complex<T>*>(features), size / 2);
    pairs *= const_array(&table_(position, 0), size / 2);
  }

  /// Turns them back; this is also the gradient of rotate.
  void rotate_back(T* features, Eigen::Index size, int position) const {
    array pairs(reinterpret_cast<std::complex<T>*>(features), size / 2);
    pairs *= const_array(&table_(position, 0), size / 2).conjugate();
  }

 private:
  Eigen::Array<std::complex<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> table_;
  int head_size_ = 0;
};

}  // namespace lm
