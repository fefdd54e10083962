#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <common/result_lines.hpp>
#include <common/terminal.hpp>

namespace common {

/// Says how far a run is, in [0, 1]; false: it was interrupted and is to be given up.
using report_progress = std::function<bool(double share)>;

/// One run of an experiment. `run` gives its result, or nothing where it was interrupted; runs go side by side.
struct job {
  std::string name;
  std::function<nlohmann::json(const report_progress&)> run;
};

/// Runs the jobs that have no result yet, in their order, `threads` at a time.
/// in_words: (name, result) -> what the line of a finished run says. Returns whether everything is done. Throws what a
/// job throws, when the others have come to an end.
template <class InWords>
bool run_jobs(const std::vector<job>& jobs, int threads, result_lines& results, terminal& out,
              const volatile std::sig_atomic_t& is_stopped, InWords&& in_words) {
  std::vector<const job*> open;
  for (const job& j : jobs)
    if (!results.has(j.name)) open.push_back(&j);
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  std::size_t done = 0;
  std::vector<double> share(open.size(), 0.0);
  std::exception_ptr failure;
  const auto start = std::chrono::steady_clock::now();
  const auto work = [&] {
    try {
      for (std::size_t k = next++; k < open.size() && !is_stopped; k = next++) {
        nlohmann::json result = open[k]->run([&](double of_run) {
          const std::lock_guard lock(mutex);
          share[k] = of_run;
          double all = 0;
          for (const double s : share) all += s;
          const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
          // Before the first run has ended, what all of them share may still be in the making.
          const double left = done > 0 ? elapsed / all * (static_cast<double>(open.size()) - all) : 0;
          out.progress(format("  %zu of %zu runs   ", done, open.size()) + open[k]->name +
                       format(": %.0f %%", 100 * of_run) + (left > 0 ? "   " + in_seconds(left) + " left" : ""));
          return !is_stopped && !failure;
        });
        if (!result.is_object()) return;
        const std::lock_guard lock(mutex);
        share[k] = 1;
        ++done;
        results.put(open[k]->name, std::move(result));
        out.line(format("  %3zu/%zu  ", done, open.size()) + in_words(open[k]->name, *results.find(open[k]->name)));
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = open.size();
    }
  };
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < threads; ++t) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  return done == open.size();
}

}  // namespace common
