#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <common/json_line.hpp>
#include <common/read_file.hpp>

namespace seq2seq {

/// One pair: `chosen` is the better response to `prompt`. Pairs of one group lie on the same side of the split.
struct preference {
  std::string prompt, chosen, rejected, group;
};

/// What a file of pairs looks like inside.
///   codespell     wrong->right, another, reason
///   table         wrong, right, ...    separated by tabs or commas; of alternatives a|b in a field the first counts
///   edits         JSON Lines: source with target, simplifications or corrections; or before with after
///   preferences   JSON Lines: chosen and rejected, and prompt if there is one
enum class data_form { codespell, table, edits, preferences };

inline const char* name_of(data_form form) {
  constexpr const char* names[] = {"codespell dictionary", "table of misspellings", "JSON Lines of edits",
                                   "JSON Lines of preferences"};
  return names[static_cast<int>(form)];
}

struct data_set {
  data_form form = data_form::codespell;
  std::vector<preference> pairs;
  std::size_t entries = 0;   // of the file
  std::size_t unusable = 0;  // without a correction, or dropped by the rules for words
  bool is_words() const { return form == data_form::codespell || form == data_form::table; }
};

using common::read_file;

namespace detail {

inline std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

inline std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

inline bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// Fields of one row; a field in double quotes may hold the separator, and "" for a quote.
inline std::vector<std::string> fields_of(std::string_view row, char separator) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    if (c == '"' && is_quoted && i + 1 < row.size() && row[i + 1] == '"')
      fields.back() += row[++i];
    else if (c == '"' && (is_quoted || fields.back().empty()))
      is_quoted = !is_quoted;
    else if (c == separator && !is_quoted)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  return fields;
}

/// Single words and short phrases: lower case, ASCII, at most 24 characters and two spaces on either side.
inline void add_words(data_set& data, std::string_view wrong, std::string_view right) {
  const std::string rejected = lower(trim(wrong)), chosen = lower(trim(right));
  const auto is_short = [](const std::string& s) {
    return !s.empty() && s.size() <= 24 && is_ascii(s) && std::count(s.begin(), s.end(), ' ') <= 2;
  };
  if (is_short(rejected) && is_short(chosen) && rejected != chosen)
    data.pairs.push_back({"", chosen, rejected, chosen});
  else
    ++data.unusable;
}

inline void add_codespell(data_set& data, std::string_view line) {
  const std::size_t arrow = line.find("->");
  if (arrow == std::string_view::npos) {
    ++data.unusable;
    return;
  }
  std::string_view right = line.substr(arrow + 2);
  const std::size_t last = right.rfind(',');
  // Text after the last comma is a reason why the correction is not always right.
  if (last != std::string_view::npos && !trim(right.substr(last + 1)).empty()) right = {};
  add_words(data, line.substr(0, arrow), right.substr(0, right.find(',')));
}

inline void add_row(data_set& data, std::string_view line, char separator) {
  const std::vector<std::string> fields = fields_of(line, separator);
  if (data.entries == 1)  // a heading
    for (const char* heading : {"wrong", "typo", "misspelling", "source", "rejected"})
      if (lower(trim(fields[0])) == heading) {
        --data.entries;
        return;
      }
  const std::string right = fields.size() > 1 ? fields[1] : "";
  add_words(data, fields[0], std::string_view(right).substr(0, right.find('|')));
}

inline std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

inline void add_object(data_set& data, const nlohmann::json& object) {
  const auto add = [&](const std::string& prompt, const std::string& chosen, const std::string& rejected,
                       const std::string& group) {
    if (chosen.empty() || rejected.empty() || chosen == rejected)
      ++data.unusable;
    else
      data.pairs.push_back({prompt, chosen, rejected, group});
  };
  if (data.form == data_form::preferences) {
    const std::string prompt = text_of(object, "prompt"), chosen = text_of(object, "chosen");
    add(prompt, chosen, text_of(object, "rejected"), prompt.empty() ? chosen : prompt);
  } else if (object.contains("before")) {
    // An edit that its annotator refused is no correction.
    const bool is_refused = text_of(object, "decision") == "Reject";
    add("", is_refused ? "" : text_of(object, "after"), text_of(object, "before"), text_of(object, "before"));
  } else {
    const std::string source = text_of(object, "source");
    for (const char* key : {"simplifications", "corrections"})
      if (const auto list = object.find(key); list != object.end() && list->is_array())
        for (const auto& target : *list) add("", target.is_string() ? target.get<std::string>() : "", source, source);
    if (object.contains("target")) add("", text_of(object, "target"), source, source);
  }
}

/// The form of a file, by its first line that is not empty and its number.
inline data_form form_of(std::string_view line, std::size_t number, const std::string& name) {
  const std::string known =
      " is none of the known forms: wrong->right (codespell); wrong and right separated by a tab or comma; JSON Lines "
      "with "
      "source and target, simplifications or corrections, with before and after, or with chosen and rejected";
  if (line.starts_with('[') || line == "{")
    throw std::runtime_error(name + ": is JSON over several lines; JSON Lines are wanted, an object a line");
  if (line.starts_with('{')) {
    const auto object = common::parse_json(line);
    if (!object.is_object())
      throw std::runtime_error(name + ": line " + std::to_string(number) + " is not a JSON object");
    const auto has = [&](const char* key) { return object.contains(key); };
    if (has("chosen") && has("rejected")) return data_form::preferences;
    if (has("before") && has("after")) return data_form::edits;
    if (has("source") && (has("target") || has("simplifications") || has("corrections"))) return data_form::edits;
    throw std::runtime_error(name + known);
  }
  if (line.find("->") != std::string_view::npos) return data_form::codespell;
  if (line.find_first_of("\t,") != std::string_view::npos) return data_form::table;
  throw std::runtime_error(name + known);
}

}  // namespace detail

