#pragma once

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <common/read_file.hpp>
#include <common/write_file.hpp>

#include <lm/weights.hpp>

namespace lm {

namespace detail {

/// Calls visit(first number, count) for each stretch of the legacy llama2.c file, in its order; visit_unused(count) for
/// the rotary tables that it carries and nobody reads.
template <class Weights, class Visit, class Unused>
void in_llama2c_order(Weights& w, Visit visit, Unused visit_unused) {
  const config& c = w.shape();
  auto all = [&](auto&& view) { visit(view.data(), static_cast<std::size_t>(view.size())); };
  all(w.token_embedding());
  for (int i = 0; i < c.layers; ++i) all(w.attention_norm(i));
  for (int i = 0; i < c.layers; ++i) all(w.query(i));
  for (int i = 0; i < c.layers; ++i) all(w.key(i));
  for (int i = 0; i < c.layers; ++i) all(w.value(i));
  for (int i = 0; i < c.layers; ++i) all(w.output(i));
  for (int i = 0; i < c.layers; ++i) all(w.feed_forward_norm(i));
  for (int i = 0; i < c.layers; ++i) all(w.gate(i));
  for (int i = 0; i < c.layers; ++i) all(w.down(i));
  for (int i = 0; i < c.layers; ++i) all(w.up(i));
  all(w.final_norm());
  visit_unused(static_cast<std::size_t>(c.max_positions) * static_cast<std::size_t>(c.head_size() / 2) * 2);
  if (!c.is_classifier_shared) all(w.classifier());
}

}  // namespace detail

/// Reads a model in karpathy's legacy llama2.c format: seven int32 (dim, hidden_dim, layers, heads, key_value_heads,
/// vocab_size, negative where the classifier has its own weights; max_positions), then the tensors as float32.
/// Throws std::runtime_error, one line with the file's name, if the file cannot be read, its header is not a valid
/// configuration, it is too short or too long, or a weight is not finite. Takes memory of the file's size.
inline weights<float> read_llama2c(const std::string& path) {
  const auto fail = [&](const std::string& what) { throw std::runtime_error(path + ": " + what); };
  const std::uintmax_t there = common::size_of_file(path);
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(std::string("cannot be opened: ") + std::strerror(errno));
  std::array<std::int32_t, 7> header{};
  if (!in.read(reinterpret_cast<char*>(header.data()), sizeof header))
    fail("is no llama2.c model: it is shorter than the header of 28 bytes");
  if (header[5] == INT32_MIN) fail("is no llama2.c model: its header has no valid vocab_size");
  config c{.dim = header[0],
           .hidden_dim = header[1],
           .layers = header[2],
           .heads = header[3],
           .key_value_heads = header[4],
           .vocab_size = std::abs(header[5]),
           .max_positions = header[6],
           .is_classifier_shared = header[5] > 0};
  try {
    c.check();
  } catch (const std::invalid_argument& error) {
    fail(std::string("is no llama2.c model: ") + error.what());
  }
  const double numbers = weight_count(c) + static_cast<double>(c.max_positions) * c.head_size();
  if (numbers * 4 + 28 != static_cast<double>(there)) {
    char wanted[32];
    std::snprintf(wanted, sizeof wanted, "%.0f", numbers * 4 + 28);
    fail("has " + std::to_string(there) + " bytes, by its header it must have " + wanted);
  }
  weights<float> w(c);
  detail::in_llama2c_order(
      w,
      [&](float* first, std::size_t count) {
        in.read(reinterpret_cast<char*>(first), static_cast<std::streamsize>(count * 4));
      },
      [&](std::size_t count) { in.seekg(static_cast<std::streamoff>(count * 4), std::ios::cur); });
  if (!in) fail("cannot be read whole");
  if (!are_finite<float>(w.values())) fail("holds a weight that is not finite");
  return w;
}

/// Writes the same format, the rotary tables included, as common::whole_file does. Throws std::runtime_error if the
/// file cannot be written.
inline void write_llama2c(const std::string& path, const weights<float>& w) {
  const config& c = w.shape();
  common::whole_file out(path);
  const auto put = [&](const void* first, std::size_t bytes) {
    out.write(std::string_view(static_cast<const char*>(first), bytes));
  };
  const std::array<std::int32_t, 7> header{
      c.dim,          c.hidden_dim,      c.layers,
      c.heads,        c.key_value_heads, c.is_classifier_shared ? c.vocab_size : -c.vocab_size,
      c.max_positions};
  put(header.data(), sizeof header);
  detail::in_llama2c_order(
      w, [&](const float* first, std::size_t count) { put(first, count * 4); },
      [&](std::size_t count) {
        std::vector<float> table(count);
        const int half = c.head_size() / 2;
        for (std::size_t i = 0; i < count / 2; ++i) {
          const double angle =
              static_cast<double>(i / static_cast<std::size_t>(half)) *
              std::pow(10000.0, -2.0 * static_cast<double>(i % static_cast<std::size_t>(half)) / c.head_size());
          table[i] = static_cast<float>(std::cos(angle));
          table[i + count / 2] = static_cast<float>(std::sin(angle));
        }
        put(table.data(), count * 4);
      });
  out.commit();
}

}  // namespace lm
