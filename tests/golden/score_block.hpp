#pragma once

#include <emend/core/matrix.hpp>

#include <memory>
#include <string>
#include <vector>

namespace golden {

/// Where the scores of the cases lie: the backend that --backend names. A store is known to `stores` under its name.
struct block_store {
  virtual ~block_store() = default;
  /// A block of [rows, columns] in float or double, and another like it.
  virtual std::shared_ptr<void> make(emend::index rows, emend::index columns, bool is_double) const = 0;
  virtual std::shared_ptr<void> like(const std::shared_ptr<void>& block) const = 0;
  /// What backend<..>::visit of its type hands out.
  virtual emend::score_view<float> floats(const std::shared_ptr<void>& block) const = 0;
  virtual emend::score_view<double> doubles(const std::shared_ptr<void>& block) const = 0;
};

const block_store*& chosen_store();

template <class T>
class score_block {
 public:
  score_block(emend::index rows, emend::index columns)
      : score_block(chosen_store()->make(rows, columns, std::is_same_v<T, double>)) {}
  static score_block like(const score_block& x) { return score_block(chosen_store()->like(x.block_)); }
  emend::score_view<T> view() const {
    if constexpr (std::is_same_v<T, double>)
      return chosen_store()->doubles(block_);
    else
      return chosen_store()->floats(block_);
  }
  emend::index rows() const { return view().rows(); }
  emend::index columns() const { return view().vocab; }
  std::vector<T> values() const {
    const auto v = view();
    std::vector<T> all;
    for (emend::index i = 0; i < v.rows(); ++i)
      for (emend::index j = 0; j < v.vocab; ++j) all.push_back(v(i, j));
    return all;
  }

 private:
  explicit score_block(std::shared_ptr<void> block) : block_(std::move(block)) {}
  std::shared_ptr<void> block_;
};

}  // namespace golden

template <class T>
struct emend::backend<golden::score_block<T>> {
  static golden::score_block<T> like(const golden::score_block<T>& x) { return golden::score_block<T>::like(x); }
  static void visit(const golden::score_block<T>& x, auto&& f) { f(score_view<const T>(x.view())); }
  static void visit(golden::score_block<T>& x, auto&& f) { f(x.view()); }
};
static_assert(emend::host_scores<golden::score_block<float>> && emend::host_scores<golden::score_block<double>>);

namespace golden {

/// A store over an owning type: `make(rows, columns, is_double)` gives an X.
template <class X, class Make>
class store_of : public block_store {
 public:
  explicit store_of(Make make) : make_(make) {}
  std::shared_ptr<void> make(emend::index rows, emend::index columns, bool is_double) const override {
    return std::make_shared<X>(make_(rows, columns, is_double));
  }
  std::shared_ptr<void> like(const std::shared_ptr<void>& block) const override {
    return std::make_shared<X>(emend::backend<X>::like(of(block)));
  }
  emend::score_view<float> floats(const std::shared_ptr<void>& block) const override { return view<float>(block); }
  emend::score_view<double> doubles(const std::shared_ptr<void>& block) const override { return view<double>(block); }

 private:
  static X& of(const std::shared_ptr<void>& block) { return *static_cast<X*>(block.get()); }
  template <class T>
  static emend::score_view<T> view(const std::shared_ptr<void>& block) {
    emend::score_view<T> result;
    emend::backend<X>::visit(of(block), [&]<class U>(emend::score_view<U> v) {
      if constexpr (std::is_same_v<U, T>) result = v;
    });
    return result;
  }
  Make make_;
};

/// Makes a store known: a constant of namespace scope in the file that holds it.
struct known_store {
  known_store(const std::string& name, const block_store& store);
};
/// Throws std::runtime_error naming those there are, if there is none of this name.
void choose_store(const std::string& name);

}  // namespace golden
