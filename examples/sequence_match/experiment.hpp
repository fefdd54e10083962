#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <common/run_jobs.hpp>
#include <emend/metrics/bootstrap.hpp>
#include <emend/metrics/wilson.hpp>

namespace sequence_match {

/// One of the three experiments, as the program runs and shows it.
struct experiment {
  std::string name;
  nlohmann::json fingerprint;  // what the numbers depend on
  std::vector<common::job> jobs;
  std::function<void()> prepare = [] {};  // before the first job: throws where the data are not what is wanted
  std::function<std::string(const std::string& job, const nlohmann::json& result)> in_words;  // a line
  std::function<void(common::terminal&, const common::result_lines&)> print;
  std::function<std::string(const common::result_lines&)> csv;   // lines under `csv_head`
  std::function<std::string(const common::result_lines&)> page;  // sections
};

inline constexpr const char* csv_head = "task,arm,noise,level,seed,measure,value,low,high\n";

/// One line of the table: an interval where there is one.
inline std::string csv_line(const std::string& task, const std::string& arm, const std::string& noise, double level,
                            const std::string& seed, const char* measure, double value, double low = std::nan(""),
                            double high = std::nan("")) {
  const auto number = [](double x) { return std::isnan(x) ? std::string() : common::format("%.6g", x); };
  return task + "," + arm + "," + noise + "," + number(level) + "," + seed + "," + measure + "," + number(value) + "," +
         number(low) + "," + number(high) + "\n";
}

}  // namespace sequence_match
