#pragma once

#include <common/level_chart.hpp>
#include <sequence_match/experiment.hpp>
#include <sequence_match/tabular.hpp>

namespace sequence_match {

namespace detail {

/// One of the objectives, over data without and with errors.
struct tabular_arm {
  std::string name;
  loss_kind loss;
  bool has_backspace;
  emend::rollout_start start;
  double noise;
};

inline std::vector<tabular_arm> tabular_arms(const tabular_options& o) {
  using enum loss_kind;
  std::vector<tabular_arm> arms;
  const auto add = [&](const std::string& name, loss_kind loss, bool has_backspace, double noise,
                       emend::rollout_start start = emend::rollout_start::action) {
    arms.push_back({name + (noise > 0 ? ", with errors" : ""), loss, has_backspace, start, noise});
  };
  add("MLE, no backspace", likelihood, false, 0);
  add("chi2 mixture, no backspace", chi2_mixture, false, 0);
  for (const double noise : {0.0, o.noise}) {
    for (const loss_kind loss :
         {cloning, forward_kl, reverse_kl, jensen_shannon, hellinger, chi2, chi2_mixture, least_squares})
      add(loss == cloning && noise == 0 ? "MLE" : name_of(loss), loss, true, noise);
    add("least squares, from V", least_squares, true, noise, emend::rollout_start::value);
  }
  return arms;
}

inline std::optional<tabular_solution> solve(const tabular_arm& a, const tabular_options& o,
                                             const common::report_progress& on_step) {
  const markov_source source = small_source();
  if (a.start == emend::rollout_start::value)
    return solve_table(source, emend::least_squares_objective{.alpha = o.alpha, .gamma = o.gamma, .start = a.start},
                       a.has_backspace, true, a.noise, o, on_step);
  return with_objective(a.loss, o.alpha, o.gamma, [&](const auto& objective) {
    return solve_table(source, objective, a.has_backspace, has_rollouts(a.loss), a.noise, o, on_step);
  });
}

}  // namespace detail

/// A small source, a model that slips, and every objective at its maximum.
inline experiment tabular_experiment(const tabular_options& o) {
  const auto arms = std::make_shared<std::vector<detail::tabular_arm>>(detail::tabular_arms(o));
  experiment e;
  e.name = "tabular";
  e.fingerprint = {{"program", "sequence_match"},
                   {"task", "tabular"},
                   {"slip", o.slip},
                   {"noise", o.noise},
                   {"alpha", o.alpha},
                   {"gamma", o.gamma},
                   {"ridge", o.ridge},
                   {"steps", o.steps}};
  for (const detail::tabular_arm& a : *arms)
    e.jobs.push_back(
        {a.name, [a, o](const common::report_progress& on_step) -> nlohmann::json {
           const auto solved = detail::solve(a, o, on_step);
           if (!solved) return nullptr;
           const markov_source source = small_source();
           const auto erasing = [&](int text) {
             return solved->policy[static_cast<std::size_t>(text * (source.letters + 2) + source.letters + 1)];
           };
           const int slipped = source.child(0, 2), twice = source.child(slipped, 2);
           return {{"total_variation", solved->distances.total_variation},
                   {"mixture_chi2", solved->distances.mixture_chi2},
                   {"forward_kl", solved->distances.forward_kl},
                   {"impossible", solved->distances.impossible},
                   {"erased", solved->written.erased},
                   {"unfinished", solved->written.unfinished},
                   {"slope", solved->slope},
                   {"erases_slip", erasing(slipped)},
                   {"erases_two", erasing(twice)}};
         }});
  e.in_words = [](const std::string& name, const nlohmann::json& r) {
    return common::padded_to(36, name) + common::format("distance %.4f   impossible texts %5.2f %%",
                                                        r.at("mixture_chi2").get<double>(),
                                                        100 * r.at("impossible").get<double>());
  };
  e.print = [arms, o](common::terminal& out, const common::result_lines& results) {
    out.line();
    out.line(out.strong("A Markov source, solved exactly") +
             out.faint(common::format("   the model slips at %g of its actions; alpha %g, gamma %g", o.slip, o.alpha,
                                      o.gamma)));
    out.line(
        out.faint("                                      chi2 to mixture  total variation  KL(data||model)  impossible "
                  " erased a text  erases c  erases cc"));
    for (const detail::tabular_arm& a : *arms)
      if (const nlohmann::json* r = results.find(a.name)) {
        const auto of = [&](const char* key) { return r->at(key).get<double>(); };
        out.line("  " + common::padded_to(36, a.name) +
                 common::format("%15.4f %16.4f %16.4f %9.2f %% %14.3f %9.3f %10.3f", of("mixture_chi2"),
                                of("total_variation"), of("forward_kl"), 100 * of("impossible"), of("erased"),
                                of("erases_slip"), of("erases_two")));
      }
  };
  e.csv = [arms](const common::result_lines& results) {
    std::string csv;
    for (const detail::tabular_arm& a : *arms)
      if (const nlohmann::json* r = results.find(a.name))
        for (const char* key : {"mixture_chi2", "total_variation", "forward_kl", "impossible", "erased", "unfinished",
                                "erases_slip", "erases_two", "slope"})
          csv +=
              csv_line("tabular", "\"" + a.name + "\"", a.noise > 0 ? "random" : "none", a.noise, "", key, r->at(key));
    return csv;
  };
  e.page = [arms, o](const common::result_lines& results) {
    std::string rows;
    double widest = 0;
    for (const detail::tabular_arm& a : *arms)
      if (const nlohmann::json* r = results.find(a.name))
        widest = std::max(widest, r->at("mixture_chi2").get<double>());
    for (const detail::tabular_arm& a : *arms)
      if (const nlohmann::json* r = results.find(a.name)) {
        const auto of = [&](const char* key) { return r->at(key).get<double>(); };
        rows += "<tr><td style=\"white-space:nowrap\">" + common::escaped(a.name) +
                common::format(
                    "</td><td><svg viewBox=\"0 0 120 12\" style=\"min-width:5rem;width:5rem;margin:.3rem 0 0\"><rect "
                    "width=\"%.1f\" height=\"12\" rx=\"2\" "
                    "fill=\"%s\"/></svg></td>",
                    120 * of("mixture_chi2") / std::max(widest, 1e-12), a.has_backspace ? "#2f6fb5" : "#8b8a83") +
                common::format(
                    "<td class=\"number\">%.4f</td><td class=\"number\">%.4f</td><td class=\"number\">%.4f</td><td "
                    "class=\"number\">%.2f %%</td><td class=\"number\">%.3f</td><td "
                    "class=\"number\">%.3f</td><td class=\"number\">%.3f</td></tr>\n",
                    of("mixture_chi2"), of("total_variation"), of("forward_kl"), 100 * of("impossible"), of("erased"),
                    of("erases_slip"), of("erases_two"));
      }
    if (rows.empty()) return std::string();
    return common::format(
               "<section><h2>A Markov source, solved exactly</h2>\n<p>A source over a and b; a model that writes any "
               "letter, c too, in %g of its actions whatever it chose. A table of scores at "
               "each objective's maximum, over exact occupancies (alpha %g, gamma %g): how far are the texts that come "
               "about from those of the source?</p>\n",
               o.slip, o.alpha, o.gamma) +
           "<div class=\"scroll\"><table class=\"dense\"><thead><tr><th>Objective</th><th></th><th "
           "class=\"number\">chi&sup2; to mixture</th><th class=\"number\">Total variation</th><th "
           "class=\"number\">KL(data||model)</th><th class=\"number\">Impossible</th><th class=\"number\">Erased a "
           "text</th><th class=\"number\">Erases c</th><th class=\"number\">Erases "
           "cc</th></tr></thead><tbody>\n" +
           rows + "</tbody></table></div></section>\n";
  };
  return e;
}

}  // namespace sequence_match
