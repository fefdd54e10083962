#pragma once

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <emend/sampling/generate.hpp>

namespace sequence_match {

/// A token as the page plays it back.
struct shown_token {
  std::string text;
  long long written_at = -1, erased_at = -1;  // numbers of actions; -1: given, or never
};

/// How one text came about.
struct shown_writing {
  std::string prompt, right;        // right: what was wanted, where there is such a thing
  std::vector<shown_token> tokens;  // in the order of writing
  long long actions = 0;
  bool is_right = false;
};

/// text_of: (id) -> std::string. given: so many tokens at the end of the prompt are shown as written, which the model
/// may erase.
template <class TextOf>
std::vector<shown_token> tokens_of(const emend::generation& g, const std::vector<emend::index>& prompt,
                                   std::size_t given, TextOf&& text_of) {
  std::vector<shown_token> result;
  for (std::size_t i = prompt.size() - given; i < prompt.size(); ++i) result.push_back({text_of(prompt[i]), -1, -1});
  for (const emend::written_token& t : g.written) {
    if (t.written_at >= 0) {
      result.push_back({text_of(t.token), t.written_at, t.erased_at});
      continue;
    }
    // One of the prompt that was erased; what stands before the shown part is not shown.
    const auto first = static_cast<emend::index>(prompt.size() - given);
    if (t.position >= first) result[static_cast<std::size_t>(t.position - first)].erased_at = t.erased_at;
  }
  return result;
}

inline nlohmann::json to_json(const shown_writing& s) {
  nlohmann::json tokens = nlohmann::json::array();
  for (const shown_token& t : s.tokens) tokens.push_back({t.text, t.written_at, t.erased_at});
  return {
      {"prompt", s.prompt}, {"right", s.right}, {"tokens", tokens}, {"actions", s.actions}, {"is_right", s.is_right}};
}
inline shown_writing writing_of(const nlohmann::json& j) {
  shown_writing s{j.at("prompt"), j.at("right"), {}, j.at("actions"), j.at("is_right")};
  for (const auto& t : j.at("tokens")) s.tokens.push_back({t.at(0), t.at(1), t.at(2)});
  return s;
}

/// On one line of a terminal: erased tokens in brackets after a minus.
inline std::string in_line(const shown_writing& s) {
  std::string result;
  bool was_erased = false;
  for (const shown_token& t : s.tokens) {
    const bool is_erased = t.erased_at >= 0;
    if (is_erased != was_erased) result += is_erased ? "[-" : "]";
    was_erased = is_erased;
    result += t.text;
  }
  return result + (was_erased ? "]" : "");
}

}  // namespace sequence_match
