#include "vector_case.hpp"

namespace golden {
namespace {

/// Statistics of a [.., V] block, and the gradient of sum_i (a_i log_prob_i + b_i entropy_i + c_i sum p^2_i).
template <class T>
struct score_results {
  emend::statistics_columns columns;
  score_block<T> gradient;
};

template <class T>
score_results<T> run_scores(const vector_case& c, emend::column of_log_prob, emend::column of_entropy,
                            emend::column of_squares) {
  const array logits = c.input("logits");
  const score_block<T> scores = logits.scores<T>();
  std::vector<emend::index> labels(static_cast<std::size_t>(scores.rows()), 0);
  try {
    labels = c.input("labels").ids();
  } catch (const json::exception&) {
    // The group has no labels: any target will do.
  }
  const auto loss = [&](const auto& t) {
    auto value = 0 * t.log_z;
    if (!of_log_prob.empty()) value += t(of_log_prob) * t.log_prob;
    if (!of_entropy.empty()) value += t(of_entropy) * t.entropy;
    if (!of_squares.empty()) value += t(of_squares) * emend::exp(t.log_sum_squares);
    return value;
  };
  return {emend::statistics(scores, labels, {.with_log_sum_squares = true}),
          emend::evaluate(loss, scores, labels, {.with_log_sum_squares = !of_squares.empty()}).gradient};
}

std::string log_prob(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const std::vector<double> cotangent = c.input("cotangent").data;
    const auto result = run_scores<T>(c, cotangent, {}, {});
    c.expect("logprob", result.columns.log_prob);
    c.expect_gradient("logits", result.gradient);
  });
  return {};
}

std::string entropy(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const std::vector<double> cotangent = c.input("cotangent").data;
    const auto result = run_scores<T>(c, {}, cotangent, {});
    c.expect("entropy", result.columns.entropy);
    c.expect_gradient("logits", result.gradient);
  });
  return {};
}

std::string entropy_mean(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const std::vector<double> mask = c.input("mask").data;
    const auto result = run_scores<T>(c, {}, {}, {});
    double all = 0, masked = 0, count = 0;
    for (std::size_t i = 0; i < mask.size(); ++i) {
      all += result.columns.entropy[i];
      masked += mask[i] * result.columns.entropy[i];
      count += mask[i];
    }
    c.expect("entropy", all / static_cast<double>(mask.size()));
    c.expect("entropy_masked", masked / count);
  });
  return {};
}

std::string sum_pi_squared(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const std::vector<double> cotangent = c.input("cotangent").data;
    const auto result = run_scores<T>(c, {}, {}, cotangent);
    std::vector<double> squares;
    for (double x : result.columns.log_sum_squares) squares.push_back(emend::exp(x));
    c.expect("sum_pi_squared", squares);
    // p (p - sum of squares) of a certain row: verl/0089 is 1.1e-6 off in float, of entries up to 0.25.
    const std::vector<T> gradient = result.gradient.values();
    c.expect_cancelling_gradient("logits", {gradient.begin(), gradient.end()});
  });
  return {};
}

std::string log_prob_and_entropy(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const std::vector<double> of_log_prob = c.input("cotangent_logprob").data,
                              of_entropy = c.input("cotangent_entropy").data;
    const auto result = run_scores<T>(c, of_log_prob, of_entropy, {});
    c.expect("logprob", result.columns.log_prob);
    c.expect("entropy", result.columns.entropy);
    c.expect_gradient("logits", result.gradient);
  });
  return {};
}

std::string fused_linear(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto hidden = c.input("hidden").scores<T>(), weight = c.input("weight").scores<T>();
    const auto labels = c.input("labels").ids();
    const std::vector<double> cotangent = c.input("cotangent").data;
    const emend::linear_scores scores{hidden, weight};
    const emend::score_transform transform{
        .temperature = c.parameter("temperature"),
        .soft_cap = c.has_parameter("final_logit_softcap") ? c.parameter("final_logit_softcap") : 0};
    const auto columns = emend::statistics(scores, labels, {.transform = transform});
    c.expect("logprob", columns.log_prob);
    c.expect("entropy", columns.entropy);
    const auto result = emend::evaluate([&](const auto& t) { return t(cotangent) * t.log_prob; }, scores, labels,
                                        {.transform = transform});
    c.expect_gradient("hidden", result.gradient.d_hidden);
    c.expect_gradient("weight", result.gradient.d_weight);
  });
  return {};
}

const known_group known[] = {
    {"logprob", log_prob},
    {"entropy", entropy},
    {"entropy_mean", entropy_mean},
    {"sum_pi_squared", sum_pi_squared},
    {"logprob_and_entropy", log_prob_and_entropy},
    {"fused_linear_logprob", fused_linear},
};

}  // namespace
}  // namespace golden
