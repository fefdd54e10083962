// Dual numbers against central finite differences, and the conventions at the kinks.
#include <emend/carriers/dual.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace {

using emend::dual;
using number = dual<double, 2>;

constexpr double infinite = std::numeric_limits<double>::infinity();

/// f over duals at x: value against `plain`, derivative against differences of `plain`.
void check_function(const char* name, const std::function<number(const number&)>& f,
                    const std::function<double(double)>& plain, const std::vector<double>& points) {
  for (double x : points) {
    CAPTURE(name);
    CAPTURE(x);
    number variable = number::variable(x, 0);
    variable.derivative[1] = -2;  // a second direction scales alike
    const number y = f(variable);
    const double step = 1e-6 * std::fmax(1, std::fabs(x));
    const double difference = (plain(x + step) - plain(x - step)) / (2 * step);
    CHECK(y.value == doctest::Approx(plain(x)).epsilon(1e-15));
    CHECK(y.derivative[0] == doctest::Approx(difference).epsilon(1e-7).scale(1e-3));
    CHECK(y.derivative[1] == -2 * y.derivative[0]);
  }
}
#define CHECK_FUNCTION(expression, ...) \
  check_function(                       \
      #expression,                      \
      [](const number& x) -> number {   \
        using namespace emend;          \
        return expression;              \
      },                                \
      [](double x) -> double {          \
        using namespace emend;          \
        return expression;              \
      },                                \
      std::vector<double>{__VA_ARGS__})

TEST_CASE("every function has the derivative of its values") {
  CHECK_FUNCTION(emend::exp(x), -3, 0, 0.5, 4);
  CHECK_FUNCTION(emend::expm1(x), -3, -1e-4, 0, 2);
  CHECK_FUNCTION(emend::log(x), 0.1, 1, 7);
  CHECK_FUNCTION(emend::log1p(x), -0.5, 0, 3);
  CHECK_FUNCTION(emend::sqrt(x), 0.2, 1, 9);
  CHECK_FUNCTION(emend::tanh(x), -2, 0, 0.3, 5);
  CHECK_FUNCTION(emend::sin(x), -2, 0, 1);
  CHECK_FUNCTION(emend::cos(x), -2, 0, 1);
  CHECK_FUNCTION(emend::pow(x, 3), -2, 0.5, 2);
  CHECK_FUNCTION(emend::pow(x, -0.5), 0.5, 2);
  CHECK_FUNCTION(emend::pow(x, 0), 0.5, 2);
  CHECK_FUNCTION(emend::abs(x), -2, 3);
  CHECK_FUNCTION(emend::square(x), -2, 0, 3);
  CHECK_FUNCTION(emend::sigmoid(x), -30, -1, 0, 1, 30);
  CHECK_FUNCTION(emend::log_sigmoid(x), -30, -1, 0, 1, 30);
  CHECK_FUNCTION(emend::clamp(x, -1, 2), -3, -0.5, 1, 4);
  CHECK_FUNCTION(emend::min(x, 1.5), 0, 2);
  CHECK_FUNCTION(emend::max(x, 1.5), 0, 2);
  CHECK_FUNCTION(emend::min(1.5, x), 0, 2);
  CHECK_FUNCTION(emend::max(1.5, x), 0, 2);
}

TEST_CASE("every operator, with numbers and constants on either side") {
  CHECK_FUNCTION(-x, -1, 2);
  CHECK_FUNCTION(x + 2.0, 1);
  CHECK_FUNCTION(2.0 + x, 1);
  CHECK_FUNCTION(x - 2.0, 1);
  CHECK_FUNCTION(2.0 - x, 1);
  CHECK_FUNCTION(x * 3.0, 1);
  CHECK_FUNCTION(3.0 * x, 1);
  CHECK_FUNCTION(x / 4.0, 1);
  CHECK_FUNCTION(4.0 / x, 0.5, -2);
  CHECK_FUNCTION(x * x + x / (1.0 + x * x), -1, 0.3, 2);
  CHECK_FUNCTION(emend::exp(x) * emend::log(x) - emend::sqrt(x) / x, 0.4, 2);
  CHECK_FUNCTION(emend::min(x * x, x + 1.0), -2, 0, 1, 3);
  number a = number::variable(2, 0);
  a += 1.0;
  a *= a;
  a -= number::variable(1, 1);
  a /= 2.0;
  CHECK(a.value == 4);
  CHECK(a.derivative[0] == 3);
  CHECK(a.derivative[1] == -0.5);
}

TEST_CASE("two variables keep their derivatives apart") {
  const number x = number::variable(3, 0), y = number::variable(5, 1);
  const number z = x * y + x / y;
  CHECK(z.derivative[0] == doctest::Approx(5 + 0.2));
  CHECK(z.derivative[1] == doctest::Approx(3 - 3.0 / 25));
}

