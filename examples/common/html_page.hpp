#pragma once

#include <cstddef>
#include <string>

#include <common/write_file.hpp>

namespace common {

/// Text as it may stand inside HTML, attributes included.
inline std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  return result;
}

inline std::string with_thousands(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

/// Head of a page and the start of its body; the style follows the reader's light or dark scheme.
inline std::string page_head(const std::string& title) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>" +
         escaped(title) +
         "</title>\n<style>"
         R"css(
:root { color-scheme: light dark; --page: #fafaf8; --panel: #ffffff; --edge: #e3e2dd; --ink: #1c1c1a; --soft: #63625c; --faint: #8b8a83;
  --grid: #ecebe6; --blue: #2f6fb5; --orange: #c2571a; --grey: #b9b8b1; --green: #2e9e5b; --red: #d6453d; --right: #1f7a44; --wrong: #b3362f; }
@media (prefers-color-scheme: dark) { :root { --page: #151614; --panel: #1d1e1c; --edge: #31322f; --ink: #ecebe6; --soft: #aaa9a2; --faint: #85847d;
  --grid: #2a2b28; --blue: #6aa5e6; --orange: #ee9558; --grey: #5d5c57; --green: #38a866; --red: #e2574f; --right: #6fcf97; --wrong: #f0908a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.12rem; margin: 0 0 .35rem; }
p { margin: 0 0 .9rem; color: var(--soft); max-width: 46rem; }
.lead { font-size: 1.05rem; }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.2rem; margin: 1.4rem 0 1.6rem; }
.facts dt { font-size: .78rem; color: var(--faint); }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
section { background: var(--panel); border: 1px solid var(--edge); border-radius: 10px; padding: 1.2rem 1.3rem; margin: 0 0 1.1rem; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 34rem; max-width: 54rem; height: auto; margin: .5rem auto 0; }
svg text { font-size: 12.5px; fill: var(--ink); }
svg .tick, svg .interval { fill: var(--faint); font-size: 11.5px; font-variant-numeric: tabular-nums; }
svg .value { font-variant-numeric: tabular-nums; font-weight: 600; }
svg .interval { font-weight: 400; }
svg .grid { stroke: var(--grid); }
svg .half { stroke: var(--faint); stroke-dasharray: 3 3; }
svg .bar rect { fill: var(--blue); }
svg .baseline rect { fill: var(--grey); }
svg .whisker { stroke: var(--ink); stroke-width: 1.4; fill: none; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.correction { stroke: var(--blue); }
svg .line.identity { stroke: var(--orange); }
svg .label { font-weight: 600; }
svg .label.correction { fill: var(--blue); }
svg .label.identity { fill: var(--orange); }
svg .hit { fill: transparent; }
svg .hit:hover { fill: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: .4rem; }
th { text-align: left; font-size: .78rem; font-weight: 600; color: var(--faint); padding: .3rem .9rem .3rem 0; }
td { padding: .32rem .9rem .32rem 0; border-top: 1px solid var(--grid); vertical-align: top; }
.dense td { font-size: .84rem; padding-right: .5rem; }
.dense th { font-size: .72rem; padding-right: .5rem; white-space: normal; vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 1.4rem; white-space: nowrap; }
.response { min-width: 15rem; }
.token { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .95em; white-space: pre-wrap; padding: .12em .1em;
  border-radius: 3px; margin-right: 1px; color: var(--ink); --strength: 100%; }
.earned { background: color-mix(in srgb, color-mix(in srgb, var(--green) 42%, transparent) var(--strength), transparent); }
.lost { background: color-mix(in srgb, color-mix(in srgb, var(--red) 55%, transparent) var(--strength), transparent); text-decoration: underline 2px var(--red); }
.neither { background: color-mix(in srgb, var(--grey) 35%, transparent); color: var(--soft); }
.end { font-size: .72em; padding: .2em .45em; margin-left: .25em; vertical-align: .08em; border: 1px dashed var(--faint); }
td.right { color: var(--right); }
td.wrong { color: var(--wrong); }
td.right::after { content: " \2713"; }
td.wrong::after { content: " \2717"; }
)css"
         "</style></head><body><main>\n";
}

}  // namespace common
