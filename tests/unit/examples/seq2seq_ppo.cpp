#include <seq2seq_ppo/page.hpp>
#include <seq2seq_ppo/stories.hpp>
#include <seq2seq_ppo/words.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
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
        const std::string right =
            syllables[a] + syllables[b] + (c > 0 ? syllables[(a + b) % 8] : "") + (c > 1 ? "lomibaket" : "");
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
  const lm::config shape{.dim = 16,
                         .hidden_dim = 32,
                         .layers = 2,
                         .heads = 2,
                         .key_value_heads = 2,
                         .vocab_size = t.v.size(),
                         .max_positions = t.max_positions,
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
  const task t = make_words(small_data(), 5, 1000);
  std::set<ids> seen;
  std::size_t words = 0;
  for (const auto* part : {&t.sft, &t.preference, &t.held_out, &t.unusual}) {
    std::set<ids> own;
    for (const question& w : *part) {
      own.insert(w.right);
      CHECK((w.right.size() > longest_in_training + 1) == (part == &t.unusual));
    }
    words += part->size();
    for (const ids& right : own) CHECK(seen.insert(right).second);
  }
  CHECK(words == small_data().pairs.size());
}

TEST_CASE("the transformer meets the concepts: responses are what scores say, values have their gradient") {
  const task t = make_words(small_data(), 5, 20);
  language_policy policy(small_policy(t), {}, t.end());
  std::vector<ids> prompts;
  for (const question& w : t.held_out) prompts.push_back(w.prompt);
  const auto r = emend::collect(policy, policy, prompts, {.seed = 2});
  CHECK(r.old_log_prob == r.reference_log_prob);
  CHECK(policy.respond(prompts, 2) == policy.respond(prompts, 2));
  CHECK(policy.respond(prompts, 2) != policy.respond(prompts, 3));
  for (index b = 0; b < r.batch.sequences(); ++b) {
    const auto response = r.batch.response(b);
    CHECK(response.size() >= 1);
    for (index i = 0; i + 1 < response.size(); ++i) CHECK(response[i] != t.end_id());
    CHECK((response.size() == t.longest_response || response[response.size() - 1] == t.end_id()));
  }

  value_network critic(small_policy(t), {.learning_rate = 1e-2});
  // After some steps the head is not 0, and every parameter has a say.
  const std::vector<double> target(static_cast<std::size_t>(r.batch.tokens()), 0.7);
  double before = 0, after = 0;
  for (int step = 0; step < 60; ++step) {
    double loss = 0;
    critic.differentiate_value(r.batch, [&](const std::vector<double>& values, const std::vector<index>& tokens,
                                            std::vector<double>& gradient) {
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
  const task t = make_words(small_data(), 5, 20);
  language_policy policy(small_policy(t), {}, t.end());
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
  const auto is_longer = [](const labelled_pair& p, double, double) {
    return p.chosen.size() == p.rejected.size() ? -1 : p.chosen.size() > p.rejected.size() ? 1 : 0;
  };
  CHECK(share({.planted = shortcut::longer, .rate = 1, .noise = 0}, is_longer) == 1);
  const auto is_refusal = [&](const labelled_pair& p, double, double) { return p.chosen == t.refusal ? 1 : 0; };
  CHECK(share({.planted = shortcut::refusal, .rate = 0.4, .noise = 0}, is_refusal) ==
        doctest::Approx(0.4).epsilon(0.2));
  CHECK(share({.planted = shortcut::refusal, .rate = 0, .noise = 0}, is_refusal) < 0.05);
}

TEST_CASE("an experiment that was interrupted goes on to the same numbers, whatever the threads") {
  const experiment_options o = small_options();
  const task_maker make = [&](std::uint64_t seed) { return make_words(small_data(), seed, o.evaluated); };
  const auto arms = arms_of(o);
  CHECK(arms.size() == 12);
  const std::string path =
      (std::filesystem::temp_directory_path() / ("emend_ppo_" + std::to_string(::getpid()) + ".jsonl")).string();
  common::terminal out(common::colour_choice::never);
  const volatile std::sig_atomic_t running = 0, interrupted = 1;
  const nlohmann::json fingerprint{{"program", "test"}};

  result_file whole(path, fingerprint, true);
  CHECK(run_arms(o, make, arms, 2, whole, out, running));
  const std::string expected = csv_of(arms, whole);
  {
    result_file first(path, fingerprint, true);
    CHECK(!run_arms(o, make, arms, 1, first, out, interrupted));
    CHECK(run_arms(o, make, {arms.begin(), arms.begin() + 3}, 1, first, out, running));
  }
  {
    std::FILE* file = std::fopen(path.c_str(), "a");  // as a kill in the middle of a line would leave it
    std::fputs("{\"arm\": \"half a l", file);
    std::fclose(file);
  }
  result_file resumed(path, fingerprint, false);
  CHECK(resumed.has(arms[2]));
  CHECK(!resumed.has(arms[3]));
  CHECK(run_arms(o, make, arms, 1, resumed, out, running));
  CHECK(csv_of(arms, resumed) == expected);
  CHECK(csv_of(arms, result_file(path, fingerprint, false)) == expected);
  CHECK_THROWS_WITH_AS(result_file(path, {{"program", "other"}}, false), doctest::Contains("another run"),
                       std::runtime_error);

  std::vector<summary> all;
  for (const arm& a : distinct_arms(arms)) all.push_back(summarise(o, whole, a, 0.01));
  const std::string page = page_of(o, arms, whole, all, 0.01);
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("</html>") != std::string::npos);
  std::filesystem::remove(path);
}

TEST_CASE(
    "sentences of a text: marks and quotation marks end them, unfinished ones are left out, paragraphs are apart") {
  const auto pairs =
      neighbouring_sentences("A cat sat. \"Who?\" it said. The\nend!\n\nNew one. Half a\n\nLast? Yes.", true);
  const auto is = [&](std::size_t i, const char* first, const char* second) {
    return pairs.at(i).first == first && pairs.at(i).second == second;
  };
  REQUIRE(pairs.size() == 3);
  CHECK(is(0, "A cat sat.", "\"Who?\""));
  CHECK(is(1, "\"Who?\"", "it said."));
  CHECK(is(2, "it said.", "The end!"));
  CHECK(neighbouring_sentences("One. Two.\nThree. Four.\n", false).size() == 2);
  CHECK(neighbouring_sentences("One. Two.\nThree. Four.\n", true).size() == 3);
  CHECK(neighbouring_sentences("", true).empty());
  CHECK(neighbouring_sentences("no end", false).empty());
}

TEST_CASE("stories: parts are apart, the gold reward is the judge's likelihood, and 0 for what is no answer") {
  const char* folder = std::getenv("EMEND_DATA");
  if (!folder) {
    MESSAGE("skipped: EMEND_DATA is not set");
    return;
  }
  const story_files files(folder);
  const auto judge = std::make_shared<const likelihood_judge>(files.judge, files.judge_tokenizer);
  const task t = make_stories(files, judge, 3, 40);
  CHECK(t.sft.size() > 1000);
  CHECK(t.preference.size() > 1000);
  CHECK(t.held_out.size() == 40);
  CHECK(t.unusual.size() == 40);
  const question& q = t.held_out.front();
  CHECK(t.encoded(t.text(q.right)) == q.right);

  const ids jumble = t.encoded("dog the so and big to happy was.");
  ids no_end = q.right;
  no_end.pop_back();
  const std::vector<double> gold = t.gold({&q, &q, &q, &q, &q}, {q.right, jumble, no_end, t.refusal, {t.end_id()}});
  CHECK(gold[0] > gold[1]);
  for (const std::size_t i : {2U, 3U, 4U}) CHECK(gold[i] == 0);
  CHECK(t.gold({&q, &q}, {jumble, q.right}) == std::vector<double>{gold[1], gold[0]});  // remembered

  // The same by hand: one forward pass over the two sentences, and the scores' softmax term by term.
  const auto w = lm::read_llama2c(files.judge);
  const auto characters = lm::tokenizer::read(files.judge_tokenizer, w.shape().vocab_size);
  const std::string before = t.text(q.asked), after = " " + t.text(q.right);
  const std::vector<int> whole = characters.encode(before + after);
  lm::batch one;
  one.add_sequence(whole);
  lm::workspace<float> memory;
  lm::forward(w, one, memory);
  const auto logits = memory.logits();
  double sum = 0;
  for (std::size_t i = whole.size() - after.size(); i < whole.size(); ++i) {
    double z = 0;
    for (int v = 0; v < w.shape().vocab_size; ++v)
      z += std::exp(static_cast<double>(logits(static_cast<int>(i) - 1, v)));
    sum += static_cast<double>(logits(static_cast<int>(i) - 1, whole[i])) - std::log(z);
  }
  CHECK(gold[0] == doctest::Approx(std::exp(sum / static_cast<double>(after.size()))).epsilon(1e-5));
}

}  // namespace
