// The data of examples/seq2seq_rewards: every form is told by its first line, and the split is by what is right.

#include <doctest/doctest.h>
#include <seq2seq_rewards/data.hpp>
#include <common/html_page.hpp>
#include <seq2seq_rewards/pairs.hpp>

#include <set>
#include <stdexcept>

namespace {

using seq2seq::data_form;
using seq2seq::parse_data;

TEST_CASE("codespell's dictionary: first correction, reasons dropped") {
  const auto data = parse_data(
      "abandonned->abandoned\nAccomodate->accommodate, other,\nclas->class, disabled because of name clash\n", "d");
  CHECK(data.form == data_form::codespell);
  REQUIRE(data.pairs.size() == 2);
  CHECK(data.pairs[0].rejected == "abandonned");
  CHECK(data.pairs[0].chosen == "abandoned");
  CHECK(data.pairs[1].rejected == "accomodate");
  CHECK(data.pairs[1].chosen == "accommodate");
  CHECK(data.unusable == 1);
}

TEST_CASE("tables of misspellings, separated by tabs or commas, with alternatives") {
  const auto tabs = parse_data("aache\tache\tache|cache\nteh\tthe|ten\n", "t");
  CHECK(tabs.form == data_form::table);
  REQUIRE(tabs.pairs.size() == 2);
  CHECK(tabs.pairs[0].chosen == "ache");
  CHECK(tabs.pairs[1].chosen == "the");
  const auto commas = parse_data("typo,right\nteh,the\n", "c");
  REQUIRE(commas.pairs.size() == 1);
  CHECK(commas.pairs[0].rejected == "teh");
}

TEST_CASE("JSON Lines of edits and of preferences") {
  const auto list = parse_data(R"({"source": "a b", "corrections": ["a c", "a d"]})", "e");
  CHECK(list.form == data_form::edits);
  REQUIRE(list.pairs.size() == 2);
  CHECK(list.pairs[1].chosen == "a d");
  CHECK(parse_data(R"({"source": "a b", "simplifications": ["a"]})", "e").pairs.size() == 1);
  CHECK(parse_data(R"({"source": "a b", "target": "a c"})", "e").pairs.size() == 1);
  const auto refused = parse_data(
      "{\"before\": \"x\", \"after\": \"y\", \"decision\": \"Accept\"}\n{\"before\": \"x\", \"after\": \"z\", "
      "\"decision\": \"Reject\"}\n",
      "i");
  CHECK(refused.pairs.size() == 1);
  const auto preferences = parse_data(R"({"prompt": "p", "chosen": "good", "rejected": "bad"})", "p");
  CHECK(preferences.form == data_form::preferences);
  CHECK(preferences.pairs[0].prompt == "p");
}

TEST_CASE("what has no known form is refused with a sentence") {
  CHECK_THROWS_WITH_AS(parse_data("just some words\n", "notes.txt"),
                       doctest::Contains("notes.txt is none of the known forms"), std::runtime_error);
  CHECK_THROWS_AS(parse_data("{\"source\": ", "broken.jsonl"), std::runtime_error);
  CHECK_THROWS_AS(parse_data("", "empty.txt"), std::runtime_error);
}

TEST_CASE("no word of the held-out side is trained on, and the split depends on the seed alone") {
  std::string text;
  for (int word = 0; word < 400; ++word)
    for (const char* wrong : {"x", "y", "z"})
      text += "word" + std::to_string(word) + wrong + "->word" + std::to_string(word) + "\n";
  const auto pairs = parse_data(text, "d").pairs;
  const auto split = seq2seq::split_by_group(pairs, 0.1, 7), again = seq2seq::split_by_group(pairs, 0.1, 7);
  CHECK(split.training.size() + split.held_out.size() == pairs.size());
  CHECK(split.held_out.size() > 30);
  CHECK(split.held_out.size() == again.held_out.size());
  std::set<std::string> trained;
  for (const auto& pair : split.training) trained.insert(pair.chosen);
  for (const auto& pair : split.held_out) CHECK(trained.count(pair.chosen) == 0);
}

TEST_CASE("text in the page is escaped") { CHECK(common::escaped("<a & \"b\">") == "&lt;a &amp; &quot;b&quot;&gt;"); }

}  // namespace
