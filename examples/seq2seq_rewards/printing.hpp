#pragma once

#include <string>
#include <vector>

#include <common/terminal.hpp>
#include <seq2seq_rewards/evaluation.hpp>

namespace seq2seq {

using namespace common;

inline void print_measures(terminal& out, const evaluation& e) {
  out.line();
  out.line(out.strong("Greedy rewriting of held-out responses") + out.faint("                   95 % Wilson interval"));
  out.line(format("  rejected response corrected      %s   of %zu", in_percent(e.correction).c_str(), e.pairs));
  out.line(format("  rejected response left as it was %s", in_percent(e.unchanged).c_str()));
  out.line(format("  chosen response copied           %s   of %zu", in_percent(e.identity).c_str(), e.copies));
  out.line();
  out.line(out.strong("Held-out pairs whose chosen response scores higher") + out.faint(" (ties count a half)"));
  for (const named_share& one : e.ranking) {
    const std::string row = format("  %-34s %s", one.name.c_str(), in_percent(one.share).c_str());
    out.line(one.is_baseline ? out.faint(row + "   baseline") : row);
  }
}

inline void print_examples(terminal& out, const vocabulary& v, const evaluation& e) {
  if (e.shown.empty()) return;
  std::size_t rejected_width = 8, chosen_width = 6;
  static constexpr std::size_t longest_row = 30, longest_block = 240;
  for (const shown_pair& pair : e.shown) {
    std::size_t own_width = 0;
    for (const int id : pair.rejected) own_width += width_of(v.piece(id));
    rejected_width = std::max(rejected_width, own_width);
    chosen_width = std::max({chosen_width, width_of(pair.rewriting), width_of(pair.chosen)});
  }
  const bool is_table = std::max(rejected_width, chosen_width) <= longest_row;
  out.line();
  out.line(out.strong(std::string("Token rewards (") + name_of(e.mode) + ")") + ": " + out.in("32", "+ earned") + ", " +
           out.in("1;31", "- lost") + ", " + out.faint(". neither") + "; the end of the response is a token too");
  if (is_table)
    out.line(out.faint("  " + padded_to(rejected_width, "response") + "  " + padded_to(rejected_width, "rewards") +
                       "  " + padded_to(chosen_width, "rewriting") + "  " + padded_to(chosen_width, "right") +
                       "  score"));
  for (const shown_pair& pair : e.shown) {
    const auto mode = static_cast<std::size_t>(e.mode);
    std::string coloured, run, signs;
    std::string code_of_run;
    std::size_t width = 0;
    for (std::size_t t = 0; t < pair.rejected.size() && width < longest_block; ++t) {
      const std::string piece = v.piece(pair.rejected[t]);
      const double reward = pair.score.reward[mode][t];
      const std::string code = reward > 0 ? "32" : reward < 0 ? "1;31" : "2";
      if (code != code_of_run && !run.empty()) coloured += out.in(code_of_run, std::exchange(run, ""));
      code_of_run = code;
      run += piece;
      signs += std::string(width_of(piece), reward > 0 ? '+' : reward < 0 ? '-' : '.');
      width += width_of(piece);
    }
    coloured += out.in(code_of_run, run);
    const std::string mark = pair.is_corrected ? out.in("32", "=") : out.in("31", "x");
    const std::string score = format("%+.2f", pair.score.sequence_score[mode]);
    if (is_table) {
      out.line("  " + coloured + padded_to(rejected_width - width, "") + "  " + padded_to(rejected_width, signs) +
               "  " + padded_to(chosen_width, vocabulary::on_one_line(pair.rewriting)) + " " + mark +
               padded_to(chosen_width, vocabulary::on_one_line(pair.chosen)) + "  " + score);
    } else {
      const auto cut = [](const std::string& whole) {
        const std::string text = vocabulary::on_one_line(whole);
        std::size_t end = std::min(text.size(), longest_block);
        while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
        return text.substr(0, end) + (end < text.size() ? " ..." : "");
      };
      out.line("  response   " + coloured + (width >= longest_block ? " ..." : ""));
      if (!out.has_colour()) out.line("  rewards    " + signs);
      out.line("  rewriting  " + cut(pair.rewriting));
      out.line("  chosen     " + cut(pair.chosen) + "   " + out.faint("score " + score));
      out.line();
    }
  }
}

}  // namespace seq2seq
