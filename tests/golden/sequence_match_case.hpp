#pragma once

#include "vector_case.hpp"

namespace golden {

/// f(divergence) with the case's divergence continued beyond its domain.
template <class F>
void with_divergence(const vector_case& c, F&& f) {
  using namespace emend::divergences;
  const double epsilon = c.has_parameter("domain_eps") ? c.parameter("domain_eps") : 1;
  const auto go = [&]<class D>(const D& d) { f(emend::continued<D>{d, epsilon}); };
  const std::string name = c.text("divergence");
  const bool is_clipped = c.is_true("clip_at_maximum");
  if (name == "identity")
    go(identity{});
  else if (name == "forward_kl")
    go(forward_kl{});
  else if (name == "forward_kl_raw")
    go(forward_kl_raw{});
  else if (name == "reverse_kl")
    go(reverse_kl{});
  else if (name == "reverse_kl_raw")
    go(reverse_kl_raw{});
  else if (name == "jensen_shannon")
    go(jensen_shannon{});
  else if (name == "squared_hellinger")
    go(squared_hellinger{});
  else if (name == "pearson_chi2")
    go(pearson_chi2{is_clipped});
  else if (name == "neyman_chi2")
    go(neyman_chi2{});
  else if (name == "mixture_chi2")
    go(mixture_chi2{is_clipped});
  else if (name == "total_variation")
    go(total_variation{c.parameter("tv_bound"), c.parameter("tv_penalty")});
  else
    throw std::runtime_error("a divergence of no known name: " + name);
}

/// f(objective, columns, options) of a case of sequence_match/objective.
template <class F>
void with_objective(const vector_case& c, F&& f) {
  const auto ids = [&](const char* name) { return c.input(name).ids(); };
  const auto offsets = ids("offsets"), at = ids("at"), label = ids("label");
  const std::vector<double> is_rollout = c.input("is_model").data, is_complete = c.input("complete").data,
                            is_at_floor = c.input("row_floor").data;
  const emend::trajectory_columns columns{offsets, at, label, is_rollout, is_complete, is_at_floor};
  const emend::trajectory_options options{.data_normaliser = c.parameter("data_normaliser"),
                                          .rollout_normaliser = c.parameter("model_normaliser")};
  with_divergence(c, [&]<class D>(const D& divergence) {
    f(
        emend::sequence_match_objective<D>{
            .divergence = divergence,
            .alpha = c.parameter("alpha"),
            .gamma = c.parameter("gamma"),
            .data_value_weight = c.parameter("data_value_weight"),
            .form = c.has_text("value_form", "summed") ? emend::value_form::summed : emend::value_form::telescoped,
            .weighting =
                c.has_text("weighting", "uniform") ? emend::step_weighting::uniform : emend::step_weighting::discounted,
            .terminal = c.has_text("terminal_value", "eos_logit") ? emend::terminal_value::end_score
                        : c.has_text("terminal_value", "zero")    ? emend::terminal_value::zero
                                                                  : emend::terminal_value::log_z,
            .end_id = static_cast<emend::index>(c.parameter("eos_id")),
            .masked_at_floor =
                c.is_true("mask_backspace_at_floor") ? static_cast<emend::index>(c.parameter("bk_id")) : -1,
            .mixture_coefficient = c.is_true("mixture_penalty") ? c.parameter("mixture_coef") : 0,
            .has_mixture_tail = c.is_true("mixture_tail")},
        columns, options);
  });
}

/// Holds a result to its case; gradient: of the loss, which is less the objective.
template <class T>
void expect_objective(vector_case& c, const emend::trajectory_value& result, std::vector<T> gradient) {
  const double bound = 1e-11;  // that of the file for this group
  c.expect_near("objective", std::vector<double>{result.objective()}, bound);
  c.expect_near("phi_term", std::vector<double>{result.data_term}, bound);
  c.expect_near("value_term", std::vector<double>{result.value_term}, bound);
  c.expect_near("penalty_term", std::vector<double>{result.rollout_term}, bound);
  c.expect_exactly("phi_count", {result.steps});
  c.expect_exactly("phi_outside", {result.outside});
  for (T& g : gradient) g = -g;
  c.expect_near("logits", gradient, bound, true);
}

}  // namespace golden
