#pragma once

#include <zlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace common {

/// The bytes of a file, plain or gzip. Throws std::runtime_error if it cannot be read.
inline std::string read_file(const std::string& path) {
  if (!std::filesystem::is_regular_file(path))
    throw std::runtime_error(path + (std::filesystem::exists(path) ? ": not a file" : ": no such file"));
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  std::string all;
  char piece[1 << 16];
  int count = 0;
  while ((count = gzread(file, piece, sizeof piece)) > 0) all.append(piece, static_cast<std::size_t>(count));
  const bool is_whole = gzclose(file) == Z_OK && count == 0;
  if (!is_whole) throw std::runtime_error(path + ": damaged or not whole");
  return all;
}

}  // namespace common
