#pragma once

#include <emend/heads/score_adjoint.hpp>
#include <emend/heads/score_rows.hpp>

#include <vector>

namespace emend::detail {

/// The entries of a row's gradient at its targets, taken in double from the scores before the row is overwritten, each
/// rounded once.
template <class T>
class target_entries {
 public:
  /// targets(row, f) calls f(score_adjoint) for each target of the row.
  template <class Targets>
  target_entries(const score_rows<T>& rows, index row, const row_statistics& statistics, const row_adjoint& adjoint,
                 const Targets& targets)
      : row_(row) {
    targets(row, [&](const score_adjoint& target) {
      const double z = rows.z(row, target.id);
      if (z == -infinity) return;  // outside the support: a constant
      const double slope = rows.slope(row, target.id);
      for (index k = 0; k < size(); ++k)
        if (at(k).id == target.id) {
          at(k).value += slope * target.value;
          return;
        }
      const double common = adjoint.is_zero() ? 0 : reference_gradient(z, target.id, statistics, adjoint);
      push({target.id, slope * (common + target.value)});
    });
  }
  void write(score_view<T> out) const {
    for (index k = 0; k < size(); ++k) {
      const score_adjoint& entry = at(k);
      out(row_, entry.id) = T(static_cast<arithmetic<T>>(entry.value));
    }
  }

 private:
  // One target a row is the rule; more are kept beside it.
  index size() const { return count_; }
  score_adjoint& at(index k) { return k == 0 ? first_ : more_[static_cast<std::size_t>(k - 1)]; }
  const score_adjoint& at(index k) const { return k == 0 ? first_ : more_[static_cast<std::size_t>(k - 1)]; }
  void push(const score_adjoint& entry) {
    if (count_ == 0)
      first_ = entry;
    else
      more_.push_back(entry);
    ++count_;
  }

  index row_, count_ = 0;
  score_adjoint first_{};
  std::vector<score_adjoint> more_;
};

}  // namespace emend::detail
