#pragma once

// One suite for every type that holds scores. The tests are written over tables of doubles and a type `Carrier`, which
// only names how the table is held; what calls the library is compiled once per carrier, in carriers_*.cpp.

#include <emend/carriers/dual.hpp>
#include <emend/core/matrix.hpp>
#include <emend/evaluation/options.hpp>
#include <emend/evaluation/statistics.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "instruction_sets.hpp"

#ifdef EMEND_TEST_EIGEN
#include <Eigen/Core>
#endif
#ifdef EMEND_TEST_XTENSOR
#include <emend/xtensor.hpp>
#endif

namespace suite {

using namespace emend;
using emend::index;  // not the one of <strings.h>

inline constexpr double inf = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Scores of a test, row-major.
struct table {
  index rows = 0, vocab = 0;
  std::vector<double> values = std::vector<double>(static_cast<std::size_t>(rows * vocab));
  double& operator()(index i, index j) { return values[static_cast<std::size_t>(i * vocab + j)]; }
  double operator()(index i, index j) const { return values[static_cast<std::size_t>(i * vocab + j)]; }
};

/// A loss that reads every statistic, each with a coefficient of its own.
struct mixed_loss {
  double log_prob = -1, log_prob_squared = 0, entropy = 0, log_sum_squares = 0, log_z_squared = 0, next_log_z = 0;

