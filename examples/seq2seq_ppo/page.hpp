#pragma once

#include <common/html_page.hpp>
#include <seq2seq_ppo/summary.hpp>

namespace seq2seq_ppo {

namespace detail {

inline constexpr std::array<const char*, 4> method_colours{"#c2571a", "#7a5bb0", "#8b8a83", "#2f6fb5"};

/// One measure over the divergence from the first policy: a thin line for every run, a thick one for the mean over
/// seeds at equal steps. Lines that leave the plot on the right are cut.
template <class Measure>
std::string frontier_chart(const std::vector<arm>& arms, const result_file& results, shortcut planted, double noise,
                           double widest, double target, const char* what, Measure&& measure) {
  constexpr double width = 720, height = 300, left = 52, right = 110, top = 14, bottom = 40;
  double low = 1e300, high = -1e300;
  const auto is_drawn = [&](const arm& a) {
    return a.from.planted == planted && a.from.noise == noise && (a.by != method::seq2seq || a.of.name == "sign");
  };
  for (const arm& a : arms)
    if (const arm_result* r = is_drawn(a) ? results.find(a) : nullptr)
      for (const point& p : r->points)
        if (p.held_out.kl <= widest) low = std::min(low, measure(p)), high = std::max(high, measure(p));
  if (low > high) return "";
  const double margin = std::max(0.02, 0.08 * (high - low));
  low = std::max(0.0, low - margin), high += margin;
  const auto x = [&](double kl) { return left + (width - left - right) * std::max(0.0, kl) / widest; };
  const auto y = [&](double v) { return top + (height - top - bottom) * (high - v) / (high - low); };
  std::string svg = common::format(
      "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s over divergence\"><defs><clipPath id=\"plot\"><rect "
      "x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\"/></clipPath></defs>",
      width, height, what, left, top, width - left - right, height - top - bottom);
  const double rough = (high - low) / 5, decade = std::pow(10, std::floor(std::log10(rough)));
  const double gap = decade * (rough / decade >= 5 ? 5 : rough / decade >= 2 ? 2 : 1);
  for (double tick = std::ceil(low / gap) * gap; tick <= high; tick += gap)
    svg += common::format(
        "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" "
        "y=\"%.1f\" text-anchor=\"end\">%.3g</text>",
        left, width - right, y(tick), y(tick), left - 8, y(tick) + 4, tick);
  for (double kl = 0; kl < widest * 1.01; kl += widest / 6)
    svg += common::format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>", x(kl),
                          height - bottom + 18, kl);
  svg += common::format("<line class=\"grid half\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x(target),
                        x(target), top, height - bottom);
  svg += common::format(
      "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">nats from the first policy</text>",
      (left + width - right) / 2, height - 6);
  std::vector<std::pair<double, std::size_t>> labels;
  for (std::size_t by = 0; by < method_names.size(); ++by) {
    std::vector<std::pair<double, double>> mean;
    double runs = 0;
    for (const arm& a : arms) {
      if (!is_drawn(a) || static_cast<std::size_t>(a.by) != by) continue;
      const arm_result* r = results.find(a);
      if (!r) continue;
      std::string path;
      if (mean.size() < r->points.size()) mean.resize(r->points.size());
      for (std::size_t i = 0; i < r->points.size(); ++i) {
        const double kl = r->points[i].held_out.kl, value = measure(r->points[i]);
        path += common::format("%s%.1f %.1f", i == 0 ? "M" : " L", x(kl), y(value));
        mean[i].first += kl;
        mean[i].second += value;
      }
      ++runs;
      svg += common::format("<path clip-path=\"url(#plot)\" fill=\"none\" stroke=\"%s\" stroke-opacity=\"0.28\" d=\"",
                            method_colours[by]) +
             path + "\"/>";
    }
    if (runs == 0) continue;
    std::string path;
    double last = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) {
      const double kl = mean[i].first / runs, value = mean[i].second / runs;
      path += common::format("%s%.1f %.1f", i == 0 ? "M" : " L", x(kl), y(value));
      if (kl <= widest) {
        last = value;
        svg += common::format(
            "<circle clip-path=\"url(#plot)\" fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s: %.2f nats, "
            "%.3f</title></circle>",
            method_colours[by], x(kl), y(value), method_names[by], kl, value);
      }
    }
    svg += common::format("<path clip-path=\"url(#plot)\" fill=\"none\" stroke=\"%s\" stroke-width=\"2.4\" d=\"",
                          method_colours[by]) +
           path + "\"/>";
    labels.push_back({y(last) + 4, by});
  }
  std::sort(labels.begin(), labels.end());
  for (std::size_t i = 1; i < labels.size(); ++i) labels[i].first = std::max(labels[i].first, labels[i - 1].first + 15);
  for (const auto& [at, by] : labels)
    svg += common::format("<text x=\"%.1f\" y=\"%.1f\" style=\"font-weight:600;fill:%s\">%s</text>", width - right + 8,
                          at, method_colours[by], method_names[by]);
  return svg + "</svg>\n";
}