TEST_CASE("kinks: a tie gives half to each, clamp passes whole at its edges, abs is flat at 0") {
  const number x = number::variable(2, 0), y = number::variable(2, 1);
  for (const number& tie : {emend::min(x, y), emend::max(x, y)}) {
    CHECK(tie.value == 2);
    CHECK(tie.derivative[0] == 0.5);
    CHECK(tie.derivative[1] == 0.5);
  }
  CHECK(emend::min(x, 2.0).derivative[0] == 0.5);
  CHECK(emend::max(2.0, x).derivative[0] == 0.5);
  CHECK(emend::min(x, x).derivative[0] == 1);
  CHECK(emend::clamp(x, 2, 3).derivative[0] == 1);
  CHECK(emend::clamp(x, 1, 2).derivative[0] == 1);
  CHECK(emend::clamp(x, 2.5, 3).derivative[0] == 0);
  CHECK(emend::clamp(x, 0, 1.5).derivative[0] == 0);
  CHECK(emend::abs(number::variable(0, 0)).derivative[0] == 0);
}

TEST_CASE("NaN goes through min and max from either side") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(std::isnan(emend::min(nan, 1.0)));
  CHECK(std::isnan(emend::min(1.0, nan)));
  CHECK(std::isnan(emend::max(nan, 1.0)));
  CHECK(std::isnan(emend::max(1.0, nan)));
  const number bad = number::variable(nan, 0), good = number::variable(1, 1);
  CHECK(std::isnan(emend::min(bad, good).value));
  CHECK(std::isnan(emend::min(good, bad).value));
  CHECK(std::isnan(emend::max(bad, good).value));
  CHECK(std::isnan(emend::max(good, bad).value));
}

TEST_CASE("detach keeps the value and drops the derivative") {
  const number x = number::variable(2, 0);
  CHECK(emend::detach(x).value == 2);
  CHECK(emend::detach(x).derivative[0] == 0);
  CHECK((x * emend::detach(x)).derivative[0] == 2);
  CHECK(emend::value_of(x) == 2);
  CHECK(emend::detach(3.0) == 3);
}

TEST_CASE("an infinite slope meets no derivative, and no NaN comes of it") {
  const number constant(0.0), x = number::variable(0, 0);
  CHECK(emend::sqrt(constant).derivative[0] == 0);
  CHECK(emend::log(constant).derivative[0] == 0);
  CHECK(emend::sqrt(x).derivative[0] == infinite);
  // A branch that a clamp has closed contributes nothing, however steep it was.
  CHECK(emend::clamp(emend::exp(number::variable(1000, 0)), 0, 2).derivative[0] == 0);
  CHECK((emend::exp(number::variable(1000, 0)) * 0.0).value != 0);  // inf * 0 is NaN in the value, as in double
}

TEST_CASE("select takes a branch whole, and nothing of the other") {
  const number x = number::variable(2, 0), bad = emend::log(number::variable(0, 0)) * 0.0;
  CHECK(std::isnan(bad.value));
  const number chosen = emend::select(x < 3.0, x * x, bad);
  CHECK(chosen.value == 4);
  CHECK(chosen.derivative[0] == 4);
  CHECK(emend::select(x > 3.0, bad, x).derivative[0] == 1);
  CHECK(emend::select(x < 3.0, 7.0, x).value == 7);
  CHECK(emend::select(x < 3.0, x, 7.0).derivative[0] == 1);
  CHECK(emend::select(x > 3.0, x, 7.0).derivative[0] == 0);
  CHECK(emend::select(true, 1, 2.5) == 1);
  // A slope of 0 stops even an infinite derivative, in products as in functions.
  const number steep = emend::sqrt(number::variable(0, 0));
  CHECK(steep.derivative[0] == infinite);
  CHECK((steep * 0.0).derivative[0] == 0);
  CHECK(emend::chain_product(0.0, infinite) == 0);
  CHECK(emend::chain_product(infinite, 0.0) == 0);
}

TEST_CASE("extreme arguments of the functions made for them") {
  CHECK(emend::sigmoid(-800.0) == 0);
  CHECK(emend::sigmoid(800.0) == 1);
  CHECK(emend::log_sigmoid(-800.0) == -800);
  CHECK(emend::log_sigmoid(800.0) == 0);
  CHECK(emend::log_sigmoid(number::variable(-800, 0)).derivative[0] == 1);
  CHECK(emend::log_sigmoid(number::variable(800, 0)).derivative[0] == 0);
}

TEST_CASE("formulas are constant expressions") {
  static_assert([] {
    const dual<double, 1> x = dual<double, 1>::variable(2, 0);
    const dual<double, 1> y = emend::clamp(emend::min(x * x, 10.0) - 1.0, 0, 5);
    return y.value == 3 && y.derivative[0] == 4;
  }());
}

}  // namespace
