// golden [--backend NAME] FILE...: runs every case of a vector file whose group it knows: float64 cases in double and
// in float, float32 cases in float.

#include "instruction_sets.hpp"
#include "vector_case.hpp"

#include <zlib.h>

#include <cstdio>
#include <set>

namespace {

std::string read_file(const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "rb");  // reads plain files, too
  if (!file) throw std::runtime_error("cannot open " + path);
  std::string text;
  char buffer[1 << 16];
  int count;
  while ((count = gzread(file, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(count));
  const bool is_whole = count == 0;
  gzclose(file);
  if (!is_whole) throw std::runtime_error("cannot read " + path);
  return text;
}

struct counts {
  int passed = 0, failed = 0, skipped = 0;
};

void run_case(const golden::json& source, const golden::check& check, bool is_double, counts& total) {
  golden::vector_case c(source, is_double);
  const char* precision = is_double ? "double" : "float";
  try {
    const std::string reason = check(c);
    if (!reason.empty()) {
      std::printf("skip  %s (%s): %s\n", c.id().c_str(), precision, reason.c_str());
      ++total.skipped;
    } else if (!c.failure().empty()) {
      std::printf("FAIL  %s (%s): %s\n", c.id().c_str(), precision, c.failure().c_str());
      ++total.failed;
    } else {
      ++total.passed;
    }
  } catch (const std::exception& error) {
    std::printf("FAIL  %s (%s): %s\n", c.id().c_str(), precision, error.what());
    ++total.failed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string(argv[1]) == "--help") {
    std::printf(
        "usage: golden [--backend NAME] FILE...\nRuns the golden vectors of each file (JSON, plain or gzip): float64 "
        "cases in double and in float, float32 cases in float.\nNAME: where the scores lie, emend (default) or "
        "libtorch.\n");
    return argc < 2 ? 2 : 0;
  }
  if (!is_named_set_supported()) return 0;
  const golden::registry& groups = golden::groups();
  std::string backend = "emend";
  counts total;
  std::map<std::string, int> unknown;
  int first = 1;
  try {
    const bool is_named = argc > 2 && std::string(argv[1]) == "--backend";
    if (is_named) backend = argv[2], first = 3;
    golden::choose_store(backend);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden: %s\n", error.what());
    return 2;
  }
  const golden::registry& ways_of_its_own = golden::groups(backend);
  for (int i = first; i < argc; ++i) {
    try {
      const golden::json file = golden::json::parse(read_file(argv[i]));
      for (const golden::json& source : file.at("cases")) {
        const auto group = groups.find(source.at("group"));
        if (group == groups.end()) {
          ++unknown[source.at("group")];
          continue;
        }
        // A float32 peer's own rounding is what a double would be measured by; like is compared with like.
        const auto run = [&](const golden::check& check) {
          if (source.at("dtype") == "float64") run_case(source, check, true, total);
          run_case(source, check, false, total);
        };
        run(group->second);
        if (const auto own = ways_of_its_own.find(group->first); own != ways_of_its_own.end()) run(own->second);
      }
    } catch (const std::exception& error) {
      std::fprintf(stderr, "golden: %s: %s\n", argv[i], error.what());
      return 2;
    }
  }
  for (const auto& [group, cases] : unknown) std::printf("unknown group: %s (%d cases)\n", group.c_str(), cases);
  std::printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped);
  return total.failed > 0 || total.passed == 0 ? 1 : 0;
}
