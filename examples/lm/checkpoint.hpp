#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <common/read_file.hpp>
#include <common/write_file.hpp>
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

/// Writes weights, optimizer (may be null), step and user to path, as common::write_whole does: a file of that name is
/// always whole. Layout: magic, scalar size, configuration, counts, numbers, user, hash; little-endian. Throws
/// std::runtime_error if the file cannot be written.
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
  common::write_whole(path, bytes);
}

/// Reads what save_checkpoint wrote. Throws std::runtime_error, one line with the file's name, if the file cannot be
/// read, is no checkpoint, is of another scalar type, is truncated or damaged, or holds a number that is not finite.
/// Takes memory of two times the file's size.
template <class T>
checkpoint<T> load_checkpoint(const std::string& path) {
  auto fail = [&](const std::string& what) { throw std::runtime_error(path + ": " + what); };
  const std::uintmax_t there = common::size_of_file(path);
  constexpr std::size_t magic_size = sizeof detail::checkpoint_magic, header_size = magic_size + 14 * 8;
  std::string bytes(header_size, '\0');
  {
    std::ifstream in(path, std::ios::binary);
    if (!in) fail(std::string("cannot be opened: ") + std::strerror(errno));
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (in.gcount() < static_cast<std::streamsize>(magic_size) ||
        std::memcmp(bytes.data(), detail::checkpoint_magic, magic_size) != 0)
      fail("is not a checkpoint");
    if (!in || there < header_size + 8) fail("is truncated");
  }
  std::size_t at = magic_size;
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
  for (int& field : fields) {
    const std::int64_t value = get();
    if (value < 0 || value > INT32_MAX) fail("is damaged: its header holds a size of " + std::to_string(value));
    field = static_cast<int>(value);
  }
  if (fields[7] > 1) fail("is damaged: its header holds a flag of " + std::to_string(fields[7]));
  const config c{fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7] != 0};
  checkpoint<T> result;
  result.step = get();
  const std::int64_t has_optimizer = get();
  result.optimizer_steps = get();
  const std::int64_t moments = get(), user = get();
  try {
    c.check();
  } catch (const std::invalid_argument& error) {
    fail(std::string("is damaged: ") + error.what());
  }
  constexpr std::int64_t most_steps = std::int64_t{1} << 53;
  if (result.step < 0 || result.step > most_steps || result.optimizer_steps < 0 || result.optimizer_steps > most_steps)
    fail("is damaged: it counts " + std::to_string(result.step) + " steps, " + std::to_string(result.optimizer_steps) +
         " of the optimizer");
  const double numbers = weight_count(c);
  if (has_optimizer < 0 || has_optimizer > 1 || user < 0 ||
      static_cast<double>(moments) != static_cast<double>(has_optimizer) * numbers)
    fail("is damaged: it has " + std::to_string(moments) + " moments of the optimizer");
  const double expected = static_cast<double>(header_size) +
                          (numbers + 2.0 * static_cast<double>(moments)) * static_cast<double>(sizeof(T)) +
                          static_cast<double>(user) + 8;
  if (static_cast<double>(there) != expected) {
    char wanted[32];
    std::snprintf(wanted, sizeof wanted, "%.0f", expected);
    fail("is truncated or damaged: it has " + std::to_string(there) + " bytes, by its header it must have " + wanted);
  }
  bytes = common::read_bytes(path);
  if (bytes.size() != there) fail("changes while it is read");
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
  if (!are_finite<T>(result.parameters.values())) fail("holds a weight that is not finite");
  if (!are_finite<T>(result.first_moment) || !are_finite<T>(result.second_moment))
    fail("holds a moment of the optimizer that is not finite");
  result.user = bytes.substr(at, static_cast<std::size_t>(user));
  return result;
}

}  // namespace lm
