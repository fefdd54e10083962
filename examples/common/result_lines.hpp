#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <common/json_line.hpp>
#include <common/read_file.hpp>
#include <common/write_file.hpp>

namespace common {

/// Results of the runs of a long experiment, by name, kept in a file of one JSON object a line; its first line is what
/// the numbers depend on. What is finished is there after an interruption. The file is written when the first run has
/// ended: an experiment that stops before then leaves none, and a file without a result stops nobody.
class result_lines {
 public:
  /// Reads what is there if it is of the same experiment. Throws std::runtime_error, one line with the file's name, if
  /// it has results of another, is no file of results, or cannot be written.
  result_lines(const std::string& path, const nlohmann::json& fingerprint, bool is_fresh)
      : path_(path), head_(fingerprint) {
    if (path_.empty()) throw std::runtime_error("--results: a file is wanted, to go on from after an interruption");
    check_writable(path_, "--results");
    std::error_code error;
    if (std::filesystem::exists(path_, error)) size_of_file(path_);  // a device keeps no results
    if (!is_fresh && std::filesystem::exists(path_, error)) read();
  }

  const std::string& path() const { return path_; }
  const std::map<std::string, nlohmann::json>& all() const { return results_; }
  bool has(const std::string& name) const { return results_.contains(name); }
  const nlohmann::json* find(const std::string& name) const {
    const auto found = results_.find(name);
    return found == results_.end() ? nullptr : &found->second;
  }
  /// Throws std::runtime_error if the file cannot be written; it is then as it was.
  void put(const std::string& name, nlohmann::json result) {
    result["arm"] = name;
    // Texts of models break off within a character.
    const std::string line = result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (has_head_)
      append(line + "\n");
    else
      write_whole(path_, head_.dump() + "\n" + line + "\n");
    has_head_ = true;
    // What was written is what is known: a run that is taken up again sees the same rounded numbers.
    results_[name] = nlohmann::json::parse(line);
  }

 private:
  void append(const std::string& line) const {
    const std::uintmax_t before = size_of_file(path_);
    std::ofstream out(path_, std::ios::app | std::ios::binary);
    out << line;
    out.close();
    if (out) return;
    const int reason = errno;
    std::error_code error;
    std::filesystem::resize_file(path_, before, error);
    throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(reason));
  }
  void read() {
    const std::string bytes = read_bytes(path_);
    std::string_view text = bytes;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // an editor's byte order mark
    nlohmann::json head;
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      auto object = parse_json(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
      if (!object.is_object()) continue;  // the line that an interruption cut
      if (head.is_null()) {
        head = std::move(object);
        continue;
      }
      const auto name = object.find("arm");
      if (name == object.end() || !name->is_string())
        throw std::runtime_error(path_ + ": line " + std::to_string(number) +
                                 " is no result of a run; give another --results, or --fresh");
      const std::string key = name->get<std::string>();
      results_[key] = std::move(object);
    }
    const bool is_blank = bytes.find_first_not_of(" \t\r\n") == std::string::npos;
    if (head.is_null() && !is_blank)
      throw std::runtime_error(path_ + ": not a file of results; give another --results, or --fresh");
    const bool is_of_program =
        !is_blank && head.contains("program") && head.at("program") == head_.value("program", nlohmann::json());
    if (results_.empty() && (is_blank || is_of_program)) return;  // the first result begins it anew
    for (const auto& [key, value] : head_.items()) {
      const nlohmann::json there = head.value(key, nlohmann::json());
      if (there != value)
        throw std::runtime_error(path_ + " holds results of another run: its " + key + " is " + in_words(there) +
                                 ", here it is " + in_words(value) + "; give another --results, or --fresh");
    }
    has_head_ = true;
    // A cut line must not swallow the next one.
    if (bytes.back() != '\n') append("\n");
  }
  static std::string in_words(const nlohmann::json& value) {
    const std::string all = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return all.size() > 200 ? all.substr(0, 200) + " .." : all;
  }

  std::string path_;
  nlohmann::json head_;
  bool has_head_ = false;  // whether the file begins with it
  std::map<std::string, nlohmann::json> results_;
};

}  // namespace common
