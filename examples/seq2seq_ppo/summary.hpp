#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <emend/metrics/wilson.hpp>
#include <seq2seq_ppo/experiment.hpp>

namespace seq2seq_ppo {

/// An arm over its seeds, at one divergence from the first policy.
struct summary {
  std::string name;
  world from;                       // seed unused
  int seeds = 0;                    // that came to this divergence
  double gold = 0, gold_error = 0;  // mean over seeds, and its standard error
  double exact = 0, length = 0, refusal = 0, unusual_gold = 0, first_gold = 0;
  emend::share win;          // of the arm over the first policy on the same prompts, ties half
  emend::share unusual_win;  // the same on unusual prompts
  emend::share over_scalar;  // head to head with scalar PPO of the same worlds at the same divergence
};

namespace detail {

/// Whether a run came to the divergence, and the point of it that is nearest.
inline const point* nearest(const arm_result& r, double kl) {
  const point* best = nullptr;
  double highest = 0;
  for (const point& p : r.points) {
    highest = std::max(highest, p.held_out.kl);
    if (p.step > 0 && (!best || std::abs(p.held_out.kl - kl) < std::abs(best->held_out.kl - kl))) best = &p;
  }
  return highest >= 0.8 * kl ? best : nullptr;
}

/// A measure where the run first crosses the divergence, linear between the points on either side.
template <class Measure>
double at_divergence(const arm_result& r, double kl, Measure&& measure) {
  for (std::size_t i = 1; i < r.points.size(); ++i) {
    const double low = r.points[i - 1].held_out.kl, high = r.points[i].held_out.kl;
    if (low <= kl && high > kl) {
      const double share = (kl - low) / (high - low);
      return (1 - share) * measure(r.points[i - 1]) + share * measure(r.points[i]);
    }
  }
  const point* p = nearest(r, kl);
  return p ? measure(*p) : std::nan("");
}

inline void add_wins(const measurement& a, const measurement& b, double& wins, double& count) {
  for (std::size_t i = 0; i < a.gold.size() && i < b.gold.size(); ++i) {
    wins += a.gold[i] > b.gold[i] ? 1 : a.gold[i] == b.gold[i] ? 0.5 : 0;
    ++count;
  }
}

}  // namespace detail

/// The arm of a world over all seeds that have a result.
inline summary summarise(const experiment_options& o, const result_file& results, arm a, double kl) {
  summary s;
  s.name = name_of(a);
  s.from = a.from;
  std::vector<double> gold;
  double wins = 0, count = 0, unusual_wins = 0, unusual_count = 0, head_wins = 0, head_count = 0;
  for (int k = 0; k < o.seeds; ++k) {
    a.from.seed = o.first_seed + static_cast<std::uint64_t>(k);
    const arm_result* r = results.find(a);
    const point* p = r ? detail::nearest(*r, kl) : nullptr;
    if (!p) continue;
    ++s.seeds;
    const auto at = [&](auto&& measure) { return detail::at_divergence(*r, kl, measure); };
    gold.push_back(at([](const point& q) { return q.held_out.mean_gold(); }));
    s.exact += at([](const point& q) { return q.held_out.exact; });
    s.length += at([](const point& q) { return q.held_out.length; });
    s.refusal += at([](const point& q) { return q.held_out.refusal; });
    s.unusual_gold += at([](const point& q) { return q.unusual.mean_gold(); });
    s.first_gold += r->points.front().held_out.mean_gold();
    detail::add_wins(p->held_out, r->points.front().held_out, wins, count);
    detail::add_wins(p->unusual, r->points.front().unusual, unusual_wins, unusual_count);
    arm rival = a;
    rival.by = method::scalar;
    if (const arm_result* other = results.find(rival))
      if (const point* q = detail::nearest(*other, kl))
        detail::add_wins(p->held_out, q->held_out, head_wins, head_count);
  }
  const double n = s.seeds;
  for (const double g : gold) s.gold += g / n;
  for (const double g : gold) s.gold_error += (g - s.gold) * (g - s.gold);
  s.gold_error = n > 1 ? std::sqrt(s.gold_error / (n - 1) / n) : std::nan("");
  for (double* x : {&s.exact, &s.length, &s.refusal, &s.unusual_gold, &s.first_gold}) *x /= n;
  s.win = emend::wilson_interval(wins, count);
  s.unusual_win = emend::wilson_interval(unusual_wins, unusual_count);
  s.over_scalar = emend::wilson_interval(head_wins, head_count);
  return s;
}

/// The distinct arms of an experiment, seeds aside, in their order.
inline std::vector<arm> distinct_arms(const std::vector<arm>& arms) {
  std::vector<arm> result;
  std::set<std::string> seen;
  for (arm a : arms) {
    a.from.seed = 0;
    if (seen.insert(key_of(a)).second) result.push_back(a);
  }
  return result;
}

inline void print_summary(common::terminal& out, const std::vector<summary>& all, double kl) {
  const auto print = [&](const char* title, auto&& wanted) {
    bool is_first = true;
    for (const summary& s : all) {
      if (!wanted(s)) continue;
      if (is_first) {
        out.line();
        out.line(out.strong(title) + out.faint(common::format("   at %g nats from the first policy", kl)));
        out.line(
            out.faint("                                 seeds  gold reward     exact  length  refusals  unusual  wins "
                      "over first       over scalar PPO"));
      }
      is_first = false;
      if (s.seeds == 0) {
        out.line(common::format("  %-32s never got there", s.name.c_str()));
        continue;
      }
      const auto percent = [](const emend::share& x) {
        return common::format("%4.1f (%.1f to %.1f)", 100 * x.value, 100 * x.low, 100 * x.high);
      };
      const std::string error = s.seeds > 1 ? common::format(" +- %.3f", s.gold_error) : "         ";
      out.line(common::format("  %-28s %6d   %.3f%s  %4.1f %%   %.3f   %5.1f %%    %.3f   ", s.name.c_str(), s.seeds,
                              s.gold, error.c_str(), 100 * s.exact, s.length, 100 * s.refusal, s.unusual_gold) +
               percent(s.win) + (s.name.starts_with("scalar") ? "" : "   " + percent(s.over_scalar)));
    }
  };
  const auto is_main = [&](const summary& s, shortcut planted) {
    return s.from.planted == planted && s.from.noise == all.front().from.noise &&
           (!s.name.starts_with("seq2seq") || s.name.ends_with("(sign)"));
  };
  print("No shortcut planted", [&](const summary& s) { return is_main(s, shortcut::none); });
  print("Longer responses preferred in half of the pairs",
        [&](const summary& s) { return is_main(s, shortcut::longer); });
  print("A stock refusal preferred in half of the pairs",
        [&](const summary& s) { return is_main(s, shortcut::refusal); });
  const auto is_form = [&](const summary& s) {
    return s.from.planted == shortcut::none && s.from.noise == all.front().from.noise && s.name.starts_with("seq2seq");
  };
  if (std::count_if(all.begin(), all.end(), is_form) > 1)
    print("Forms of the sequence-to-sequence reward, no shortcut", is_form);
  for (const double noise : [&] {
         std::set<double> noises;
         for (const summary& s : all) noises.insert(s.from.noise);
         return noises;
       }())
    if (noise != all.front().from.noise)
      print(common::format("Label noise %g, no shortcut", noise).c_str(),
            [&](const summary& s) { return s.from.noise == noise; });
}

/// One row for every measured point of every run.
inline std::string csv_of(const std::vector<arm>& arms, const result_file& results) {
  std::ostringstream out;
  out << "method,form,planted,rate,noise,seed,step,prompts,kl,gold,exact,length,refusal\n";
  for (const arm& a : arms)
    if (const arm_result* r = results.find(a))
      for (const point& p : r->points)
        for (const bool is_unusual : {false, true}) {
          const measurement& m = is_unusual ? p.unusual : p.held_out;
          out << method_names[static_cast<std::size_t>(a.by)] << "," << (a.by == method::seq2seq ? a.of.name : "")
              << "," << shortcut_names[static_cast<std::size_t>(a.from.planted)] << "," << a.from.rate << ","
              << a.from.noise << "," << a.from.seed << "," << p.step << "," << (is_unusual ? "unusual" : "held out")
              << "," << m.kl << "," << m.mean_gold() << "," << m.exact << "," << m.length << "," << m.refusal << "\n";
        }
  return out.str();
}

}  // namespace seq2seq_ppo
