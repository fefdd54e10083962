// The program examples/seq2seq_rewards: training goes on from a checkpoint to the same bits; the page stands alone.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include <emend/core/thread_pool.hpp>
#include <seq2seq_rewards/html_report.hpp>

namespace {

using namespace seq2seq;

std::vector<preference> small_pairs() {
  std::vector<preference> pairs;
  for (const char* word : {"abba", "cab", "deed", "bead", "cede", "dab", "fade", "face"})
    for (int at = 0; at < 3; ++at) {
      std::string wrong = word;
      wrong.insert(static_cast<std::size_t>(at), 1, 'g');
      pairs.push_back({"", word, wrong, word});
    }
  return pairs;
}

struct small_run {
  vocabulary v;
  lm::weights<float> first;
  std::vector<encoded_pair> pairs;

  small_run() : v(of_pairs()), first(lm::random_weights<float>(shape(v.size()), 3, 0.1)) {
    for (const preference& pair : small_pairs()) pairs.push_back(encode(v, pair));
  }
  training start(training_options options = default_options()) const { return {first, v, pairs, options}; }
  static training_options default_options() {
    return {.steps = 30, .batch = 6, .identity_share = 0.3, .warmup = 4, .seed = 5};
  }
  static lm::config shape(int vocab_size) {
    return {.dim = 16,
            .hidden_dim = 24,
            .layers = 2,
            .heads = 2,
            .key_value_heads = 2,
            .vocab_size = vocab_size,
            .max_positions = 32};
  }
  static vocabulary of_pairs() {
    auto all = small_pairs();
    return vocabulary::of_characters(characters_of(all));
  }
};

bool are_same(const training& a, const training& b) {
  const auto first = a.model().values(), second = b.model().values();
  const auto same_point = [](const loss_point& x, const loss_point& y) {
    return x.step == y.step && x.correction == y.correction && x.identity == y.identity;
  };
  return std::equal(first.begin(), first.end(), second.begin(), second.end()) &&
         std::equal(a.curve().begin(), a.curve().end(), b.curve().begin(), b.curve().end(), same_point);
}

struct temporary_file {
  std::string path =
      (std::filesystem::temp_directory_path() / ("emend_seq2seq_" + std::to_string(std::random_device{}()))).string();
  ~temporary_file() { std::filesystem::remove(path); }
};

TEST_CASE("a resumed run is the uninterrupted one, bit for bit, for any number of threads") {
  const small_run r;
  emend::thread_pool one(1), two(2);
  training whole = r.start();
  while (!whole.is_done()) whole.step(one);
  CHECK(whole.curve().back().correction < whole.curve().front().correction);

  for (const int interruption : {1, 13, 29}) {
    CAPTURE(interruption);
    temporary_file file;
    {
      training part = r.start();
      for (int i = 0; i < interruption; ++i) part.step(two);
      part.save(file.path, {{"training", part.state()}});
    }
    const auto saved = lm::load_checkpoint<float>(file.path);
    training rest = r.start();
    rest.resume(saved, nlohmann::json::parse(saved.user).at("training"));
    CHECK(rest.steps_done() == interruption);
    while (!rest.is_done()) rest.step(two);
    CHECK(are_same(whole, rest));
  }
}

TEST_CASE("a checkpoint of another run is refused by name of what differs") {
  const small_run r;
  emend::thread_pool pool(1);
  training one = r.start();
  one.step(pool);
  temporary_file file;
  one.save(file.path, {{"training", one.state()}});
  const auto saved = lm::load_checkpoint<float>(file.path);
  const auto state = nlohmann::json::parse(saved.user).at("training");
  auto options = small_run::default_options();
  options.seed = 6;
  training other_seed = r.start(options);
  CHECK_THROWS_WITH_AS(other_seed.resume(saved, state), doctest::Contains("its seed is 5, here it is 6"),
                       std::runtime_error);
  small_run fewer;
  fewer.pairs.pop_back();
  training other_data = fewer.start();
  CHECK_THROWS_WITH_AS(other_data.resume(saved, state), doctest::Contains("training data"), std::runtime_error);
}

TEST_CASE("the share of identities holds over the run, and every correction comes once a round") {
  const small_run r;
  for (const double share : {0.0, 0.3, 0.5, 1.0}) {
    CAPTURE(share);
    auto options = small_run::default_options();
    options.identity_share = share;
    training run = r.start(options);
    double identities = 0, tokens = 0, weight = 0;
    for (int step = 0; step < 100; ++step) {
      const training_batch batch = run.make_batch(step);
      for (std::size_t i = 0; i < batch.target.size(); ++i) {
        identities += batch.is_identity[i] && batch.target[i] == r.v.end_id();
        tokens += batch.target[i] == r.v.end_id();
        weight += batch.weight[i];
      }
    }
    CHECK(tokens == 600);
    CHECK(identities == 600 * share);
    CHECK(weight == doctest::Approx(100));  // a mean over the tokens of each batch
  }
  auto options = small_run::default_options();
  options.identity_share = 0;
  training run = r.start(options);
  std::vector<std::vector<int>> seen;
  for (int step = 0; step < 4; ++step) {  // 24 corrections: one round
    const lm::batch tokens = run.make_batch(step).tokens;
    for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
      if (tokens.parent[i] < 0) seen.emplace_back();
      seen.back().push_back(tokens.ids[i]);
    }
  }
  std::sort(seen.begin(), seen.end());
  CHECK(seen.size() == 24);
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
}

