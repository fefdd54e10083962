#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

/// Starts `size` processes of this program, each with the arguments SIZE RANK FILE, of one file that they share; 0 if
/// all of them end with 0.
inline int run_ranks(const char* program, int size) {
  std::string file = (std::filesystem::temp_directory_path() / "emend_ranks_XXXXXX").string();
  const int descriptor = mkstemp(file.data());
  if (descriptor < 0) return std::perror("mkstemp"), 1;
  close(descriptor);
  std::vector<pid_t> children;
  const std::string all = std::to_string(size);
  for (int rank = 0; rank < size; ++rank) {
    const std::string number = std::to_string(rank);
    const pid_t child = fork();
    if (child == 0) {
      execl("/proc/self/exe", program, all.c_str(), number.c_str(), file.c_str(), static_cast<char*>(nullptr));
      std::perror("execl");
      _exit(1);
    }
    children.push_back(child);
  }
  int failed = 0;
  for (const pid_t child : children) {
    int status = 0;
    failed += waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  unlink(file.c_str());
  return failed == 0 ? 0 : 1;
}
