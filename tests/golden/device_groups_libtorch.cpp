// The heads by LibTorch's operations, as on a device without kernels of our own: statistics and losses of all tokens at
// once.

#include "tensors_libtorch.hpp"

#include "other_device.hpp"

#include <emend/libtorch/loss.hpp>
#include <emend/libtorch/head/statistics.hpp>

namespace golden {
namespace {

at::Tensor ids_of(const vector_case& c, emend::index rows) {
  const at::Tensor ids = at::zeros({rows}, at::TensorOptions().dtype(at::kLong));
  if (!c.has_input("labels")) return ids;  // the group has none: any target will do
  const auto given = c.input("labels").ids();
  std::copy(given.begin(), given.end(), static_cast<std::int64_t*>(ids.mutable_data_ptr()));
  return ids;
}
/// sum_i (a_i log_prob_i + b_i entropy_i + c_i sum p^2_i)
struct weighted_statistics {
  emend::column of_log_prob = {}, of_entropy = {}, of_squares = {};
  template <class R>
  R operator()(const emend::token<R>& t) const {
    R value = 0 * t.log_z;
    if (!of_log_prob.empty()) value += t(of_log_prob) * t.log_prob;
    if (!of_entropy.empty()) value += t(of_entropy) * t.entropy;
    if (!of_squares.empty()) value += t(of_squares) * emend::exp(t.log_sum_squares);
    return value;
  }
};

struct device_results {
  emend::statistics_tensors columns;
  at::Tensor gradient;
};
device_results run_scores(const vector_case& c, const weighted_statistics& loss) {
  const at::Tensor x = tensor_of(c.input("logits"), c.is_double()), ids = ids_of(c, x.size(0));
  emend::loss(loss, emend::device_scores{there(x)}, ids, {.with_log_sum_squares = !loss.of_squares.empty()}).backward();
  return {emend::detail::statistics_on_device({there(x.detach())}, ids, {.with_log_sum_squares = true}), x.grad()};
}

std::string log_prob(vector_case& c) {
  const std::vector<double> cotangent = c.input("cotangent").data;
  const auto result = run_scores(c, {.of_log_prob = cotangent});
  c.expect("logprob", numbers_of(result.columns.log_prob));
  c.expect_gradient("logits", numbers_of(result.gradient));
  return {};
}
std::string entropy(vector_case& c) {
  const std::vector<double> cotangent = c.input("cotangent").data;
  const auto result = run_scores(c, {.of_entropy = cotangent});
  c.expect("entropy", numbers_of(result.columns.entropy));
  c.expect_gradient("logits", numbers_of(result.gradient));
  return {};
}
std::string sum_pi_squared(vector_case& c) {
  const std::vector<double> cotangent = c.input("cotangent").data;
  const auto result = run_scores(c, {.of_squares = cotangent});
  c.expect("sum_pi_squared", numbers_of(result.columns.log_sum_squares.exp()));
  c.expect_cancelling_gradient("logits", numbers_of(result.gradient));
  return {};
}
std::string log_prob_and_entropy(vector_case& c) {
  const std::vector<double> of_log_prob = c.input("cotangent_logprob").data,
                            of_entropy = c.input("cotangent_entropy").data;
  const auto result = run_scores(c, {.of_log_prob = of_log_prob, .of_entropy = of_entropy});
  c.expect("logprob", numbers_of(result.columns.log_prob));
  c.expect("entropy", numbers_of(result.columns.entropy));
  c.expect_gradient("logits", numbers_of(result.gradient));
  return {};
}
std::string fused_linear(vector_case& c) {
  const at::Tensor hidden = tensor_of(c.input("hidden"), c.is_double()),
                   weight = tensor_of(c.input("weight"), c.is_double()), ids = ids_of(c, hidden.size(0));
  const std::vector<double> cotangent = c.input("cotangent").data;
  const emend::score_transform transform{
      .temperature = c.parameter("temperature"),
      .soft_cap = c.has_parameter("final_logit_softcap") ? c.parameter("final_logit_softcap") : 0};
  emend::loss(weighted_statistics{.of_log_prob = cotangent},
              emend::linear_scores{emend::device_scores{there(hidden)}, emend::device_scores{there(weight)}}, ids,
              {.transform = transform})
      .backward();
  c.expect_gradient("hidden", numbers_of(hidden.grad()));
  c.expect_gradient("weight", numbers_of(weight.grad()));
  return {};
}

const known_group known[] = {
    {"logprob", log_prob, "libtorch"},
    {"entropy", entropy, "libtorch"},
    {"sum_pi_squared", sum_pi_squared, "libtorch"},
    {"logprob_and_entropy", log_prob_and_entropy, "libtorch"},
    {"fused_linear_logprob", fused_linear, "libtorch"},
};

}  // namespace
}  // namespace golden
