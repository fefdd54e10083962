#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace common {

/// Results of the runs of a long experiment, by name, kept in a file of one JSON object a line; its first line is what
/// the numbers depend on. What is finished is there after an interruption.
class result_lines {
 public:
  /// Reads what is there if it is of the same experiment. Throws std::runtime_error if it is of another, or cannot be
  /// written.
  result_lines(const std::string& path, const nlohmann::json& fingerprint, bool is_fresh) : path_(path) {
    if (!is_fresh && std::filesystem::exists(path)) {
      read(fingerprint);
      return;
    }
    std::ofstream out(path);
    out << fingerprint.dump() << "\n";
    if (!out.flush()) throw std::runtime_error(path + ": cannot be written");
  }

  const std::map<std::string, nlohmann::json>& all() const { return results_; }
  bool has(const std::string& name) const { return results_.contains(name); }
  const nlohmann::json* find(const std::string& name) const {
    const auto found = results_.find(name);
    return found == results_.end() ? nullptr : &found->second;
  }
  /// Throws std::runtime_error if the file cannot be written.
  void put(const std::string& name, nlohmann::json result) {
    result["arm"] = name;
    std::ofstream out(path_, std::ios::app);
    // Texts of models break off within a character.
    const std::string line = result.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out << line << "\n";
    if (!out.flush()) throw std::runtime_error(path_ + ": cannot be written");
    // What was written is what is known: a run that is taken up again sees the same rounded numbers.
    results_[name] = nlohmann::json::parse(line);
  }

 private:
  void read(const nlohmann::json& fingerprint) {
    std::ifstream in(path_);
    std::string line;
    bool has_head = false;
    while (std::getline(in, line)) {
      auto object = nlohmann::json::parse(line, nullptr, false);
      if (!object.is_object()) continue;  // the line that an interruption cut
      if (has_head) {
        const std::string name = object.at("arm");
        results_[name] = std::move(object);
        continue;
      }
      for (const auto& [key, value] : fingerprint.items())
        if (object.value(key, nlohmann::json()) != value)
          throw std::runtime_error(path_ + " holds results of another run: its " + key + " is " +
                                   object.value(key, nlohmann::json()).dump() + ", here it is " + value.dump() +
                                   "; give another --results, or --fresh");
      has_head = true;
    }
    if (!has_head) throw std::runtime_error(path_ + ": not a file of results");
    // A cut line must not swallow the next one.
    in.clear();
    in.seekg(-1, std::ios::end);
    if (in.get() != '\n') std::ofstream(path_, std::ios::app) << "\n";
  }

  std::string path_;
  std::map<std::string, nlohmann::json> results_;
};

}  // namespace common
