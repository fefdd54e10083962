#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <common/html_page.hpp>
#include <seq2seq_rewards/evaluation.hpp>
#include <seq2seq_rewards/printing.hpp>
#include <seq2seq_rewards/training.hpp>

namespace seq2seq {

/// What the report says beside the measures.
struct report_facts {
  std::string data, form;
  std::uint64_t seed = 0;
  std::size_t training_pairs = 0, parameters = 0;
  long long steps = 0;
  std::vector<loss_point> curve;  // empty: no curve
};

namespace detail {

/// Loss per token over the steps, logarithmic; two lines with a hover title at each point.
inline std::string loss_chart(const std::vector<loss_point>& curve) {
  constexpr double width = 720, height = 260, left = 44, right = 84, top = 12, bottom = 30;
  double low = 1e300, high = 0;
  for (const loss_point& point : curve)
    for (const double value : {point.correction, point.identity})
      if (std::isfinite(value) && value > 0) low = std::min(low, value), high = std::max(high, value);
  if (high == 0) return "";
  low = std::min(low, high / 2);
  const double last_step = static_cast<double>(curve.back().step);
  const auto x = [&](double step) { return left + (width - left - right) * step / last_step; };
  const auto y = [&](double loss) {
    return top + (height - top - bottom) * std::log(high / std::max(loss, low)) / std::log(high / low);
  };

  std::string svg = format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"Training loss\">", width, height);
  for (double decade = 1e-6; decade < 1e6; decade *= 10)
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double tick = decade * digit;
      if (tick < low || tick > high) continue;
      svg += format(
          "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" "
          "y=\"%.1f\" text-anchor=\"end\">%g</text>",
          left, width - right, y(tick), y(tick), left - 8, y(tick) + 4, tick);
    }
  const double rough = last_step / 5, decade = std::pow(10, std::floor(std::log10(rough)));
  const double gap = std::max(1.0, decade * (rough / decade >= 5 ? 5 : rough / decade >= 2 ? 2 : 1));
  for (double step = 0; step <= last_step; step += gap)
    svg += format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>", x(step),
                  height - bottom + 18, step);

  std::vector<double> label_y;
  for (const bool is_identity : {false, true}) {
    const char* name = is_identity ? "identity" : "correction";
    std::string path, points;
    double last = std::nan("");
    for (const loss_point& point : curve) {
      const double value = is_identity ? point.identity : point.correction;
      if (!std::isfinite(value)) continue;
      path += format("%s%.1f %.1f", path.empty() ? "M" : " L", x(static_cast<double>(point.step)), y(value));
      points += format(
          "<circle class=\"hit\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"><title>step %lld: %s %.3f nats a "
          "token</title></circle>",
          x(static_cast<double>(point.step)), y(value), point.step, name, value);
      last = value;
    }
    if (path.empty()) continue;
    double at = y(last) + 4;
    if (!label_y.empty() && std::abs(at - label_y[0]) < 15) at = label_y[0] + (at < label_y[0] ? -15 : 15);
    label_y.push_back(at);
    svg += format("<path class=\"line %s\" d=\"", name) + path + "\"/>" + points;
    svg += format("<text class=\"label %s\" x=\"%.1f\" y=\"%.1f\">%s</text>", name, width - right + 8, at, name);
  }
  return svg + "</svg>";
}

/// Shares as horizontal bars with their intervals.
inline std::string bar_chart(const std::vector<named_share>& shares, bool has_half_line) {
  constexpr double width = 752, row = 30, left = 236, right = 164, top = 8, bottom = 26;
  const double height = top + row * static_cast<double>(shares.size()) + bottom;
  const auto x = [&](double value) { return left + (width - left - right) * value; };
  std::string svg =
      format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"Shares with 95 %% intervals\">", width, height);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0})
    svg += format(
        "<line class=\"grid%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" "
        "y=\"%.1f\" text-anchor=\"middle\">%.0f %%</text>",
        has_half_line && tick == 0.5 ? " half" : "", x(tick), x(tick), top, height - bottom, x(tick), height - 8,
        100 * tick);
  double middle = top + row / 2;
  for (const named_share& one : shares) {
    const emend::share& s = one.share;
    svg += format("<g class=\"bar%s\"><title>", one.is_baseline ? " baseline" : "") + escaped(one.name) +
           format(": %.2f %%, 95 %% Wilson interval %.2f to %.2f %%</title>", 100 * s.value, 100 * s.low, 100 * s.high);
    svg += format("<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", left - 12, middle + 4.5) +
           escaped(one.name) + "</text>";
    svg += format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"16\" rx=\"2\"/>", x(0), middle - 8,
                  std::max(1.0, x(s.value) - x(0)));
    svg += format("<path class=\"whisker\" d=\"M%.1f %.1fV%.1fM%.1f %.1fH%.1fM%.1f %.1fV%.1f\"/>", x(s.low), middle - 5,
                  middle + 5, x(s.low), middle, x(s.high), x(s.high), middle - 5, middle + 5);
    svg += format(
        "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.1f %%<tspan class=\"interval\" dx=\"7\">%.1f to "
        "%.1f</tspan></text></g>",
        width - right + 14, middle + 4.5, 100 * s.value, 100 * s.low, 100 * s.high);
    middle += row;
  }
  return svg + "</svg>";
}

