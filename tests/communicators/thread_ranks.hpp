#pragma once

#include <emend/training/communicator.hpp>

#include <barrier>
#include <thread>
#include <vector>

/// Ranks that are threads of this process.
class thread_ranks {
 public:
  explicit thread_ranks(emend::index size) : size_(size), barrier_(size), parts_(static_cast<std::size_t>(size)) {}

  class member {
   public:
    member(thread_ranks& group, emend::index rank) : group_(&group), rank_(rank) {}
    emend::index rank() const { return rank_; }
    emend::index size() const { return group_->size_; }
    void all_reduce_sum(std::span<double> x) { reduce(x); }
    void all_reduce_sum(std::span<float> x) { reduce(x); }
    std::vector<double> all_gather(std::span<const double> own) {
      std::vector<double> all;
      exchange(own, [&](const std::vector<double>& part) { all.insert(all.end(), part.begin(), part.end()); });
      return all;
    }

   private:
    template <class T>
    void reduce(std::span<T> x) {
      const std::vector<double> own(x.begin(), x.end());
      std::vector<double> sums(x.size(), 0);
      exchange(own, [&](const std::vector<double>& part) {
        for (std::size_t i = 0; i < x.size(); ++i) sums[i] += part[i];
      });
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(sums[i]);
    }
    template <class F>
    void exchange(std::span<const double> own, F&& f) {
      group_->parts_[static_cast<std::size_t>(rank_)].assign(own.begin(), own.end());
      group_->barrier_.arrive_and_wait();
      for (const auto& part : group_->parts_) f(part);
      group_->barrier_.arrive_and_wait();
    }
    thread_ranks* group_;
    emend::index rank_;
  };

  /// f(member&) on every rank at once.
  template <class F>
  void run(F&& f) {
    std::vector<std::thread> threads;
    for (emend::index r = 0; r < size_; ++r)
      threads.emplace_back([&, r] {
        member own(*this, r);
        f(own);
      });
    for (auto& thread : threads) thread.join();
  }

 private:
  emend::index size_;
  std::barrier<> barrier_;
  std::vector<std::vector<double>> parts_;
};
