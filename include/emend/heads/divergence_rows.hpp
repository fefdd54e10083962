#pragma once

#include <emend/base/aligned_allocator.hpp>
#include <emend/core/score_view.hpp>
#include <emend/heads/kernels/kernels.hpp>
#include <emend/heads/reference_divergence.hpp>
#include <emend/heads/score_transform.hpp>

#include <vector>

namespace emend::detail {

/// Rows gathered together: where tokens lie side by side they share their cache lines.
inline constexpr index divergence_row_group = 16;

/// f(row, id, element) over at most `divergence_row_group` rows from `first` on, those of which `is_read` says so, in
/// the order in which they lie in memory.
template <class T, class F>
void for_each_entry(const score_view<T>& view, index first, index last, const bool* is_read, F&& f) {
  const auto size = [](index x) { return x < 0 ? -x : x; };
  T* rows[divergence_row_group] = {};
  for (index i = first; i < last; ++i) rows[i - first] = view.row(i);
  if (size(view.token_stride) < size(view.vocab_stride)) {
    // Every column is a line of its own, which no hardware prefetcher foresees. As a number: it may lie past the end.
    constexpr index ahead = 24;
    const auto base = reinterpret_cast<std::uintptr_t>(rows[0]);
    for (index j = 0; j < view.vocab; ++j) {
      __builtin_prefetch(reinterpret_cast<const void*>(
          base + static_cast<std::uintptr_t>((j + ahead) * view.vocab_stride) * sizeof(T)));
      for (index i = first; i < last; ++i)
        if (is_read[i - first]) f(i, j, rows[i - first][j * view.vocab_stride]);
    }
  } else {
    for (index i = first; i < last; ++i)
      if (is_read[i - first])
        for (index j = 0; j < view.vocab; ++j) f(i, j, rows[i - first][j * view.vocab_stride]);
  }
}

/// One side's scores through its transform.
template <class T>
class transformed_scores {
  using A = arithmetic<T>;

 public:
  transformed_scores(score_view<const T> scores, const score_transform& transform)
      : scores_(scores), transform_(transform) {}

  index rows() const { return scores_.rows(); }
  index vocab() const { return scores_.vocab; }
  const T* row(index i) const { return scores_.row(i); }
  bool is_capped() const { return transform_.soft_cap != 0; }
  bool is_contiguous() const { return scores_.vocab_stride == 1 && !is_capped(); }
  /// Factor from what `read` gives, or from the scores of a contiguous row, to z.
  double multiplier(index i) const { return is_capped() ? 1 : scale(i); }

  double z(index i, index j) const {
    const double x = static_cast<double>(static_cast<A>(scores_(i, j)));
    if (transform_.soft_cap == 0) return scale(i) * x;
    if (x == -infinity) return x;
    return transform_.soft_cap * __builtin_tanh(transform_.logit_scale * x / transform_.soft_cap) / temperature(i);
  }
  /// dz / dx
  double slope(index i, index j) const {
    if (transform_.soft_cap == 0) return scale(i);
    const double t = __builtin_tanh(transform_.logit_scale * static_cast<double>(static_cast<A>(scores_(i, j))) /
                                    transform_.soft_cap);
    return scale(i) * (1 - t * t);
  }
  /// Scores of rows [first, last), those of which `is_read` says so, each to a row of `pitch` numbers.
  template <class To>
  void read(index first, index last, const bool* is_read, To* to, index pitch) const {
    if (is_capped())
      for_each_entry(scores_, first, last, is_read,
                     [&](index i, index j, const T&) { to[(i - first) * pitch + j] = static_cast<To>(z(i, j)); });
    else
      for_each_entry(scores_, first, last, is_read, [&](index i, index j, const T& x) {
        to[(i - first) * pitch + j] = static_cast<To>(static_cast<A>(x));
      });
  }

 private:
  double temperature(index i) const {
    return transform_.temperatures.is_given() ? transform_.temperatures[i] : transform_.temperature;
  }
  double scale(index i) const { return transform_.logit_scale / temperature(i); }

  score_view<const T> scores_;
  const score_transform& transform_;
};

/// Scratch that one thread needs for rows computed in A; reused between calls.
template <class A>
struct divergence_scratch {
  std::vector<A, aligned_allocator<A>> first, second, third, student, teacher, gradient;
  std::vector<double> student_reference, teacher_reference;

