#include "vector_case.hpp"

#include <cmath>
#include <sstream>

namespace golden {

void vector_case::compare(const std::string& name, const array& expected, const std::vector<double>& got,
                          tolerance allowed) {
  std::ostringstream message;
  message.precision(17);
  if (expected.data.size() != got.size()) {
    message << name << ": " << expected.data.size() << " numbers expected, " << got.size() << " came";
  } else {
    double largest = 0;
    for (double x : expected.data)
      if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < got.size(); ++i) {
      // In single precision a result is a float: beyond its range it is infinite.
      const auto rounded = [&](double x) { return is_double_ ? x : static_cast<double>(static_cast<float>(x)); };
      const double want = rounded(expected.data[i]), came = rounded(got[i]);
      const bool is_same =
          std::isnan(want) ? std::isnan(came)
          : std::isinf(want)
              ? want == came
              : std::abs(came - want) <=
                    allowed.relative * (allowed.is_of_largest ? largest : std::abs(want)) + allowed.absolute;
      if (is_same) continue;
      message << name << "[" << i << "]: " << want << " expected, " << got[i] << " came";
      break;
    }
  }
  if (message.str().empty()) return;
  failure_ += (failure_.empty() ? "" : "; ") + message.str();
}

}  // namespace golden