/// One response with every token tinted by its reward; hovering tells the numbers.
inline std::string coloured_tokens(const vocabulary& v, const shown_pair& pair, reward_mode mode) {
  const std::vector<double>& reward = pair.score.reward[static_cast<std::size_t>(mode)];
  double largest = 1;
  for (const double r : reward) largest = std::max(largest, std::abs(r));
  std::string html;
  for (std::size_t t = 0; t < reward.size(); ++t) {
    const double r = reward[t];
    const bool is_end = pair.rejected[t] == v.end_id();
    const std::string title =
        format("reward %+.3f; q = %.3f; the model's choice: ", r, std::exp(pair.score.log_prob[t])) +
        (pair.score.choice[t] == pair.rejected[t] ? "the same" : v.piece(pair.score.choice[t]));
    const char* sign = r > 0 ? "earned" : r < 0 ? "lost" : "neither";
    html += format("<span class=\"token %s%s\" style=\"--strength:%.0f%%\" title=\"", sign, is_end ? " end" : "",
                   r == 0 ? 100.0 : 30 + 70 * std::abs(r) / largest) +
            escaped(title) + "\">" + escaped(is_end ? "end" : v.piece(pair.rejected[t])) + "</span>";
  }
  return html;
}

}  // namespace detail

/// The whole report as one page that needs nothing else: style and drawings are inside it.
inline std::string html_report(const vocabulary& v, const evaluation& e, const report_facts& facts) {
  std::string html = page_head("Sequence-to-sequence rewards");
  html +=
      "<h1>Sequence-to-sequence rewards</h1>\n<p class=\"lead\">A small transformer was trained to rewrite a rejected "
      "response into the chosen one, and to "
      "copy a chosen one. Fed with a response that it has not seen, it gives every token a reward: positive until its "
      "own choice differs from the "
      "response, from then on negative wherever it differs (arXiv 2409.00162).</p>\n";
  html += "<dl class=\"facts\">";
  const auto fact = [&](const char* name, const std::string& value) {
    html += format("<div><dt>%s</dt><dd>", name) + escaped(value) + "</dd></div>";
  };
  fact("Data", facts.data + ", " + facts.form);
  fact("Pairs to train on", with_thousands(facts.training_pairs));
  fact("Held-out pairs", with_thousands(e.pairs));
  fact("Parameters", with_thousands(facts.parameters));
  fact("Steps", with_thousands(static_cast<std::size_t>(facts.steps)));
  fact("Seed", std::to_string(facts.seed));
  html += "</dl>\n";

  html += "<section><h2>Greedy rewriting of held-out responses</h2>\n" +
          detail::bar_chart({{"rejected: corrected", e.correction},
                             {"rejected: left as it was", e.unchanged, true},
                             {"chosen: copied", e.identity}},
                            false) +
          "</section>\n";
  html +=
      "<section><h2>Which of two held-out responses is the chosen one?</h2>\n<p>Share of pairs whose chosen response "
      "scores higher, ties counting a half. A "
      "response's score is the mean of its token rewards, by each way of measuring them; the copy likelihood is the "
      "mean of log q. Grey: baselines on the same "
      "pairs.</p>\n" +
      detail::bar_chart(e.ranking, true) + "</section>\n";
  if (const std::string chart = detail::loss_chart(facts.curve); !chart.empty())
    html += "<section><h2>Training loss</h2>\n<p>Nats a token, means over stretches of steps.</p>\n" + chart +
            "</section>\n";
  if (!e.shown.empty()) {
    html += format(
        "<section><h2>Token rewards</h2>\n<p>Mode <em>%s</em>. Each token of the rejected response: <span "
        "class=\"token earned\">earned</span> "
        "<span class=\"token lost\">lost</span> <span class=\"token neither\">neither</span>. Hover for the reward, "
        "the model's probability q of the "
        "token and its own choice. The end of the response is a token too.</p>\n",
        name_of(e.mode));
    bool has_prompt = false;
    for (const shown_pair& pair : e.shown) has_prompt |= !pair.prompt.empty();
    html += std::string("<div class=\"scroll\"><table><thead><tr>") + (has_prompt ? "<th>Prompt</th>" : "") +
            "<th>Rejected response</th><th "
            "class=\"number\">Score</th><th>Rewriting</th><th>Chosen</th></tr></thead><tbody>\n";
    for (const shown_pair& pair : e.shown)
      html +=
          "<tr>" + (has_prompt ? "<td>" + escaped(pair.prompt) + "</td>" : std::string()) + "<td class=\"response\">" +
          detail::coloured_tokens(v, pair, e.mode) +
          format("</td><td class=\"number\">%+.2f</td><td class=\"%s\">",
                 pair.score.sequence_score[static_cast<std::size_t>(e.mode)], pair.is_corrected ? "right" : "wrong") +
          escaped(pair.rewriting) + "</td><td>" + escaped(pair.chosen) + "</td></tr>\n";
    html += "</tbody></table></div></section>\n";
  }
  return html + "</main></body></html>\n";
}

}  // namespace seq2seq
