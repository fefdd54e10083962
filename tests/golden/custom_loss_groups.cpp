#include "vector_case.hpp"

namespace golden {
namespace {

/// Every named loss of the group as a user would write it: one generic lambda.
template <class F>
void with_loss(const vector_case& c, F&& f) {
  const std::string name = c.text("loss");
  const double a = c.has_parameter("a") ? c.parameter("a") : 0, b = c.has_parameter("b") ? c.parameter("b") : 0;
  std::vector<double> advantage, old_log_prob;
  if (name == "ppo_clip") {
    advantage = c.input("advantage").data;
    old_log_prob = c.input("old_log_prob").data;
  }
  if (name == "nll")
    f([](const auto& t) { return -t.log_prob; });
  else if (name == "nll_z")
    f([=](const auto& t) { return -t.log_prob + a * emend::square(t.log_z); });
  else if (name == "focal")
    f([=](const auto& t) { return -emend::pow(-emend::expm1(t.log_prob), a) * t.log_prob; });
  else if (name == "entropy_bonus")
    f([=](const auto& t) { return -t.log_prob - a * t.entropy; });
  else if (name == "soft_td")
    f([=](const auto& t) { return emend::square(t.score - a * t.next_log_z); });
  else if (name == "chi2_step")
    f([=](const auto& t) {
      const auto r = t.score - a * t.next_log_z;
      return -(r - b / 4 * emend::square(r)) + t.log_z - a * t.next_log_z;
    });
  else if (name == "pseudo_huber")
    f([=](const auto& t) { return emend::sqrt(1 + emend::square(t.log_prob + a)) - 1; });
  else if (name == "ppo_clip")
    f([&](const auto& t) {
      const auto ratio = emend::exp(t.log_prob - t(old_log_prob));
      return -emend::min(ratio * t(advantage), emend::clamp(ratio, 1 - a, 1 + b) * t(advantage));
    });
  else if (name == "logistic_gap")
    f([=](const auto& t) { return -emend::log_sigmoid(t.score - a * t.log_z - b * t.next_log_z); });
  else if (name == "unlikelihood")
    f([](const auto& t) { return -emend::log1p(-emend::exp(t.log_prob)); });
  else if (name == "all_five")
    f([=](const auto& t) {
      return t.entropy * emend::exp(-emend::square(t.log_z) / a) + emend::tanh(t.log_prob - b * t.next_log_z) +
             emend::sin(t.score);
    });
  else
    throw std::runtime_error("unknown loss " + name);
}

std::string custom_loss(vector_case& c) {
  in_precision(c, [&]<class T>() {
    const auto logits = c.input("logits").scores<T>();
    const auto target = c.input("target").ids(), next = c.input("next").ids();
    const std::vector<double> mask = c.input("mask").data, weight = c.input("weight").data;
    with_loss(c, [&](const auto& loss) {
      std::vector<double> per_token;
      const auto result = emend::evaluate(loss, logits, target,
                                          {.mask = mask, .weight = weight, .links = next, .per_token = &per_token});
      c.expect("value", result.value);
      c.expect("per_token", per_token);
      c.expect_gradient("logits", result.gradient);
    });
  });
  return {};
}

const known_group known{"dual/custom_loss", custom_loss};

}  // namespace
}  // namespace golden
