#pragma once

#include <zlib.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <common/utf8.hpp>

namespace common {

/// The size of a file. Throws std::runtime_error, one line with its name, if there is no such file, it is a directory,
/// a device or a pipe, or it cannot be looked at.
inline std::uintmax_t size_of_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) throw std::runtime_error(path + ": no such file");
  if (std::filesystem::is_directory(status)) throw std::runtime_error(path + ": a directory, not a file");
  if (error) throw std::runtime_error(path + ": cannot be read: " + error.message());
  if (!std::filesystem::is_regular_file(status)) throw std::runtime_error(path + ": not a regular file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) throw std::runtime_error(path + ": cannot be read: " + error.message());
  return size;
}

/// The bytes of a file as they are. Throws std::runtime_error as size_of_file, and if it cannot be read whole.
inline std::string read_bytes(const std::string& path) {
  const std::uintmax_t size = size_of_file(path);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
  std::string all(static_cast<std::size_t>(size), '\0');
  in.read(all.data(), static_cast<std::streamsize>(all.size()));
  if (in.gcount() != static_cast<std::streamsize>(all.size()))
    throw std::runtime_error(path + ": cannot be read whole");
  return all;
}

/// The bytes of a file, plain or gzip. What a gzip file unpacks to is at most 1 MiB more than 200 times its size, which
/// no text comes near. Throws std::runtime_error as read_bytes, and if a gzip file is damaged or unpacks to more.
inline std::string read_file(const std::string& path) {
  const std::uintmax_t most = (std::uintmax_t{1} << 20) + 200 * size_of_file(path);
  const gzFile file = gzopen(path.c_str(), "rb");
  if (!file) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
  struct closed_at_end {
    gzFile file;
    ~closed_at_end() {
      if (file) gzclose(file);
    }
  } open{file};
  std::string all;
  char piece[1 << 16];
  int count = 0;
  while ((count = gzread(file, piece, sizeof piece)) > 0) {
    if (all.size() + static_cast<std::size_t>(count) > most)
      throw std::runtime_error(path + ": unpacks to more than 200 times its size; no text does");
    all.append(piece, static_cast<std::size_t>(count));
  }
  open.file = nullptr;
  if (gzclose(file) != Z_OK || count != 0) throw std::runtime_error(path + ": damaged or not whole");
  return all;
}

/// The text that the bytes of a file are, without a byte order mark of UTF-8. Throws std::runtime_error, with the
/// file's name, if they are UTF-16 or UTF-32, or hold a zero byte, which no text does.
inline std::string_view text_in(std::string_view bytes, const std::string& name) {
  const auto starts = [&](std::string_view mark) { return bytes.substr(0, mark.size()) == mark; };
  using namespace std::string_view_literals;
  const bool is_utf32 = starts("\xff\xfe\0\0"sv) || starts("\0\0\xfe\xff"sv);
  if (is_utf32 || starts("\xff\xfe"sv) || starts("\xfe\xff"sv)) {
    const std::string form = is_utf32 ? "UTF-32" : "UTF-16";
    throw std::runtime_error(name + ": is " + form + "; UTF-8 is wanted, as iconv -f " + form + " -t UTF-8 makes it");
  }
  if (starts("\xef\xbb\xbf"sv)) bytes.remove_prefix(3);
  if (const std::size_t zero = bytes.find('\0'); zero != std::string_view::npos)
    throw std::runtime_error(name + ": is no text: it holds a zero byte, the first at " + std::to_string(zero) +
                             " (UTF-16 without a byte order mark has many)");
  return bytes;
}

/// Throws std::runtime_error, with the file's name, if the text is not UTF-8.
inline void require_utf8(std::string_view text, const std::string& name) {
  if (const std::size_t end = for_each_point(text, [](char32_t) {}); end != text.size())
    throw std::runtime_error(name + ": is not UTF-8 at byte " + std::to_string(end) +
                             "; iconv -t UTF-8 makes it so, with -f and the name of the encoding that it is in");
}

/// A file of UTF-8 text, plain or gzip, without its byte order mark. Throws as read_file, text_in and require_utf8.
inline std::string read_text(const std::string& path) {
  const std::string bytes = read_file(path);
  const std::string_view text = text_in(bytes, path);
  require_utf8(text, path);
  return std::string(text);
}

}  // namespace common
