#include "token_case.hpp"

namespace golden {
namespace {

/// The peer's bounds, where it bounds this kind of estimate.
emend::kl_clamps clamps_of(const vector_case& c) {
  return c.has_parameter("input_clamp") || c.has_parameter("output_clamp") ? convention_of(c).kl.clamps
                                                                           : emend::kl_clamps{};
}

std::string estimate(vector_case& c) {
  if (c.has_nan()) return "the peer's gradient is 0 * inf beyond the output bound; ours is 0";
  const auto log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data,
             cotangent = c.input("cotangent").data;
  const emend::kl_kind kind = kl_kind_of(c.text("kind"));
  std::vector<double> value;
  for (std::size_t i = 0; i < log_prob.size(); ++i)
    value.push_back(emend::kl_estimate(kind, log_prob[i] - reference[i], clamps_of(c)));
  const emend::number_evaluation sum = emend::evaluate_log_probs(
      [&]<class R>(const emend::token<R>& t) {
        return emend::kl_estimate(kind, R(t.log_prob - t(emend::column(reference))), clamps_of(c));
      },
      log_prob, {.weight = cotangent});
  c.expect("kl", value);
  c.expect_gradient("log_prob", sum.gradient);
  return {};
}

std::string estimate_all(vector_case& c) {
  const auto log_prob = c.input("log_prob").data, reference = c.input("ref_log_prob").data;
  const double ratio = c.input("ratio").data[0];
  std::vector<double> value;
  for (const emend::kl_kind kind : {emend::kl_kind::k1, emend::kl_kind::k2, emend::kl_kind::k3, emend::kl_kind::k1})
    for (std::size_t i = 0; i < log_prob.size(); ++i)
      value.push_back(emend::kl_estimate(kind, log_prob[i] - reference[i], clamps_of(c)));
  for (std::size_t i = 3 * log_prob.size(); i < value.size(); ++i) value[i] *= ratio;
  c.expect("kl", value);
  return {};
}

const known_group known[] = {
    {"kl_estimate", estimate},
    {"kl_estimate_all", estimate_all},
};

}  // namespace
}  // namespace golden
