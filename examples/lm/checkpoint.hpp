#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <lm/adamw.hpp>
#include <lm/weights.hpp>

namespace lm {

/// What a checkpoint holds beside the weights; the moments are empty where no optimizer was saved.
template <class T>
struct checkpoint {
  weights<T> parameters;
  std::vector<T> first_moment, second_moment;
  long long optimizer_steps = 0;
  long long step = 0;
  std::string user;  // anything: a tokenizer, options, the state of a random generator

  bool has_optimizer() const { return !first_moment.empty(); }
  /// Puts the moments into an optimizer over the same parameters. Throws std::invalid_argument if they do not fit.
  void restore(adamw<T>& optimizer) const { optimizer.restore(optimizer_steps, first_moment, second_moment); }
};

namespace detail {

inline constexpr char checkpoint_magic[8] = {'l', 'm', 'c', 'h', 'e', 'c', 'k', '1'};

/// Fowler-Noll-Vo hash, over words of eight bytes and then the rest.
inline std::uint64_t hash_of(const std::string& bytes, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0x100000001b3u;
    hash ^= hash >> 29;
  }
  for (; i < size; ++i) hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3u;
  return hash;
}

}  // namespace detail

/// Writes weights, optimizer (may be null), step and user to path: first to path + ".part", then renamed, so that a
/// file of that name is always whole. Layout: magic, scalar size, configuration, counts, numbers, user, hash;
/// little-endian. Throws std::runtime_error if the file cannot be written.
template <class T>
void save_checkpoint(const std::string& path, const weights<T>& w, const adamw<T>* optimizer, long long step,
                     const std::string& user = {}) {
  std::string bytes(detail::checkpoint_magic, sizeof detail::checkpoint_magic);
  auto put = [&](std::int64_t value) { bytes.append(reinterpret_cast<const char*>(&value), 8); };
  auto put_all = [&](std::span<const T> values) {
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  };
  const config& c = w.shape();
  put(static_cast<std::int64_t>(sizeof(T)));
  for (int field : {c.dim, c.hidden_dim, c.layers, c.heads, c.key_value_heads, c.vocab_size, c.max_positions,
                    int(c.is_classifier_shared)})
    put(field);
  put(step);
  put(optimizer ? 1 : 0);
  put(optimizer ? optimizer->steps() : 0);
  put(optimizer ? static_cast<std::int64_t>(optimizer->first_moment().size()) : 0);
  put(static_cast<std::int64_t>(user.size()));
  put_all(w.values());
  if (optimizer) {
    put_all(optimizer->first_moment());
    put_all(optimizer->second_moment());
  }
  bytes += user;
  put(static_cast<std::int64_t>(detail::hash_of(bytes, bytes.size())));
  const std::string part = path + ".part";
  std::ofstream out(part, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("lm::save_checkpoint: cannot write " + part);
  std::error_code error;
  std::filesystem::rename(part, path, error);
  if (error)
    throw std::runtime_error("lm::save_checkpoint: cannot rename " + part + " to " + path + ": " + error.message());
}

/// Reads what save_checkpoint wrote. Throws std::runtime_error if the file cannot be opened, is no checkpoint, is of
/// another scalar type, is truncated or damaged.
template <class T>
checkpoint<T> load_checkpoint(const std::string& path) {
  auto fail = [&](const std::string& what) -> void {
    throw std::runtime_error("lm::load_checkpoint: " + path + " " + what);
  };
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) fail("cannot be opened");
  std::string bytes(static_cast<std::size_t>(in.tellg()), '\0');
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  constexpr std::size_t header_size = sizeof detail::checkpoint_magic + 14 * 8;
  if (!in || bytes.size() < sizeof detail::checkpoint_magic ||
      std::memcmp(bytes.data(), detail::checkpoint_magic, sizeof detail::checkpoint_magic) != 0)
    fail("is not a checkpoint");
  if (bytes.size() < header_size + 8) fail("is truncated");
  std::size_t at = sizeof detail::checkpoint_magic;
  auto get = [&] {
    std::int64_t value;
    std::memcpy(&value, bytes.data() + at, 8);
    at += 8;
    return value;
  };
  if (const std::int64_t size = get(); size != static_cast<std::int64_t>(sizeof(T)))
    fail("holds numbers of " + std::to_string(size) + " bytes, but numbers of " + std::to_string(sizeof(T)) +
         " are wanted");
  std::array<int, 8> fields{};
  for (int& field : fields) field = static_cast<int>(get());
  const config c{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7] != 0};
  checkpoint<T> result;
  result.step = get();
  const bool has_optimizer = get() != 0;
  result.optimizer_steps = get();
  const std::int64_t moments = get(), user = get();
  const std::int64_t there = static_cast<std::int64_t>(bytes.size());
  if (!has_optimizer && moments != 0) fail("is damaged");
  if (moments < 0 || user < 0 || moments > there || user > there) fail("is truncated or damaged");
  try {
    c.check();
  } catch (const std::invalid_argument& error) {
    fail(std::string("is damaged: ") + error.what());
  }
  const double d = c.dim, per_layer = 2 * d + 2 * d * d + 2.0 * c.key_value_dim() * d + 3.0 * c.hidden_dim * d;
  const double numbers = d * c.vocab_size * (c.is_classifier_shared ? 1 : 2) + c.layers * per_layer + d +
                         2.0 * static_cast<double>(moments);
  const double expected = static_cast<double>(header_size) + numbers * sizeof(T) + static_cast<double>(user) + 8;
  if (static_cast<double>(there) != expected)
    fail("is truncated: it has " + std::to_string(there) + " bytes instead of " +
         std::to_string(static_cast<std::int64_t>(expected)));
  std::uint64_t hash;
  std::memcpy(&hash, bytes.data() + bytes.size() - 8, 8);
  if (hash != detail::hash_of(bytes, bytes.size() - 8)) fail("is damaged: its hash does not match");
  auto get_all = [&](std::span<T> values) {
    if (!values.empty()) std::memcpy(values.data(), bytes.data() + at, values.size_bytes());
    at += values.size_bytes();
  };
  result.parameters = weights<T>(c);
  get_all(result.parameters.values());
  result.first_moment.resize(static_cast<std::size_t>(moments));
  result.second_moment.resize(static_cast<std::size_t>(moments));
  get_all(result.first_moment);
  get_all(result.second_moment);
  result.user = bytes.substr(at, static_cast<std::size_t>(user));
  return result;
}

}  // namespace lm
