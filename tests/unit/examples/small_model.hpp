#pragma once

// What the tests of the example model share.
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <lm/config.hpp>

using ids_t = std::vector<int>;

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

struct temporary_folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("emend_lm_" + std::to_string(std::random_device{}()));
  temporary_folder() { std::filesystem::create_directories(path); }
  ~temporary_folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

inline lm::config small_config(bool is_classifier_shared, int layers = 2) {
  return {.dim = 16,
          .hidden_dim = 20,
          .layers = layers,
          .heads = 4,
          .key_value_heads = 2,
          .vocab_size = 11,
          .max_positions = 100,
          .is_classifier_shared = is_classifier_shared};
}