  saved_pair<A> saved(index vocab, bool is_mixed) {
    // Whole register groups of the widest registers.
    const std::size_t size = static_cast<std::size_t>((vocab + 31) / 32 * 32);
    if (first.size() < size) first.resize(size), second.resize(size);
    if (is_mixed && third.size() < size) third.resize(size);
    const std::size_t blocks = size / static_cast<std::size_t>(row_block) + 2;
    if (student_reference.size() < blocks) student_reference.resize(blocks), teacher_reference.resize(blocks);
    return {first.data(), second.data(), third.data(), student_reference.data(), teacher_reference.data()};
  }
};

/// Pairs of rows: the divergence forward, its gradient with respect to the student's scores backward, while the row is
/// in cache. Rows of one storage type with contiguous vocabulary go to the kernels as they are; all others are gathered
/// first, into the wider arithmetic type of the two.
template <class T, class U>
class divergence_head {
 public:
  using A =
      std::conditional_t<std::is_same_v<arithmetic<T>, double> || std::is_same_v<arithmetic<U>, double>, double, float>;
  using scratch = divergence_scratch<A>;

  divergence_head(score_view<const T> student, const score_transform& student_transform, score_view<const U> teacher,
                  const score_transform& teacher_transform, divergence_kind kind, double mixture, instruction_set set)
      : student_(student, student_transform),
        teacher_(teacher, teacher_transform),
        kind_(kind),
        mixture_(mixture),
        kernels_(divergence_kernels_for<A>(set)),
        set_(set) {
    if (kind == divergence_kind::jensen_shannon && mixture == 0) kind_ = divergence_kind::forward_kl;
    if (kind == divergence_kind::jensen_shannon && mixture == 1) kind_ = divergence_kind::reverse_kl;
    is_direct_ = std::is_same_v<T, U> && student_.is_contiguous() && teacher_.is_contiguous();
  }

  /// Rows [begin, end): `take_row(i, divergence_row)` for each whose factor(i) is not 0; with `out` the gradient, times
  /// the factor, and zeros elsewhere.
  template <class Factor, class TakeRow>
  void operator()(index begin, index end, const Factor& factor, const score_view<T>* out, bool is_streaming,
                  scratch& work, const TakeRow& take_row) const {
    if constexpr (std::is_same_v<T, U>)
      if (is_direct_ && (!out || out->vocab_stride == 1)) {
        for (index i = begin; i < end; ++i) {
          T* const to = out ? out->row(i) : nullptr;
          if (const double f = factor(i); f != 0)
            take_row(i, take<T>(divergence_kernels_for<T>(set_), student_.row(i), teacher_.row(i), i, f, to,
                                is_streaming, work));
          else if (out)
            for (index j = 0; j < out->vocab; ++j) to[j] = T(arithmetic<T>(0));
        }
        return;
      }
    for (index first = begin; first < end; first += divergence_row_group)
      take_tile(first, end - first < divergence_row_group ? end : first + divergence_row_group, factor, out, work,
                take_row);
  }

 private:
  template <class Factor, class TakeRow>
  void take_tile(index first, index last, const Factor& factor, const score_view<T>* out, scratch& work,
                 const TakeRow& take_row) const {
    const index vocab = student_.vocab(), pitch = (vocab + 15) / 16 * 16;
    const std::size_t size = static_cast<std::size_t>(divergence_row_group * pitch);
    if (work.student.size() < size) work.student.resize(size), work.teacher.resize(size), work.gradient.resize(size);
    bool is_read[divergence_row_group], is_written[divergence_row_group];
    for (index i = first; i < last; ++i) is_read[i - first] = factor(i) != 0, is_written[i - first] = true;
    student_.read(first, last, is_read, work.student.data(), pitch);
    teacher_.read(first, last, is_read, work.teacher.data(), pitch);
    for (index i = first; i < last; ++i) {
      A* const gradient = work.gradient.data() + (i - first) * pitch;
      const index at = (i - first) * pitch;
      if (is_read[i - first])
        take_row(i, take<A>(kernels_, work.student.data() + at, work.teacher.data() + at, i, factor(i),
                            out ? gradient : nullptr, false, work));
      else if (out)
        for (index j = 0; j < vocab; ++j) gradient[j] = 0;
    }
    if (!out) return;
    for_each_entry(*out, first, last, is_written, [&](index i, index j, T& to) {
      A g = work.gradient[static_cast<std::size_t>((i - first) * pitch + j)];
      // What the soft cap adds to the chain rule; the scores are still there, even where the gradient takes their
      // place.
      if (student_.is_capped() && g != 0) g = static_cast<A>(static_cast<double>(g) * student_.slope(i, j));
      to = T(static_cast<arithmetic<T>>(g));
    });
  }