/// The pairs of a text in any of the forms, which its first line tells; a byte order mark of UTF-8 is skipped. `name`
/// stands in messages. Throws std::runtime_error if the text is not UTF-8, where JSON is wanted, or UTF-16, if the form
/// is not known, a line is no JSON object where it must be, most lines of a list of words are no pair of words (prose
/// with a comma in its first line is no table), or no pair is left.
inline data_set parse_data(std::string_view bytes, const std::string& name) {
  std::string_view text = common::text_in(bytes, name);
  data_set data;
  bool has_form = false;
  char separator = ',';
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = detail::trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty()) continue;
    if (!has_form) {
      data.form = detail::form_of(line, number, name);
      has_form = true;
      if (line.find('\t') != std::string_view::npos) separator = '\t';
    }
    ++data.entries;
    if (data.form == data_form::codespell) {
      detail::add_codespell(data, line);
    } else if (data.form == data_form::table) {
      detail::add_row(data, line, separator);
    } else {
      const auto object = common::parse_json(line);
      if (!object.is_object())
        throw std::runtime_error(name + ": line " + std::to_string(number) + " is not a JSON object");
      detail::add_object(data, object);
    }
  }
  if (!has_form) throw std::runtime_error(name + ": is empty");
  if (data.pairs.empty())
    throw std::runtime_error(name + ": no usable pair among " + std::to_string(data.entries) + " entries");
  if (data.is_words() && data.pairs.size() < data.entries - data.pairs.size())
    throw std::runtime_error(name + ": read as a " + name_of(data.form) + ", but only " +
                             std::to_string(data.pairs.size()) + " of " + std::to_string(data.entries) +
                             " lines are a pair of words");
  return data;
}

inline data_set read_data(const std::string& path) { return parse_data(read_file(path), path); }

/// codespell's dictionary where examples/run, pip and Debian put it; empty if it is nowhere.
inline std::string find_dictionary() {
  namespace fs = std::filesystem;
  std::vector<fs::path> roots{"build/codespell", "/usr/lib/python3/dist-packages"};
  std::vector<fs::path> libraries{"/usr/local/lib", "/usr/lib"};
  if (const char* home = std::getenv("HOME")) libraries.push_back(fs::path(home) / ".local/lib");
  if (const char* environment = std::getenv("VIRTUAL_ENV")) libraries.push_back(fs::path(environment) / "lib");
  std::error_code error;
  for (const fs::path& library : libraries)
    for (const auto& entry : fs::directory_iterator(library, error))
      if (entry.path().filename().string().starts_with("python3"))
        for (const char* packages : {"site-packages", "dist-packages"}) roots.push_back(entry.path() / packages);
  for (const fs::path& root : roots)
    if (const fs::path file = root / "codespell_lib/data/dictionary.txt"; fs::is_regular_file(file, error))
      return file.string();
  return "";
}

}  // namespace seq2seq
