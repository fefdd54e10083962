#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <common/html_page.hpp>
#include <common/terminal.hpp>

namespace common {

/// A value with its interval at one of the chart's levels.
struct chart_point {
  std::size_t level = 0;
  double value = 0, low = 0, high = 0;
};
struct chart_series {
  std::string name, colour;
  std::vector<chart_point> points;
  bool is_baseline = false;  // its one point goes across as a dotted line
};

/// Values with whiskers over levels that stand side by side, a line for every series, its name at the right end.
/// unit: after the numbers of the axis.
inline std::string level_chart(const std::string& what, const std::string& levels_are,
                               const std::vector<std::string>& levels, const std::vector<chart_series>& series,
                               const std::string& unit = "") {
  constexpr double width = 760, height = 320, left = 56, right = 150, top = 14, bottom = 46;
  double low = 1e300, high = -1e300;
  for (const chart_series& s : series)
    for (const chart_point& p : s.points) low = std::min(low, p.low), high = std::max(high, p.high);
  if (low > high) return "";
  const double margin = std::max(1e-9, 0.06 * (high - low));
  low -= margin, high += margin;
  const double column = (width - left - right) / static_cast<double>(levels.size());
  const auto x = [&](std::size_t level, std::size_t of) {
    return left + column * (static_cast<double>(level) + 0.5) +
           std::min(9.0, 0.6 * column / static_cast<double>(series.size())) *
               (static_cast<double>(of) - 0.5 * static_cast<double>(series.size() - 1));
  };
  const auto y = [&](double v) { return top + (height - top - bottom) * (high - v) / (high - low); };
  std::string svg =
      format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width, height) + escaped(what) + "\">";
  const double rough = (high - low) / 5, decade = std::pow(10, std::floor(std::log10(rough)));
  const double gap = decade * (rough / decade >= 5 ? 5 : rough / decade >= 2 ? 2 : 1);
  for (double tick = std::ceil(low / gap) * gap; tick <= high; tick += gap)
    svg += format(
        "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%.1f\" "
        "y=\"%.1f\" text-anchor=\"end\">%.4g%s</text>",
        left, width - right, y(tick), y(tick), left - 8, y(tick) + 4, std::abs(tick) < 1e-12 ? 0 : tick, unit.c_str());
  for (std::size_t i = 0; i < levels.size(); ++i)
    svg += format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                  left + column * (static_cast<double>(i) + 0.5), height - bottom + 18) +
           escaped(levels[i]) + "</text>";
  svg += format("<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", (left + width - right) / 2,
                height - 6) +
         escaped(levels_are) + "</text>";
  std::vector<std::pair<double, std::size_t>> labels;
  for (std::size_t k = 0; k < series.size(); ++k) {
    const chart_series& s = series[k];
    if (s.points.empty()) continue;
    const char* colour = s.colour.c_str();
    if (s.is_baseline)
      svg += format("<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-dasharray=\"4 4\"/>",
                    left, width - right, y(s.points[0].value), y(s.points[0].value), colour);
    std::string path;
    for (const chart_point& p : s.points) {
      const double at = x(p.level, k);
      path += format("%s%.1f %.1f", path.empty() ? "M" : " L", at, y(p.value));
      svg += format(
                 "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-opacity=\"0.55\"/><circle "
                 "cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\"><title>",
                 at, at, y(p.low), y(p.high), colour, at, y(p.value), colour) +
             escaped(s.name) +
             format(", %s: %.4g%s (%.4g to %.4g)</title></circle>", levels[p.level].c_str(), p.value, unit.c_str(),
                    p.low, p.high);
    }
    if (s.points.size() > 1)
      svg += format("<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"", colour) +
             path + "\"/>";
    labels.push_back({y(s.points.back().value) + 4, k});
  }
  std::sort(labels.begin(), labels.end());
  for (std::size_t i = 1; i < labels.size(); ++i) labels[i].first = std::max(labels[i].first, labels[i - 1].first + 15);
  const double beyond = labels.empty() ? 0 : std::max(0.0, labels.back().first - (height - 4));
  for (const auto& [at, k] : labels)
    svg += format("<text x=\"%.1f\" y=\"%.1f\" style=\"font-weight:600;fill:%s\">", width - right + 10, at - beyond,
                  series[k].colour.c_str()) +
           escaped(series[k].name) + "</text>";
  return svg + "</svg>\n";
}

}  // namespace common
