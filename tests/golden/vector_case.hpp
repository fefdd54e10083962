#pragma once

#include <emend/emend.hpp>

#include "score_block.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace golden {

using json = nlohmann::json;

/// One number of a vector file; non-finite ones are strings there.
inline double number_of(const json& x) {
  if (x.is_string()) {
    const std::string text = x.get<std::string>();
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    throw std::runtime_error("not a number: " + text);
  }
  return x.get<double>();
}

/// An array of a vector file, or a bare number.
struct array {
  std::vector<emend::index> shape;
  std::vector<double> data;

  emend::index rows() const {
    emend::index count = 1;
    for (std::size_t i = 0; i + 1 < shape.size(); ++i) count *= shape[i];
    return count;
  }
  emend::index columns() const { return shape.empty() ? 1 : shape.back(); }
  std::vector<emend::index> ids() const { return {data.begin(), data.end()}; }
  template <class T>
  emend::matrix<T> matrix() const {
    emend::matrix<T> m(rows(), columns());
    for (std::size_t i = 0; i < data.size(); ++i) m.data()[i] = static_cast<T>(data[i]);
    return m;
  }
  /// The same as scores of the chosen backend.
  template <class T>
  score_block<T> scores() const {
    score_block<T> block(rows(), columns());
    const auto view = block.view();
    for (std::size_t i = 0; i < data.size(); ++i)
      view(static_cast<emend::index>(i) / columns(), static_cast<emend::index>(i) % columns()) =
          static_cast<T>(data[i]);
    return block;
  }
};

inline array array_of(const json& x) {
  if (!x.is_object()) return {{}, {number_of(x)}};
  array result{x.at("shape").get<std::vector<emend::index>>(), {}};
  for (const json& v : x.at("data")) result.data.push_back(number_of(v));
  return result;
}

/// How far a result may be from what is expected.
struct tolerance {
  double relative, absolute;
  bool is_of_largest = false;  ///< relative to the array's largest magnitude
};

/// One case, run in one precision: reads inputs, compares outputs, remembers what differed.
class vector_case {
 public:
  vector_case(const json& source, bool is_double) : source_(source), is_double_(is_double) {}

  std::string id() const { return source_.at("id"); }
  bool is_double() const { return is_double_; }
  /// The peer computed in single precision, where 1e-8 vanishes beside a count.
  bool is_single_peer() const { return source_.at("dtype") == "float32"; }
  bool has_tag(const std::string& tag) const {
    for (const json& t : source_.at("tags"))
      if (t == tag) return true;
    return false;
  }
  bool has_parameter(const std::string& name) const {
    return source_.at("params").contains(name) && !source_.at("params").at(name).is_null();
  }
  double parameter(const std::string& name) const { return number_of(source_.at("params").at(name)); }
  std::vector<double> numbers(const std::string& name) const {
    std::vector<double> all;
    for (const json& x : source_.at("params").at(name)) all.push_back(number_of(x));
    return all;
  }
  std::string text(const std::string& name) const { return source_.at("params").at(name); }
  bool is_text(const std::string& name) const { return source_.at("params").at(name).is_string(); }
  bool is_true(const std::string& name) const { return has_parameter(name) && parameter(name) != 0; }
  bool has_text(const std::string& name, const std::string& value) const {
    return has_parameter(name) && text(name) == value;
  }
  std::string peer() const { return source_.at("peer"); }
  bool is_refused() const { return source_.contains("raises"); }
  bool has_input(const std::string& name) const { return source_.at("inputs").contains(name); }
  array input(const std::string& name) const { return array_of(source_.at("inputs").at(name)); }
  bool has_output(const std::string& name) const { return source_.at("outputs").contains(name); }
  array output(const std::string& name) const { return array_of(source_.at("outputs").at(name)); }
  /// Some number that the peer gave is NaN.
  bool has_nan() const {
    for (const char* of : {"outputs", "grads"})
      if (source_.contains(of))
        for (const json& entry : source_.at(of))
          for (double x : array_of(entry).data)
            if (x != x) return true;
    return false;
  }
  /// A part of the case ("params", "inputs", "outputs") as it stands in the file.
  const json& part(const std::string& name) const { return source_.at(name); }
  bool has_gradient(const std::string& name) const {
    return source_.contains("grads") && source_.at("grads").contains(name);
  }

