#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace common {

namespace detail {

/// Where a path leads, and whether there is a file that is written beside it and put in its place: not for a device or
/// a pipe, nor for a file that is open already (/dev/stdout, /dev/fd/3).
struct destination {
  std::string path;
  bool is_replaced = true;
};

inline bool is_of_open_files(const std::filesystem::path& path) {
  const std::string text = path.string();
  return (text.starts_with("/proc/") && text.find("/fd/") != std::string::npos) || text.starts_with("/dev/fd/");
}

/// Follows the links of a path, the last one of which may lead to no file yet.
inline destination destination_of(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path to = fs::absolute(path);
  for (int links = 0; links < 40; ++links) {
    if (is_of_open_files(to)) return {path, false};
    const fs::path folder = fs::weakly_canonical(to.parent_path(), error);
    if (!error) to = folder / to.filename();
    if (is_of_open_files(to)) return {path, false};
    if (fs::symlink_status(to, error).type() != fs::file_type::symlink) break;
    const fs::path next = fs::read_symlink(to, error);
    if (error) break;
    to = next.is_absolute() ? next : to.parent_path() / next;
  }
  const fs::file_status status = fs::status(to, error);
  const bool is_other = fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
  return {is_other ? path : to.string(), !is_other};
}

}  // namespace detail

/// A file that is there whole or not at all: bytes go to a new file beside it, which takes its place at `commit`. If
/// there is no commit, the new file is removed and the old one is as it was. A link's target is replaced, not the link;
/// a file that is replaced keeps its permissions. A device, a pipe or an open file is written to directly.
class whole_file {
 public:
  /// Throws std::runtime_error, one line with the file's name, if it cannot be written.
  explicit whole_file(std::string path) : name_(std::move(path)), to_(detail::destination_of(name_)) {
    std::error_code unused;
    if (std::filesystem::is_directory(to_.path, unused)) fail(EISDIR);
    if (std::filesystem::is_block_file(to_.path, unused)) fail(EINVAL);  // somebody's disk
    if (!to_.is_replaced) {
      file_ = ::open(to_.path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
      if (file_ < 0) fail(errno);
      return;
    }
    struct stat old{};
    const bool has_old = ::stat(to_.path.c_str(), &old) == 0;
    // A new file beside it needs no permission of the old one, which says all the same whether it may be changed.
    if (has_old && ::access(to_.path.c_str(), W_OK) != 0) fail(errno);
    static std::atomic<unsigned> number{0};
    do {
      part_ = to_.path + ".part" + std::to_string(::getpid()) + "." + std::to_string(number++);
      file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (file_ < 0 && errno == EEXIST);
    if (file_ < 0) {
      const int error = errno;
      part_.clear();
      fail(error);
    }
    if (has_old) static_cast<void>(::fchmod(file_, old.st_mode & 07777));
  }
  whole_file(const whole_file&) = delete;
  whole_file& operator=(const whole_file&) = delete;
  ~whole_file() { remove_part(); }

  /// Throws std::runtime_error, one line with the file's name, if it cannot be written, as on a full disk.
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail(errno);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  /// The last call. Throws as write.
  void commit() {
    // A file system may say only here that there is no room.
    if (to_.is_replaced && ::fsync(file_) != 0 && errno != EINVAL && errno != ENOTSUP) fail(errno);
    if (::close(std::exchange(file_, -1)) != 0 && errno != EINTR) fail(errno);
    if (to_.is_replaced && ::rename(part_.c_str(), to_.path.c_str()) != 0) fail(errno);
    part_.clear();
  }

 private:
  [[noreturn]] void fail(int error) {
    remove_part();
    throw std::runtime_error(name_ + ": cannot be written: " + std::strerror(error));
  }
  void remove_part() {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
    if (!part_.empty()) ::unlink(std::exchange(part_, {}).c_str());
  }

  std::string name_;
  detail::destination to_;
  std::string part_;
  int file_ = -1;
};

/// Writes a file as whole_file does. Throws std::runtime_error if it cannot be written.
inline void write_whole(const std::string& path, std::string_view bytes) {
  whole_file file(path);
  file.write(bytes);
  file.commit();
}

/// Fails before the work, not after it, where a result cannot be written; no path, no result. option: its name, as it
/// stands in the message of the std::runtime_error.
inline void check_writable(const std::string& path, const std::string& option) {
  if (path.empty()) return;
  const auto fail = [&](int error) {
    throw std::runtime_error(option + " " + path + ": cannot be written: " + std::strerror(error));
  };
  const detail::destination to = detail::destination_of(path);
  std::error_code error;
  if (std::filesystem::is_directory(to.path, error)) fail(EISDIR);
  if (std::filesystem::exists(to.path, error) && ::access(to.path.c_str(), W_OK) != 0) fail(errno);
  if (!to.is_replaced) return;
  const std::string folder = std::filesystem::path(to.path).parent_path().string();
  if (std::filesystem::exists(folder, error) && !std::filesystem::is_directory(folder, error)) fail(ENOTDIR);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) fail(errno);
}

}  // namespace common
