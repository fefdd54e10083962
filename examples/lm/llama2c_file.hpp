#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

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
/// Throws std::runtime_error if the file cannot be read, is too short or too long; std::invalid_argument if its header
/// is not a valid configuration.
inline weights<float> read_llama2c(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw std::runtime_error("lm::read_llama2c: cannot open " + path);
  const std::uintmax_t there = static_cast<std::uintmax_t>(in.tellg());
  in.seekg(0);
  std::array<std::int32_t, 7> header{};
  if (!in.read(reinterpret_cast<char*>(header.data()), sizeof header))
    throw std::runtime_error("lm::read_llama2c: " + path + " is shorter than its 28 byte header");
  if (header[5] == INT32_MIN) throw std::invalid_argument("lm::read_llama2c: " + path + " has no valid vocab_size");
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
    throw std::invalid_argument("lm::read_llama2c: " + path + " has no valid header: " + error.what());
  }
  // in double, which no header overflows, and before any memory is taken
  const double d = c.dim, kv = c.key_value_dim(), per_layer = 2 * d + 2 * d * d + 2 * kv * d + 3.0 * c.hidden_dim * d;
  const double numbers = d * c.vocab_size * (c.is_classifier_shared ? 1 : 2) + c.layers * per_layer + d +
                         static_cast<double>(c.max_positions) * c.head_size();
  if (numbers * 4 + 28 != static_cast<double>(there))
    throw std::runtime_error("lm::read_llama2c: " + path + " must have " +
                             std::to_string(static_cast<std::uintmax_t>(numbers * 4 + 28)) +
                             " bytes by its header, but has " + std::to_string(there));
  weights<float> w(c);
  detail::in_llama2c_order(
      w,
      [&](float* first, std::size_t count) {
        in.read(reinterpret_cast<char*>(first), static_cast<std::streamsize>(count * 4));
      },
      [&](std::size_t count) { in.seekg(static_cast<std::streamoff>(count * 4), std::ios::cur); });
  if (!in) throw std::runtime_error("lm::read_llama2c: " + path + " could not be read to its end");
  return w;
}

/// Writes the same format, the rotary tables included. Throws std::runtime_error if the file cannot be written.
inline void write_llama2c(const std::string& path, const weights<float>& w) {
  const config& c = w.shape();
  std::ofstream out(path, std::ios::binary);
  const std::array<std::int32_t, 7> header{
      c.dim,          c.hidden_dim,      c.layers,
      c.heads,        c.key_value_heads, c.is_classifier_shared ? c.vocab_size : -c.vocab_size,
      c.max_positions};
  out.write(reinterpret_cast<const char*>(header.data()), sizeof header);
  detail::in_llama2c_order(
      w,
      [&](const float* first, std::size_t count) {
        out.write(reinterpret_cast<const char*>(first), static_cast<std::streamsize>(count * 4));
      },
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
        out.write(reinterpret_cast<const char*>(table.data()), static_cast<std::streamsize>(count * 4));
      });
  out.flush();
  if (!out) throw std::runtime_error("lm::write_llama2c: cannot write " + path);
}

}  // namespace lm
