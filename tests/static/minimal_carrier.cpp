// A number type with what the concept `real` documents and nothing else: every formula that asks for a real takes it.
#include <emend/core/probability_divergence.hpp>
#include <emend/losses/kl_estimators.hpp>
#include <emend/sequence_match/annealed_divergence.hpp>
#include <emend/sequence_match/divergences.hpp>
#include <emend/sequence_match/least_squares_objective.hpp>
#include <emend/sequence_match/sequence_match_objective.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace minimal {

/// What a comparison gives: no bool.
struct condition {
  bool holds;
};

class number {
 public:
  explicit number(double x) : x_(x) {}
  double get() const { return x_; }

  number& operator+=(const number& b) { return x_ += b.x_, *this; }
  number& operator-=(const number& b) { return x_ -= b.x_, *this; }
  number& operator*=(const number& b) { return x_ *= b.x_, *this; }
  number& operator/=(const number& b) { return x_ /= b.x_, *this; }
  friend number operator-(const number& a) { return number(-a.x_); }

#define EMEND_TEST_OPERATOR(op)                                                                \
  friend number operator op(const number& a, const number& b) { return number(a.x_ op b.x_); } \
  friend number operator op(const number& a, double b) { return number(a.x_ op b); }           \
  friend number operator op(double a, const number& b) { return number(a op b.x_); }
  EMEND_TEST_OPERATOR(+)
  EMEND_TEST_OPERATOR(-)
  EMEND_TEST_OPERATOR(*)
  EMEND_TEST_OPERATOR(/)
#undef EMEND_TEST_OPERATOR
#define EMEND_TEST_COMPARISON(op)                                                           \
  friend condition operator op(const number& a, const number& b) { return {a.x_ op b.x_}; } \
  friend condition operator op(const number& a, double b) { return {a.x_ op b}; }
  EMEND_TEST_COMPARISON(<)
  EMEND_TEST_COMPARISON(>)
  EMEND_TEST_COMPARISON(<=)
  EMEND_TEST_COMPARISON(>=)
  EMEND_TEST_COMPARISON(==)
  EMEND_TEST_COMPARISON(!=)
#undef EMEND_TEST_COMPARISON

 private:
  double x_;
};

number value_of(const number& a) { return a; }
number detach(const number& a) { return a; }
#define EMEND_TEST_FUNCTION(name) \
  number name(const number& a) { return number(emend::name(a.get())); }
EMEND_TEST_FUNCTION(exp)
EMEND_TEST_FUNCTION(expm1)
EMEND_TEST_FUNCTION(log)
EMEND_TEST_FUNCTION(log1p)
EMEND_TEST_FUNCTION(sqrt)
EMEND_TEST_FUNCTION(tanh)
EMEND_TEST_FUNCTION(sin)
EMEND_TEST_FUNCTION(cos)
EMEND_TEST_FUNCTION(abs)
EMEND_TEST_FUNCTION(square)
EMEND_TEST_FUNCTION(sigmoid)
EMEND_TEST_FUNCTION(log_sigmoid)
#undef EMEND_TEST_FUNCTION
number pow(const number& a, double b) { return number(emend::pow(a.get(), b)); }
#define EMEND_TEST_FUNCTION(name)                                                                 \
  number name(const number& a, const number& b) { return number(emend::name(a.get(), b.get())); } \
  number name(const number& a, double b) { return number(emend::name(a.get(), b)); }              \
  number name(double a, const number& b) { return number(emend::name(a, b.get())); }
EMEND_TEST_FUNCTION(min)
EMEND_TEST_FUNCTION(max)
#undef EMEND_TEST_FUNCTION
number clamp(const number& a, double low, double high) { return number(emend::clamp(a.get(), low, high)); }
number select(condition c, const number& a, const number& b) { return c.holds ? a : b; }
number select(condition c, const number& a, double b) { return c.holds ? a : number(b); }
number select(condition c, double a, const number& b) { return c.holds ? number(a) : b; }

}  // namespace minimal

namespace {

using minimal::number;
static_assert(emend::real<number>);

/// The formula of a number is that of double.
template <class F>
void check_formula(const F& f) {
  for (const double x : {-0.9, -0.5, -0.1, 0.0, 0.2, 0.7, 1.5, 4.0}) {
    const double expected = f(x);
    const double got = f(number(x)).get();
    CHECK(((got == expected) || (std::isnan(got) && std::isnan(expected))));
  }
}
template <class D>
void check_divergence(const D& d) {
  check_formula([&](const auto& x) { return d.phi(x); });
  check_formula([&](const auto& x) { return d.derivative(x); });
}

TEST_CASE("every divergence takes a number type with what real documents") {
  namespace of = emend::divergences;
  check_divergence(of::identity{});
  check_divergence(of::forward_kl{});
  check_divergence(of::reverse_kl{});
  check_divergence(of::jensen_shannon{});
  check_divergence(of::squared_hellinger{});
  check_divergence(of::pearson_chi2{});
  check_divergence(of::neyman_chi2{});
  check_divergence(of::mixture_chi2{});
  check_divergence(of::mixture_chi2{.is_clipped_at_maximum = true});
  check_divergence(of::total_variation{});
  check_divergence(emend::continued<of::neyman_chi2>{});
  check_divergence(emend::continued<of::pearson_chi2>{});
}

TEST_CASE("so do the objectives over trajectories") {
  const emend::sequence_match_objective<> match{.alpha = 0.3, .gamma = 0.9, .mixture_coefficient = 0.25};
  const emend::least_squares_objective squares{.alpha = 0.3, .gamma = 0.9, .huber = 1.5};
  for (const bool is_rollout : {false, true}) {
    check_formula([&](const auto& x) { return match.step(is_rollout, x).value; });
    check_formula([&](const auto& x) { return match.tail(is_rollout, x).slope; });
    check_formula([&](const auto& x) { return squares.step(is_rollout, x).slope; });
    check_formula([&](const auto& x) { return squares.tail(is_rollout, x).value; });
  }
}

}  // namespace