  /// The file's tolerance for this case in this precision.
  tolerance usual() const {
    const bool is_exact = is_double_ && source_.at("dtype") == "float64" && !source_.at("float32_inside").get<bool>();
    if (!is_exact) return {2e-5, has_tag("extreme_logits") ? 2e-5 : 1e-6, source_.at("peer") == "definition"};
    return {1e-12, 1e-13, source_.at("peer") == "definition"};
  }

  void expect(const std::string& name, const std::vector<double>& got) {
    compare(name, array_of(source_.at("outputs").at(name)), got, usual());
  }
  void expect(const std::string& name, double got) { expect(name, std::vector<double>{got}); }
  /// A mean that the peer may have rounded to float whatever the case's type.
  void expect_metric(const std::string& name, double got) {
    tolerance allowed = usual();
    if (allowed.absolute < 1e-7) allowed.absolute = 1e-7;
    compare(name, array_of(source_.at("outputs").at(name)), {got}, allowed);
  }
  /// For results whose own rounding error is above the usual tolerance.
  void expect_within(const std::string& name, const std::vector<double>& got, double absolute) {
    tolerance allowed = usual();
    if (allowed.absolute < absolute) allowed.absolute = absolute;
    compare(name, array_of(source_.at("outputs").at(name)), got, allowed);
  }
  /// A number that stands somewhere within an output.
  void expect_number(const std::string& name, const array& expected, double got) {
    compare(name, expected, {got}, usual());
  }
  void expect_exactly(const std::string& name, const std::vector<emend::index>& got) {
    compare(name, array_of(source_.at("outputs").at(name)), {got.begin(), got.end()}, {0, 0});
  }
  void expect_gradient(const std::string& name, const std::vector<double>& got) {
    compare("gradient of " + name, array_of(source_.at("grads").at(name)), got, usual());
  }
  /// For a gradient that cancels: in single precision the peer's own entries are known to so much of the largest.
  void expect_cancelling_gradient(const std::string& name, const std::vector<double>& got) {
    tolerance allowed = usual();
    allowed.is_of_largest = true;
    compare("gradient of " + name, array_of(source_.at("grads").at(name)), got, allowed);
  }
  /// For groups with a tolerance of their own, relative to the larger of 1 and the array's largest magnitude, in
  /// double.
  template <class T>
  void expect_near(const std::string& name, const std::vector<T>& got, double relative, bool is_gradient = false) {
    const array expected = array_of(source_.at(is_gradient ? "grads" : "outputs").at(name));
    tolerance allowed = usual();
    if (is_double_) allowed = {relative, relative, true};
    compare(is_gradient ? "gradient of " + name : name, expected, {got.begin(), got.end()}, allowed);
  }
  template <class T>
  void expect_gradient(const std::string& name, const emend::matrix<T>& got) {
    expect_gradient(name, std::vector<double>(got.data(), got.data() + got.rows() * got.columns()));
  }

  template <class T>
  void expect_gradient(const std::string& name, const score_block<T>& got) {
    const std::vector<T> values = got.values();
    expect_gradient(name, std::vector<double>(values.begin(), values.end()));
  }

  const std::string& failure() const { return failure_; }

 private:
  void compare(const std::string& name, const array& expected, const std::vector<double>& got, tolerance allowed);

  const json& source_;
  bool is_double_;
  std::string failure_;
};

/// A group's check; returns why the case is skipped, or an empty string.
using check = std::function<std::string(vector_case&)>;
using registry = std::map<std::string, check>;

/// Every group that some file of this folder knows; with the name of a backend, what that one does beside them in ways
/// of its own.
inline registry& groups(const std::string& backend = {}) {
  static std::map<std::string, registry> all;
  return all[backend];
}

/// Makes a group known: a constant of namespace scope in the file that holds its check.
struct known_group {
  known_group(const std::string& name, check c, const std::string& backend = {}) {
    groups(backend)[name] = std::move(c);
  }
};

/// Runs `f` with emend::matrix<double> or <float> as the case asks: f.template operator()<T>().
template <class F>
void in_precision(const vector_case& c, F&& f) {
  if (c.is_double())
    f.template operator()<double>();
  else
    f.template operator()<float>();
}

}  // namespace golden