  template <class R>
  constexpr R operator()(const token<R>& t) const {
    R total = log_prob * t.log_prob;
    if (log_prob_squared != 0) total = total + log_prob_squared * square(t.log_prob);
    if (entropy != 0) total = total + entropy * t.entropy;
    if (log_sum_squares != 0) total = total + log_sum_squares * t.log_sum_squares;
    if (log_z_squared != 0) total = total + log_z_squared * square(t.log_z);
    if (next_log_z != 0) total = total + next_log_z * t.next_log_z * t.log_prob;
    return total;
  }
  std::array<double, 2> metrics(const token<double>& t) const { return {t.log_prob, t.entropy}; }
};
inline constexpr mixed_loss every_statistic{-1, 0.125, 0.5, 0.25, 0.0625, 0};

enum class way { fresh, into, in_place, value_only };

struct request {
  std::vector<index> targets;
  mixed_loss loss = {};
  evaluation_options options = {};
  way how = way::fresh;
  int threads = 0;  ///< 0: sequential
};

struct outcome {
  double value = 0;
  index evaluated = 0;
  std::array<double, 2> metrics{};
  std::vector<double> gradient;  ///< [rows, vocab], what the storage type holds
};

// ---- carriers
template <class T>
struct plain {};  ///< emend::matrix<T>

/// A score_view over memory in another order; slice: [B, T, V] without the last token of each batch entry.
enum class order { transposed, reversed, spread, slice, padded };
template <class T, order Order>
struct strided {};

struct users {};   ///< a struct of the user's own
struct device {};  ///< a head_scores type
template <class T>
struct linear {};  ///< linear_scores with the identity as weight: its d_hidden is the gradient of the scores
template <class X>
struct eigen_owner {};
template <class Scalar>
struct eigen_map {};  ///< Map with an inner and an outer stride
template <class Scalar>
struct eigen_block {};

using memory_carriers =
    std::tuple<plain<float>, plain<double>, plain<bfloat16>, plain<float16>, strided<float, order::transposed>,
               strided<float, order::reversed>, strided<float, order::spread>, strided<float, order::slice>,
               strided<float, order::padded>, strided<double, order::transposed>, strided<double, order::slice>,
               strided<bfloat16, order::transposed>, strided<float16, order::reversed>, users>;
#ifdef EMEND_TEST_EIGEN
using row_major_xf = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using row_major_half = Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using column_major_bfloat16 = Eigen::Array<Eigen::bfloat16, Eigen::Dynamic, Eigen::Dynamic>;
using eigen_carriers =
    std::tuple<eigen_owner<Eigen::MatrixXf>, eigen_owner<row_major_xf>, eigen_owner<Eigen::ArrayXXd>,
               eigen_owner<row_major_half>, eigen_owner<column_major_bfloat16>, eigen_map<float>, eigen_block<double>>;
#else
using eigen_carriers = std::tuple<>;
#endif
#ifdef EMEND_TEST_XTENSOR
template <class X>
struct xtensor_owner {};
struct xtensor_view {};     ///< a view with strides
struct xtensor_adaptor {};  ///< xt::adapt
using column_major_xtensor = xt::xtensor<double, 2, xt::layout_type::column_major>;
using xtensor_carriers = std::tuple<xtensor_owner<xt::xtensor<float, 2>>, xtensor_owner<column_major_xtensor>,
                                    xtensor_owner<xt::xarray<bfloat16>>, xtensor_view, xtensor_adaptor>;
#else
using xtensor_carriers = std::tuple<>;
#endif
#ifdef EMEND_TEST_DLPACK
template <class T>
struct dlpack {};
using dlpack_carriers = std::tuple<dlpack<float>, dlpack<float16>>;
#else
using dlpack_carriers = std::tuple<>;
#endif
#ifdef EMEND_TEST_LIBTORCH
/// Tensors of LibTorch: as they are made, with tokens contiguous, and as [:, :-1, ::2] of [A, B, T, V].
enum class tensor_form { contiguous, transposed, slice };
template <class T, tensor_form Form>
struct tensor {};
template <class T, tensor_form Form>
struct tensor_chain {};  ///< device_scores: the head by ATen's operations, on the host
template <class T>
struct tensor_product {};  ///< linear_scores of tensors on the host
template <class T>
struct tensor_product_chain {};  ///< linear_scores of device_scores
using libtorch_carriers = std::tuple<tensor<float, tensor_form::contiguous>, tensor<double, tensor_form::transposed>,
                                     tensor<bfloat16, tensor_form::slice>, tensor<float16, tensor_form::contiguous>,
                                     tensor<float, tensor_form::slice>>;
using libtorch_heads =
    std::tuple<tensor_chain<float, tensor_form::contiguous>, tensor_chain<double, tensor_form::slice>,
               tensor_chain<bfloat16, tensor_form::transposed>, tensor_product<float>, tensor_product_chain<float>,
               tensor_product_chain<double>>;
#else
using libtorch_carriers = std::tuple<>;
using libtorch_heads = std::tuple<>;
#endif
using own_heads = std::tuple<device, linear<float>, linear<double>>;

template <class... Tuples>
using concatenate = decltype(std::tuple_cat(std::declval<Tuples>()...));
using in_memory = concatenate<memory_carriers, eigen_carriers, xtensor_carriers, dlpack_carriers, libtorch_carriers>;
using every_carrier = concatenate<in_memory, own_heads, libtorch_heads>;

/// What the tests must know of a carrier.
struct traits {
  bool is_double = false, is_half = false;
  double epsilon = 0;  ///< half a unit in the last place of the stored gradient, relative
  double tiny = 0;     ///< and absolute
  double highest = 0;  ///< largest finite score
  bool takes_infinities = true;
  bool keeps_bits_in_batches = true;  ///< a row's are the same in whatever batch it sits
  index max_vocab = 100000;
};
template <class Carrier>
traits traits_of();

/// The table as the carrier's storage type holds it.
template <class Carrier>
table rounded(table x);

template <class Carrier>
outcome evaluate_on(const table& x, const request& r);
template <class Carrier>
statistics_columns statistics_on(const table& x, const std::vector<index>& targets, const statistics_options& options,
                                 int threads = 0);

// ---- the slow reference, in long double, on its own formulas
struct expectation {
  double value = 0;
  index evaluated = 0;
  std::array<double, 2> metrics{};
  std::vector<double> gradient, per_token;
  std::vector<double> adjoint;  ///< [rows] largest derivative with respect to a statistic of the row
  std::vector<double> log_z, entropy, log_sum_squares, mean_score, log_prob;  ///< [rows]; log_prob by term
  std::vector<index> arg_max;
};
expectation reference(const table& x, const request& r);

// ---- comparisons
void check_value(const traits& carrier, const outcome& got, const expectation& expected);
void check_gradient(const traits& carrier, const table& x, const outcome& got, const expectation& expected);
/// Evaluates on the carrier and compares value, metrics and gradient with the reference.
template <class Carrier>
outcome check_against_reference(const table& x, const request& r) {
  const traits carrier = traits_of<Carrier>();
  const table stored = rounded<Carrier>(x);
  const expectation expected = reference(stored, r);
  const outcome got = evaluate_on<Carrier>(stored, r);
  check_value(carrier, got, expected);
  if (r.how != way::value_only) check_gradient(carrier, stored, got, expected);
  return got;
}
bool same_bits(const double* a, const double* b, index n);

// ---- tables
/// Scores of about the given spread, the same for the same seed.
table random_table(index rows, index vocab, double spread = 3, std::uint64_t seed = 1);
std::vector<index> random_targets(index terms, index vocab, std::uint64_t seed = 2);

inline const std::vector<instruction_set> every_instruction_set = supported_instruction_sets();

}  // namespace suite