  /// S: storage of the rows at hand, of the gathered ones A; `to` receives the gradient with respect to them.
  template <class S>
  divergence_row take(const divergence_kernels<S>& kernels, const S* x, const S* y, index i, double factor, S* to,
                      bool is_streaming, scratch& work) const {
    static_assert(std::is_same_v<arithmetic<S>, A>);
    const index vocab = student_.vocab();
    const bool is_saved = to || kind_ == divergence_kind::jensen_shannon;
    const saved_pair<A> saved =
        is_saved ? work.saved(vocab, kind_ == divergence_kind::jensen_shannon) : saved_pair<A>{};
    pair_sums<A> sums;
    const auto pass = is_saved ? kernels.saves_of[static_cast<int>(kind_)] : kernels.sums_of[static_cast<int>(kind_)];
    pass(sums, x, y, vocab, row_multiplier<A>(student_.multiplier(i)), row_multiplier<A>(teacher_.multiplier(i)),
         saved);

    const double student_sum = row_sums<A>::total(sums.student.sum), teacher_sum = row_sums<A>::total(sums.teacher.sum);
    const auto is_taken = [](const auto& side) {
      return side.has_reference && __builtin_fabs(side.reference) < 0x1p20;
    };
    if (is_extreme(student_.multiplier(i)) || is_extreme(teacher_.multiplier(i)) || sums.needs_reference_path ||
        !is_taken(sums.student) || !is_taken(sums.teacher) || !(student_sum > 0) || !(teacher_sum > 0))
      return take_reference(i, factor, to);

    const double student_log2 = __builtin_log2(student_sum), teacher_log2 = __builtin_log2(teacher_sum);
    divergence_row row;
    row.student_log2_z = sums.student.reference + student_log2;
    row.teacher_log2_z = sums.teacher.reference + teacher_log2;
    row.entropy = ln_2 * (student_log2 - row_sums<A>::total(sums.weighted) / student_sum);
    if (row.entropy < 1e-30) row.entropy = 0;
    const double cross = row_sums<A>::total(sums.cross);
    if (kind_ == divergence_kind::forward_kl) {
      row.value = ln_2 * (cross / teacher_sum - teacher_log2 + student_log2);
    } else if (kind_ == divergence_kind::reverse_kl) {
      row.value = ln_2 * (cross / student_sum - student_log2 + teacher_log2);
    } else {
      const mixture_sums mixed = kernels.mix(saved, vocab, row.student_log2_z, row.teacher_log2_z, mixture_);
      row.student_to_mixture = ln_2 * mixed.student;
      row.value = ln_2 * (mixture_ * mixed.teacher + (1 - mixture_) * mixed.student);
    }
    if (!to) return row;

    pair_gradient g{factor * student_.multiplier(i), -row.value, row.student_log2_z, row.teacher_log2_z, false};
    if (kind_ == divergence_kind::jensen_shannon) {
      g.scale *= 1 - mixture_;
      g.constant = -row.student_to_mixture;
      g.is_ratio_complete = true;
    }
    kernels.gradient_of[kind_ == divergence_kind::forward_kl](saved, to, vocab, g, is_streaming);
    return row;
  }

  /// Whether a factor is so far from 1 that the kernels' numbers could leave their range.
  static bool is_extreme(double factor) {
    constexpr double most = sizeof(A) == 4 ? 0x1p90 : 0x1p900;
    return factor > most || factor < 1 / most;
  }

  /// The gradient, as that of `take`, with respect to the rows at hand; `to` may be the student's row itself.
  template <class S>
  divergence_row take_reference(index i, double factor, S* to) const {
    const index vocab = student_.vocab();
    const reference_divergence reference([&](index j) { return student_.z(i, j); },
                                         [&](index j) { return teacher_.z(i, j); }, vocab, kind_, mixture_);
    if (!to) return reference.row();
    const double slope = factor * student_.multiplier(i);
    for (index j = 0; j < vocab; ++j) {
      const double g = reference.gradient(student_.z(i, j), teacher_.z(i, j));
      to[j] = S(static_cast<A>(g == 0 ? 0 : slope * g));
    }
    return reference.row();
  }

  transformed_scores<T> student_;
  transformed_scores<U> teacher_;
  divergence_kind kind_;
  double mixture_;
  const divergence_kernels<A>& kernels_;
  instruction_set set_;
  bool is_direct_;
};

}  // namespace emend::detail
