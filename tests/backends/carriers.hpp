#pragma once

// How each carrier holds a table, and the calls of the library over it. Included by carriers_*.cpp alone.

#include "suite.hpp"

#include <emend/core/thread_pool.hpp>
#include <emend/evaluation/evaluate.hpp>

#include <functional>
#include <memory>

namespace suite {

/// One executor type for all tests: the pool, or the calling thread.
struct chosen_executor {
  std::unique_ptr<thread_pool> pool;
  explicit chosen_executor(int threads) : pool(threads > 0 ? std::make_unique<thread_pool>(threads) : nullptr) {}
  void for_each_chunk(index n, const std::function<void(index, index)>& f) {
    if (pool)
      pool->for_each_chunk(n, f);
    else
      sequential{}.for_each_chunk(n, f);
  }
};

template <class X>
std::vector<double> values_of(const X& x) {
  std::vector<double> values;
  backend<X>::visit(x, [&]<class T>(score_view<const T> v) {
    for (index i = 0; i < v.rows(); ++i)
      for (index j = 0; j < v.vocab; ++j) values.push_back(static_cast<double>(static_cast<arithmetic<T>>(v(i, j))));
  });
  return values;
}
template <class T>
void write_table(const table& x, score_view<T> v) {
  for (index i = 0; i < x.rows; ++i)
    for (index j = 0; j < x.vocab; ++j) v(i, j) = T(static_cast<arithmetic<T>>(x(i, j)));
}

/// Specialised per carrier: `storage`; constructed from a table; `scores()`, a const type that evaluate takes;
/// `target()`, what evaluate_into writes to, and `same()`, the scores themselves as a target.
template <class Carrier>
struct holder;

template <class T>
struct holder<plain<T>> {
  using storage = T;
  matrix<T> x, out;
  explicit holder(const table& t) : x(t.rows, t.vocab), out(t.rows, t.vocab) {
    write_table(t, score_view<T>{x.data(), t.rows, t.vocab, t.vocab, 1});
    for (index i = 0; i < t.rows * t.vocab; ++i) out.data()[i] = T(77.0f);
  }
  const matrix<T>& scores() const { return x; }
  matrix<T>& target() { return out; }
  matrix<T>& same() { return x; }
};

template <class T, order Order>
struct holder<strided<T, Order>> {
  using storage = T;
  std::vector<T> memory, other;
  score_view<T> x, out;
  score_view<const T> x_const;
  explicit holder(const table& t) {
    const index n = t.rows, v = t.vocab;
    score_view<T> layout{nullptr, n, v, v, 1};
    index first = 0, size = 0;
    if constexpr (Order == order::transposed) {
      layout.token_stride = 1;
      layout.vocab_stride = n + 3;
      size = v * (n + 3);
    } else if constexpr (Order == order::reversed) {
      layout.token_stride = -v;
      layout.vocab_stride = -1;
      size = n * v;
      first = size > 0 ? size - 1 : 0;
    } else if constexpr (Order == order::spread) {
      layout.token_stride = 3 * v;
      layout.vocab_stride = 3;
      size = 3 * n * v;
    } else if constexpr (Order == order::slice) {
      layout.batch = n % 2 == 0 && n > 0 ? 2 : n % 3 == 0 && n > 0 ? 3 : 1;
      layout.tokens = n / layout.batch;
      layout.batch_stride = (layout.tokens + 1) * v;
      size = layout.batch * layout.batch_stride;
    } else {
      layout.token_stride = v + 5;
      size = n * (v + 5);
    }
    // What lies between the scores must not be read, nor written.
    memory.assign(static_cast<std::size_t>(size), T(std::numeric_limits<float>::quiet_NaN()));
    other = memory;
    x = out = layout;
    x.data = memory.data() + first;
    out.data = other.data() + first;
    write_table(t, x);
    for (index i = 0; i < n; ++i)
      for (index j = 0; j < v; ++j) out(i, j) = T(77.0f);
    x_const = x;
  }
  const score_view<const T>& scores() const { return x_const; }
  score_view<T>& target() { return out; }
  score_view<T>& same() { return x; }
  /// Nothing but the scores was written.
  bool is_intact() const {
    index finite = 0;
    for (T value : other) finite += !std::isnan(static_cast<arithmetic<T>>(value));
    return finite <= x.rows() * x.vocab;
  }
};

template <class Carrier>
outcome evaluate_on(const table& x, const request& r) {
  holder<Carrier> held(x);
  chosen_executor executor(r.threads);
  outcome result;
  const auto take = [&](const auto& got) {
    result.value = got.value;
    result.evaluated = got.evaluated;
    result.metrics = got.metrics;
  };
  const auto read = [&](const auto& gradient) {
    if constexpr (requires { holder<Carrier>::read(gradient); })
      result.gradient = holder<Carrier>::read(gradient);
    else
      result.gradient = values_of(gradient);
  };
  const auto into = [&](auto& target) {
    take(evaluate_into(r.loss, held.scores(), r.targets, r.options, target, executor));
    read(target);
  };
  if (r.how == way::value_only) {
    take(evaluate_value(r.loss, held.scores(), r.targets, r.options, executor));
  } else if (r.how == way::into) {
    into(held.target());
    if constexpr (requires { held.is_intact(); }) CHECK(held.is_intact());
  } else if (r.how == way::in_place) {
    if constexpr (requires { held.same(); })
      into(held.same());
    else
      into(held.target());
  } else {
    const auto got = evaluate(r.loss, held.scores(), r.targets, r.options, executor);
    take(got);
    read(got.gradient);
  }
  return result;
}

template <class Carrier>
statistics_columns statistics_on(const table& x, const std::vector<index>& targets, const statistics_options& options,
                                 int threads) {
  const holder<Carrier> held(x);
  chosen_executor executor(threads);
  // Without targets nothing is given.
  return statistics(held.scores(), targets.empty() ? id_column() : id_column(targets), options, executor);
}

template <class Carrier>
traits traits_of() {
  using T = typename holder<Carrier>::storage;
  traits result;
  result.is_double = std::is_same_v<T, double>;
  result.is_half = std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>;
  result.epsilon = std::is_same_v<T, bfloat16> ? 0x1p-8 : std::is_same_v<T, float16> ? 0x1p-11 : 0;
  result.tiny = std::is_same_v<T, float16> ? 0x1p-25 : std::is_same_v<T, double> ? 1e-300 : 1e-37;
  result.highest = std::is_same_v<T, double>    ? 1.7976931348623157e308
                   : std::is_same_v<T, float16> ? 65504.0
                   : std::is_same_v<T, float>   ? 3.4028234663852886e38
                                                : 3.3895313892515355e38;
  if constexpr (requires { holder<Carrier>::is_product; }) {
    result.takes_infinities = false;
    result.max_vocab = 200;
  }
  // A device's sums and products by operations are another library's.
  if constexpr (requires { holder<Carrier>::is_elsewhere(); })
    result.keeps_bits_in_batches = !holder<Carrier>::is_elsewhere();
  return result;
}

template <class Carrier>
table rounded(table x) {
  using T = typename holder<Carrier>::storage;
  for (double& v : x.values) v = static_cast<double>(static_cast<arithmetic<T>>(T(static_cast<arithmetic<T>>(v))));
  return x;
}

/// Compiles a carrier: everything that suite.hpp declares over it.
#define EMEND_COMPILE_CARRIER(...)                                                                \
  template outcome evaluate_on<__VA_ARGS__>(const table&, const request&);                        \
  template statistics_columns statistics_on<__VA_ARGS__>(const table&, const std::vector<index>&, \
                                                         const statistics_options&, int);         \
  template traits traits_of<__VA_ARGS__>();                                                       \
  template table rounded<__VA_ARGS__>(table)

}  // namespace suite
