// Histograms of real texts, from a file of the data folder: here because the programs that read JSON are.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <emend/metrics/divergence_frontier.hpp>

TEST_CASE("MAUVE and frontier integral of letter and word-length histograms") {
  const char* data = std::getenv("EMEND_DATA");
  std::ifstream file(std::string(data ? data : "") + "/metrics/mauve_histogram_golden.json");
  if (!data || !file) {
    MESSAGE("skipped: no metrics/mauve_histogram_golden.json in EMEND_DATA");
    return;
  }
  const auto all = nlohmann::json::parse(file).at("cases");
  REQUIRE(all.size() > 5);
  for (const auto& c : all) {
    CAPTURE(c.at("name").get<std::string>());
    const auto p = c.at("p").get<std::vector<double>>(), q = c.at("q").get<std::vector<double>>();
    const auto got = emend::divergence_frontier(
        p, q,
        {.scaling_factor = c.at("scaling").get<double>(), .curve_points = c.at("discretization").get<emend::index>()});
    CHECK(std::abs(got.mauve - c.at("mauve").get<double>()) < 1e-10);
    CHECK(std::abs(got.frontier_integral - c.at("frontier_integral").get<double>()) < 1e-10);
  }
}