TEST_CASE("the page is one file without references, and its texts are escaped") {
  std::vector<preference> pairs = small_pairs();
  pairs.push_back({"Is 1 < 2 & \"so\"?", "<b>yes</b>", "<script>alert('no')</script>", "q"});
  const vocabulary v = vocabulary::of_characters(characters_of(pairs));
  lm::config c = small_run::shape(v.size());
  c.max_positions = 96;
  const auto w = lm::random_weights<float>(c, 1, 0.1);
  emend::thread_pool pool(2);
  report_facts facts;
  facts.data = "a<b>.txt";
  facts.form = "table";
  facts.steps = 20;
  facts.curve = {{10, 2, 1.5}, {20, 1, std::nan("")}};
  for (const reward_mode mode : all_modes) {
    CAPTURE(name_of(mode));
    const evaluation e = evaluate_held_out(w, w, v, pairs, mode, 20, pool);
    CHECK(e.shown.size() == 9);  // one of each word
    const std::string page = html_report(v, e, facts);
    const std::regex reference(R"((src|href|action)\s*=|url\(|@import|<link|<script|<iframe|<img|https?:)",
                               std::regex::icase);
    CHECK_FALSE(std::regex_search(page, reference));
    CHECK(page.find("a&lt;b&gt;.txt") != std::string::npos);
    CHECK(page.find("&lt;b&gt;yes&lt;/b&gt;") != std::string::npos);
    CHECK(page.find("Is 1 &lt; 2 &amp; &quot;so&quot;?") != std::string::npos);
    CHECK(page.find("nan") == std::string::npos);
    for (const char* tag : {"svg", "section", "table", "span", "tr", "td", "g"}) {
      CAPTURE(tag);
      const auto count = [&](const std::string& text) {
        std::size_t times = 0;
        for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1))
          times += page[at + text.size()] == ' ' || page[at + text.size()] == '>' || text.back() == '>';
        return times;
      };
      CHECK(count("<" + std::string(tag)) == count("</" + std::string(tag) + ">"));
    }
  }
}

TEST_CASE("the end of a response counts as a token, and untrained equal models tie in dense") {
  const small_run r;
  emend::thread_pool pool(1);
  const std::vector<int> none;
  const std::vector<prompted_response> responses{{&none, &r.pairs[0].rejected}, {&none, &r.pairs[0].chosen}};
  const auto before = score_responses(r.first, r.v, responses, pool),
             after = score_responses(r.first, r.v, responses, pool, &before);
  REQUIRE(after[0].reward.size() == 5);
  CHECK(before[0].reward.size() == 4);  // no dense without a reference
  CHECK(after[0].log_prob.size() == r.pairs[0].rejected.size());
  for (const double reward : after[0].reward[4]) CHECK(reward == 0);
}

TEST_CASE("a llama2.c model grows by three rows and keeps the others") {
  lm::config c = small_run::shape(20);
  for (const bool is_shared : {true, false}) {
    c.is_classifier_shared = is_shared;
    const auto w = lm::random_weights<float>(c, 1, 0.1), grown = with_more_tokens(w, 3, 9);
    CHECK(grown.shape().vocab_size == 23);
    CHECK(grown.token_embedding().topRows(20) == w.token_embedding());
    CHECK(grown.classifier().topRows(20) == w.classifier());
    CHECK(grown.token_embedding().bottomRows(3).norm() > 0);
    CHECK(grown.down(1) == w.down(1));
    CHECK(with_more_tokens(w, 3, 9).values()[21 * 16] == grown.values()[21 * 16]);
  }
}

}  // namespace
