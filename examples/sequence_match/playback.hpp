#pragma once

#include <common/html_page.hpp>
#include <sequence_match/shown_writing.hpp>

namespace sequence_match {

namespace detail {

inline constexpr const char* playback_style = R"css(<style>
.playback { border: 1px solid var(--grid); border-radius: 8px; padding: .9rem 1rem; margin: .6rem 0 .4rem; }
.playback .text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 1.02rem; line-height: 2; min-height: 4.1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.playback .asked { color: var(--faint); }
.playback .written { padding: .1em .06em; border-radius: 3px; }
.playback .given { color: var(--orange); }
.playback .erased { color: var(--red); text-decoration: line-through 2px; opacity: .72; }
.playback .again { background: color-mix(in srgb, var(--green) 30%, transparent); }
.playback .newest { outline: 2px solid var(--blue); outline-offset: -1px; }
.playback .unwritten { display: none; }
.playback .controls { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem 1rem; font-size: .85rem; color: var(--soft); margin-top: .5rem; }
.playback button, .playback select { font: inherit; color: var(--ink); background: var(--page); border: 1px solid var(--edge); border-radius: 6px; padding: .22rem .7rem; cursor: pointer; }
.playback input[type=range] { flex: 1 1 9rem; accent-color: var(--blue); }
.playback .counter { font-variant-numeric: tabular-nums; min-width: 8.5rem; }
.playback .verdict.right { color: var(--right); }
.playback .verdict.wrong { color: var(--wrong); }
</style>
)css";

/// Without scripts the page shows what the last frame would: everything written, what was erased struck out.
inline constexpr const char* playback_script = R"js(<script>
(() => {
  const box = document.currentScript.previousElementSibling;
  const all = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
  const text = box.querySelector('.text'), find = (name) => box.querySelector('.' + name);
  const slider = find('at'), counter = find('counter'), verdict = find('verdict'), play = find('play'), which = find('which'), speed = find('speed');
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  let shown = 0, at = 0, timer = 0;
  const draw = () => {
    const s = all[shown];
    text.querySelectorAll('.written').forEach((span, i) => {
      const [, written, erased] = s.tokens[i], there = written < at, gone = erased >= 0 && erased < at;
      const before = i > 0 && s.tokens[i - 1][2] >= 0 && written >= 0 && s.tokens[i - 1][2] < written;
      span.className = 'written' + (there ? '' : ' unwritten') + (gone ? ' erased' : written < 0 ? ' given' : before ? ' again' : '') +
        (written === at - 1 || erased === at - 1 ? ' newest' : '');
    });
    slider.value = at;
    counter.textContent = 'action ' + at + ' of ' + s.actions;
    const ends = at >= s.actions && s.right !== '';
    verdict.textContent = ends ? (s.is_right ? 'right' : 'wrong: ' + s.right) : '';
    verdict.className = 'verdict ' + (s.is_right ? 'right' : 'wrong');
  };
  const open = (number, from) => {
    shown = number;
    const s = all[shown];
    text.replaceChildren();
    const asked = document.createElement('span');
    asked.className = 'asked';
    asked.textContent = s.prompt;
    text.append(asked);
    for (const [token] of s.tokens) {
      const span = document.createElement('span');
      span.textContent = token;
      text.append(span);
      span.className = 'written';
    }
    slider.max = s.actions;
    which.value = number;
    at = from;
    draw();
  };
  const halt = () => { clearTimeout(timer); timer = 0; play.textContent = 'Play'; };
  const tick = () => {
    const s = all[shown];
    if (at < s.actions) { at += 1; draw(); timer = setTimeout(tick, Number(speed.value)); return; }
    timer = setTimeout(() => { open((shown + 1) % all.length, 0); tick(); }, 1800);
  };
  const run = () => { if (at >= all[shown].actions) at = 0; play.textContent = 'Pause'; tick(); };
  play.onclick = () => (timer ? halt() : run());
  find('next').onclick = () => { halt(); at = Math.min(at + 1, all[shown].actions); draw(); };
  slider.oninput = () => { halt(); at = Number(slider.value); draw(); };
  which.onchange = () => { halt(); open(Number(which.value), 0); run(); };
  all.forEach((s, i) => which.add(new Option((i + 1) + ' of ' + all.length, i)));
  find('controls').hidden = false;
  open(0, still ? all[0].actions : 0);
  if (!still) run();
})();
</script>
)js";

}  // namespace detail

/// A box that plays how texts came about, one after the other: tokens appear, are struck out, are written again.
inline std::string playback_of(const std::vector<shown_writing>& all) {
  if (all.empty()) return "";
  nlohmann::json data = nlohmann::json::array();
  for (const shown_writing& s : all) data.push_back(to_json(s));
  std::string json = data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (std::size_t at = 0; (at = json.find('<', at)) != std::string::npos;)
    json.replace(at, 1, "\\u003c");  // a tag or a comment could end the script, or keep it from ending
  std::string html = std::string(detail::playback_style) +
                     "<div class=\"playback\"><div class=\"text\"><span class=\"asked\">" +
                     common::escaped(all.front().prompt) + "</span>";
  for (const shown_token& t : all.front().tokens)
    html += std::string("<span class=\"written") + (t.erased_at >= 0 ? " erased" : "") + "\">" +
            common::escaped(t.text) + "</span>";
  html +=
      "</div>\n<div class=\"controls\" hidden><button class=\"play\">Play</button><button class=\"next\">Next "
      "action</button><input class=\"at\" type=\"range\" min=\"0\" "
      "aria-label=\"action\"><span class=\"counter\"></span><select class=\"which\" "
      "aria-label=\"text\"></select><select class=\"speed\" aria-label=\"speed\"><option "
      "value=\"900\">slow</option><option value=\"420\" selected>normal</option><option "
      "value=\"110\">fast</option></select><span class=\"verdict\"></span></div>\n"
      "<script type=\"application/json\">" +
      json + "</script></div>\n";
  return html + detail::playback_script;
}

}  // namespace sequence_match
