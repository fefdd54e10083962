// What is, and what is not, a model of each concept; all at compile time.
#include <emend/core/thread_pool.hpp>
#include <emend/emend.hpp>

#include <array>
#include <span>
#include <string>
#include <vector>

using namespace emend;

namespace {

struct user_matrix {
  index n, v;
  std::vector<float> d;
};
struct view_of_user {
  const user_matrix* of;
};
struct only_like {};
struct only_visit {};
struct device {};
struct device_without_backward {};

struct head_base {
  static head_shape shape(const device&) { return {}; }
};

}  // namespace

template <>
struct emend::backend<user_matrix> {
  static user_matrix like(const user_matrix& m) { return {m.n, m.v, std::vector<float>(m.d.size())}; }
  static void visit(const user_matrix& m, auto&& f) { f(score_view<const float>{m.d.data(), m.n, m.v, m.v, 1}); }
  static void visit(user_matrix& m, auto&& f) { f(score_view<float>{m.d.data(), m.n, m.v, m.v, 1}); }
};
// A view's gradient is the type that owns.
template <>
struct emend::backend<view_of_user> {
  static user_matrix like(const view_of_user& m) { return backend<user_matrix>::like(*m.of); }
  static void visit(const view_of_user& m, auto&& f) { backend<user_matrix>::visit(*m.of, f); }
};
template <>
struct emend::backend<only_like> {
  static only_like like(const only_like& m) { return m; }
};
template <>
struct emend::backend<only_visit> {
  static void visit(const only_visit&, auto&& f) { f(score_view<const float>{}); }
};
template <>
struct emend::backend<device> : head_base {
  static device like(const device& x) { return x; }
  static void forward(const device&, const head_request&, row_statistics*, double*) {}
  static void backward(const device&, const head_request&, const row_statistics*, const row_adjoint*, const double*,
                       device&) {}
};
template <>
struct emend::backend<device_without_backward> {
  static device_without_backward like(const device_without_backward& x) { return x; }
  static head_shape shape(const device_without_backward&) { return {}; }
  static void forward(const device_without_backward&, const head_request&, row_statistics*, double*) {}
};

// ---- scores
static_assert(host_scores<matrix<float>> && host_scores<matrix<double>> && host_scores<matrix<bfloat16>> &&
              host_scores<matrix<float16>>);
static_assert(host_scores<score_view<float>> && host_scores<score_view<const float>> &&
              host_scores<score_view<const float16>>);
static_assert(host_scores<const matrix<float>&> && host_scores<user_matrix> && host_scores<view_of_user>);
static_assert(std::same_as<gradient_type<score_view<const float>>, matrix<float>>);
static_assert(std::same_as<gradient_type<view_of_user>, user_matrix>);
static_assert(!host_scores<std::vector<float>> && !host_scores<std::vector<std::vector<float>>> && !host_scores<int>);
static_assert(!host_scores<only_like> && !host_scores<only_visit> && !host_scores<device>);
static_assert(!host_scores<score_view<int>>);

static_assert(head_scores<device> && !head_scores<device_without_backward> && !head_scores<matrix<float>> &&
              !head_scores<int>);

static_assert(scores<matrix<float>> && scores<device> && scores<linear_scores<matrix<float>, matrix<float>>>);
static_assert(!scores<linear_scores<device, matrix<float>>> && !scores<double> && !scores<std::string>);

static_assert(gradient_target<matrix<float>, matrix<float>> && gradient_target<score_view<float>, matrix<float>>);
static_assert(!gradient_target<std::vector<float>, matrix<float>> && !gradient_target<const float*, matrix<float>>);
static_assert(gradient_target<device, device> && !gradient_target<matrix<float>, device>);

static_assert(score_type<float> && score_type<double> && score_type<bfloat16> && score_type<float16>);
static_assert(!score_type<int> && !score_type<long double> && !score_type<const float>);
static_assert(std::same_as<arithmetic<double>, double> && std::same_as<arithmetic<float16>, float>);

// ---- losses
namespace {
constexpr auto generic = [](const auto& t) { return -t.log_prob; };
constexpr auto constant = [](const auto&) { return 0.0; };
constexpr auto of_values = [](const token<double>& t) { return t.log_prob; };
constexpr auto to_text = [](const auto&) { return "no"; };
constexpr auto of_two = [](const auto& t, int) { return t.log_prob; };
}  // namespace
static_assert(token_loss<decltype(generic)> && token_loss<decltype(constant)>);
static_assert(token_loss<cross_entropy> && token_loss<entropy_bonus> && token_loss<ppo_clip>);
static_assert(!token_loss<decltype(of_values)> && !token_loss<decltype(to_text)> && !token_loss<decltype(of_two)> &&
              !token_loss<int>);
static_assert(detail::metric_count<ppo_clip> == 5 && detail::metric_count<cross_entropy> == 0);
static_assert(policy_loss<ppo_clip> && policy_loss<cispo> && policy_loss<sapo> && policy_loss<dro> &&
              !policy_loss<reinforce>);
static_assert(token_loss<cispo> && token_loss<sapo> && token_loss<dro> && token_loss<reinforce> && token_loss<dppo> &&
              token_loss<ipo_mask> && token_loss<kl_cov> && token_loss<kl_penalty>);
static_assert(sequence_loss<sequence_level<ppo_clip>> && sequence_loss<gmpo> && sequence_loss<vespo> &&
              sequence_loss<a_star_po>);
static_assert(token_loss<policy_objective<ppo_clip>> && !sequence_loss<policy_objective<ppo_clip>>);
static_assert(sequence_loss<policy_objective<sequence_level<ppo_clip>>> &&
              !token_loss<policy_objective<sequence_level<ppo_clip>>>);
static_assert(detail::metric_count<policy_objective<sequence_level<cispo>>> == 6 &&
              detail::metric_count<sequence_level<cispo>> == 5);

// ---- numbers
static_assert(real<double> && real<dual<double, 1>> && real<token_dual>);
static_assert(!real<int*> && !real<std::string>);
static_assert(detach(3.0) == 3 && clamp(5.0, 0, 1) == 1 && square(dual<double, 1>::variable(3, 0)).derivative[0] == 6);

// ---- executors
namespace {
struct own_executor {
  void for_each_chunk(index n, auto&& f) {
    for (index i = 0; i < n; ++i) f(i, i + 1);
  }
};
struct no_executor {
  void run(index) {}
};
}  // namespace
static_assert(executor<sequential> && executor<const sequential> && executor<thread_pool> && executor<own_executor>);
static_assert(!executor<no_executor> && !executor<const thread_pool> && !executor<int>);

// ---- layouts
namespace {
struct own_layout {
  index tokens() const { return 1; }
  index sequences() const { return 1; }
  void for_each_token(index, auto&& f) const { f(index{0}); }
};
struct no_layout {
  index tokens() const { return 1; }
};
}  // namespace
static_assert(sequence_layout<padded> && sequence_layout<ragged> && sequence_layout<packed> &&
              sequence_layout<own_layout>);
static_assert(!sequence_layout<no_layout> && !sequence_layout<std::vector<int>>);

// ---- columns
static_assert(std::convertible_to<std::vector<double>, column> && std::convertible_to<std::array<bool, 2>, column> &&
              std::convertible_to<std::span<const float>, column>);
static_assert(std::convertible_to<std::vector<long>, id_column> && !std::convertible_to<std::string*, id_column>);
static_assert(!std::convertible_to<double, column> && !std::convertible_to<int, id_column>);