inline std::string table_of(const std::vector<summary>& all) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>Arm</th><th class=\"number\">Seeds</th><th class=\"number\">Gold "
      "reward</th><th class=\"number\">Exact</th><th "
      "class=\"number\">Length</th><th class=\"number\">Refusals</th><th class=\"number\">Unusual</th><th "
      "class=\"number\">Wins over first</th><th class=\"number\">Wins over scalar "
      "PPO</th></tr></thead><tbody>\n";
  for (const summary& s : all) {
    html += "<tr><td style=\"white-space:nowrap\">" + common::escaped(s.name) +
            common::format("</td><td class=\"number\">%d</td>", s.seeds);
    if (s.seeds == 0) {
      html += "<td colspan=\"7\">never got to this divergence</td></tr>\n";
      continue;
    }
    const auto percent = [](const emend::share& x) {
      return common::format("%.1f %% <small>(%.1f to %.1f)</small>", 100 * x.value, 100 * x.low, 100 * x.high);
    };
    html += common::format("<td class=\"number\">%.3f", s.gold) +
            (s.seeds > 1 ? common::format(" &plusmn; %.3f", s.gold_error) : "");
    html += common::format(
        "</td><td class=\"number\">%.1f %%</td><td class=\"number\">%.3f</td><td class=\"number\">%.1f %%</td><td "
        "class=\"number\">%.3f</td>",
        100 * s.exact, s.length, 100 * s.refusal, s.unusual_gold);
    html += "<td class=\"number\">" + percent(s.win) + "</td><td class=\"number\">" +
            (s.name.starts_with("scalar") ? std::string() : percent(s.over_scalar)) + "</td></tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

/// Responses of the first policy with every token tinted by its reward.
inline std::string coloured_responses(const std::vector<shown_response>& shown) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th>Prompt</th><th>Response and its token rewards</th><th>Right</th><th "
      "class=\"number\">Gold</th></tr></thead><tbody>\n";
  for (const shown_response& s : shown) {
    html += "<tr><td>" + common::escaped(s.prompt) + "</td><td class=\"response\">";
    for (std::size_t t = 0; t < s.tokens.size(); ++t) {
      const double r = s.reward[t];
      const bool is_end = s.tokens[t] == "<end>";
      html += common::format("<span class=\"token %s%s\" title=\"reward %+.2f\">",
                             r > 1e-6    ? "earned"
                             : r < -1e-6 ? "lost"
                                         : "neither",
                             is_end ? " end" : "", r) +
              common::escaped(is_end ? "end" : s.tokens[t]) + "</span>";
    }
    html += common::format("</td><td class=\"%s\">", s.gold == 1 ? "right" : "wrong") + common::escaped(s.right) +
            common::format("</td><td class=\"number\">%.2f</td></tr>\n", s.gold);
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace detail

/// The whole experiment as one page that needs nothing else.
inline std::string page_of(const experiment_options& o, const std::vector<arm>& arms, const result_file& results,
                           const std::vector<summary>& all, double kl) {
  std::string html = common::page_head("Sequence-to-sequence rewards in PPO");
  html +=
      "<h1>Do sequence-to-sequence rewards make PPO less prone to shortcuts?</h1>\n<p class=\"lead\">A small "
      "transformer ";
  html += o.of == task_kind::words ? "corrects misspellings" : "goes on with stories, sentence by sentence";
  html +=
      ". From pairs of its own responses, "
      "labelled by a known gold reward with noise and, in two of three worlds, by a shortcut, policies are trained in "
      "four ways, all from the same pairs and with the same number of steps "
      "for what learns from them. The gold reward is never shown to training.</p>\n<dl class=\"facts\">";
  const auto fact = [&](const char* name, const std::string& value) {
    html += common::format("<div><dt>%s</dt><dd>", name) + common::escaped(value) + "</dd></div>";
  };
  fact("Seeds", std::to_string(o.seeds));
  fact("Pairs", common::with_thousands(o.pairs));
  fact("Label noise", common::format("%g", o.noise));
  fact("Shortcut in", common::format("%g of the labels", o.rate));
  fact("Compared at", common::format("%g nats", kl));
  html += "</dl>\n";
  const std::array<std::pair<shortcut, const char*>, 3> worlds{{{shortcut::none, "No shortcut"},
                                                                {shortcut::longer, "Longer responses preferred"},
                                                                {shortcut::refusal, "A stock refusal preferred"}}};
  const double widest = 3 * kl;
  for (const auto& [planted, title] : worlds) {
    std::vector<summary> own;
    for (const summary& s : all)
      if (s.from.planted == planted && s.from.noise == o.noise &&
          (!s.name.starts_with("seq2seq") || s.name.ends_with("(sign)")))
        own.push_back(s);
    const std::string chart = detail::frontier_chart(arms, results, planted, o.noise, widest, kl, "Gold reward",
                                                     [](const point& p) { return p.held_out.mean_gold(); });
    if (chart.empty()) continue;
    html += common::format(
                "<section><h2>%s: gold reward</h2>\n<p>Against the divergence from the first policy; thin lines are "
                "runs, thick ones means over seeds, the dotted line is where "
                "the arms are compared.</p>\n",
                title) +
            chart;
    if (planted == shortcut::longer)
      html += "<h2>Length of a response over that of what is right</h2>\n" +
              detail::frontier_chart(arms, results, planted, o.noise, widest, kl, "Length",
                                     [](const point& p) { return p.held_out.length; });
    if (planted == shortcut::refusal)
      html += "<h2>Share of refusals</h2>\n" +
              detail::frontier_chart(arms, results, planted, o.noise, widest, kl, "Refusals",
                                     [](const point& p) { return p.held_out.refusal; });
    html += detail::table_of(own) + "</section>\n";
  }
  std::vector<summary> forms, noisy;
  for (const summary& s : all) {
    if (s.from.planted == shortcut::none && s.from.noise == o.noise && s.name.starts_with("seq2seq"))
      forms.push_back(s);
    if (s.from.noise != o.noise) {
      noisy.push_back(s);
      noisy.back().name += common::format(", noise %g", s.from.noise);
    }
  }
  if (forms.size() > 1)
    html += "<section><h2>Forms of the sequence-to-sequence reward</h2>\n" + detail::table_of(forms) + "</section>\n";
  if (!noisy.empty()) html += "<section><h2>Label noise</h2>\n" + detail::table_of(noisy) + "</section>\n";
  for (const arm& a : arms)
    if (const arm_result* r = results.find(a); r && !r->shown.empty()) {
      html += "<section><h2>Token rewards</h2>\n<p>Responses of the first policy as the reward model of " +
              common::escaped(key_of(a)) +
              " sees them: <span class=\"token earned\">earned</span> <span class=\"token lost\">lost</span> <span "
              "class=\"token neither\">neither</span>.</p>\n" +
              detail::coloured_responses(r->shown) + "</section>\n";
      break;
    }
  return html + "</main></body></html>\n";
}

}  // namespace seq2seq_ppo
