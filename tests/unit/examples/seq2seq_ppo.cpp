#include <seq2seq_ppo/page.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

namespace {

using namespace seq2seq_ppo;
using emend::index;

/// Misspellings of words of two to five syllables: a letter left out, or doubled.
seq2seq::data_set small_data() {
  const std::vector<std::string> syllables{"ba", "ke", "lo", "mi", "nu", "ra", "te", "so"};
  seq2seq::data_set data;
  for (std::size_t a = 0; a < 8; ++a)
    for (std::size_t b = 0; b < 8; ++b)
      for (std::size_t c = 0; c < 3; ++c) {
        const std::string right = syllables[a] + syllables[b] + (c > 0 ? syllables[(a + b) % 8] : "") + (c > 1 ? "lomibaket" : "");
        data.pairs.push_back({"", right, right.substr(0, 1) + right.substr(2), right});
        data.pairs.push_back({"", right, right + right.back(), right});
      }
  return data;
}

experiment_options small_options() {
  experiment_options o;
  o.seeds = 1;
  o.dim = 16;
  o.layers = 1;
  o.heads = 2;
  o.first_steps = 20;
  o.pairs = 60;
  o.evaluated = 12;
  o.learning.steps = 8;
  o.learning.batch = 8;
  o.ppo.iterations = 2;
  o.ppo.prompts = 12;
  o.ppo.minibatch = 8;
  o.ppo.measure_every = 1;
  o.has_ablations = o.has_sweep = false;
  return o;
}

lm::weights<float> small_policy(const task& t) {
  const lm::config shape{.dim = 16, .hidden_dim = 32, .layers = 2, .heads = 2, .key_value_heads = 2, .vocab_size = t.v.size(), .max_positions = t.max_positions,
                         .is_classifier_shared = true};
  return lm::random_weights<float>(shape, 3, 0.3);
}

TEST_CASE("the gold reward: 1 for what is right, less by the share that would have to be edited") {
  const ids right{1, 2, 3, 9};
  CHECK(gold_reward(right, right) == 1);
  CHECK(gold_reward({1, 2, 9}, right) == 0.75);
  CHECK(gold_reward({1, 2, 4, 9}, right) == 0.75);
  CHECK(gold_reward({}, right) == 0);
  CHECK(gold_reward({5, 5, 5, 5, 5, 5, 5, 5, 5, 5}, right) == 0);
}

TEST_CASE("no right word is in two parts of the task, and unusual words are longer than any in training") {
  const task t = make_task(small_data(), 5, 1000);
  std::set<ids> seen;
  std::size_t words = 0;
  for (const auto* part : {&t.sft, &t.preference, &t.held_out, &t.unusual}) {
    std::set<ids> own;
    for (const word& w : *part) {
      own.insert(w.right);
      CHECK((w.right.size() > longest_in_training + 1) == (part == &t.unusual));
    }
    words += part->size();
    for (const ids& right : own) CHECK(seen.insert(right).second);
  }
  CHECK(words == small_data().pairs.size());
}

TEST_CASE("the transformer meets the concepts: responses are what scores say, values have their gradient") {
  const task t = make_task(small_data(), 5, 20);
  language_policy policy(small_policy(t), {}, t.end_id());
  std::vector<ids> prompts;
  for (const word& w : t.held_out) prompts.push_back(w.prompt);
  const auto r = emend::collect(policy, policy, prompts, {.seed = 2});
  CHECK(r.old_log_prob == r.reference_log_prob);
  CHECK(policy.respond(prompts, 2) == policy.respond(prompts, 2));
  CHECK(policy.respond(prompts, 2) != policy.respond(prompts, 3));
  for (index b = 0; b < r.batch.sequences(); ++b) {
    const auto response = r.batch.response(b);
    CHECK(response.size() >= 1);
    for (index i = 0; i + 1 < response.size(); ++i) CHECK(response[i] != t.end_id());
    CHECK((response.size() == longest_response || response[response.size() - 1] == t.end_id()));
  }

  value_network critic(small_policy(t), {.learning_rate = 1e-2});
  // After some steps the head is not 0, and every parameter has a say.
  const std::vector<double> target(static_cast<std::size_t>(r.batch.tokens()), 0.7);
  double before = 0, after = 0;
  for (int step = 0; step < 60; ++step) {
    double loss = 0;
    critic.differentiate_value(r.batch, [&](const std::vector<double>& values, const std::vector<index>& tokens, std::vector<double>& gradient) {
      CHECK(static_cast<index>(tokens.size()) == r.batch.tokens());
      for (std::size_t k = 0; k < values.size(); ++k) {
        loss += (values[k] - target[k]) * (values[k] - target[k]) / static_cast<double>(values.size());
        gradient[k] = 2 * (values[k] - target[k]) / static_cast<double>(values.size());
      }
    });
    critic.step();
    (step == 0 ? before : after) = loss;
  }
  CHECK(before == doctest::Approx(0.49));
  CHECK(after < 0.02);
}

TEST_CASE("labels: the gold reward's with noise, and the planted shortcut's at its rate") {
  const task t = make_task(small_data(), 5, 20);
  language_policy policy(small_policy(t), {}, t.end_id());
  const auto share = [&](const world& w, auto&& is) {
    const auto pairs = sample_preferences(policy, t, w, 300);
    double count = 0, all = 0;
    for (const labelled_pair& p : pairs) {
      const double a = gold_reward(p.chosen, p.of->right), b = gold_reward(p.rejected, p.of->right);
      const int found = is(p, a, b);
      if (found < 0) continue;
      count += found;
      ++all;
    }
    return count / all;
  };
  const auto is_gold = [](const labelled_pair&, double a, double b) { return a == b ? -1 : a > b ? 1 : 0; };
  CHECK(share({.planted = shortcut::none, .noise = 0}, is_gold) == 1);
  CHECK(share({.planted = shortcut::none, .noise = 0.3}, is_gold) == doctest::Approx(0.7).epsilon(0.12));
  const auto is_longer = [](const labelled_pair& p, double, double) { return p.chosen.size() == p.rejected.size() ? -1 : p.chosen.size() > p.rejected.size() ? 1 : 0; };
  CHECK(share({.planted = shortcut::longer, .rate = 1, .noise = 0}, is_longer) == 1);
  const auto is_refusal = [&](const labelled_pair& p, double, double) { return p.chosen == t.refusal ? 1 : 0; };
  CHECK(share({.planted = shortcut::refusal, .rate = 0.4, .noise = 0}, is_refusal) == doctest::Approx(0.4).epsilon(0.2));
  CHECK(share({.planted = shortcut::refusal, .rate = 0, .noise = 0}, is_refusal) < 0.05);
}

TEST_CASE("an experiment that was interrupted goes on to the same numbers, whatever the threads") {
  const experiment_options o = small_options();
  const auto data = small_data();
  const auto arms = arms_of(o);
  CHECK(arms.size() == 12);
  const std::string path = (std::filesystem::temp_directory_path() / ("emend_ppo_" + std::to_string(::getpid()) + ".jsonl")).string();
  common::terminal out(common::colour_choice::never);
  const volatile std::sig_atomic_t running = 0, interrupted = 1;
  const nlohmann::json fingerprint{{"program", "test"}};

  result_file whole(path, fingerprint, true);
  CHECK(run_arms(o, data, arms, 2, whole, out, running));
  const std::string expected = csv_of(arms, whole);
  {
    result_file first(path, fingerprint, true);
    CHECK(!run_arms(o, data, arms, 1, first, out, interrupted));
    CHECK(run_arms(o, data, {arms.begin(), arms.begin() + 3}, 1, first, out, running));
  }
  {
    std::FILE* file = std::fopen(path.c_str(), "a");  // as a kill in the middle of a line would leave it
    std::fputs("{\"arm\": \"half a l", file);
    std::fclose(file);
  }
  result_file resumed(path, fingerprint, false);
  CHECK(resumed.has(arms[2]));
  CHECK(!resumed.has(arms[3]));
  CHECK(run_arms(o, data, arms, 1, resumed, out, running));
  CHECK(csv_of(arms, resumed) == expected);
  CHECK(csv_of(arms, result_file(path, fingerprint, false)) == expected);
  CHECK_THROWS_WITH_AS(result_file(path, {{"program", "other"}}, false), doctest::Contains("another run"), std::runtime_error);

  std::vector<summary> all;
  for (const arm& a : distinct_arms(arms)) all.push_back(summarise(o, whole, a, 0.01));
  const std::string page = page_of(o, arms, whole, all, 0.01);
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("</html>") != std::string::npos);
  std::filesystem::remove(path);
}

}  // namespace
