// The experiments of examples/sequence_match: questions, answers and their noise, the source that is solved exactly,
// the text, and that runs are the same however they are cut.

#include <sequence_match/arithmetic_experiment.hpp>
#include <sequence_match/tabular_experiment.hpp>
#include <sequence_match/text_experiment.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace {

using namespace sequence_match;
using emend::index;
using tokens = question_tokens;

bool go_on(double) { return true; }

/// The value of a question, from its text alone.
std::string solved(const std::string& text) {
  std::istringstream in(text);
  std::string word, operation, right;
  int base = 0;
  std::string left;
  in >> word >> word >> base >> word >> word >> word >> left >> operation >> right;
  right.pop_back();
  const long long p = std::stoll(left, nullptr, base), q = std::stoll(right, nullptr, base);
  return in_base(operation == "+" ? p + q : p - q, base);
}

TEST_CASE("numbers in any base") {
  CHECK(in_base(0, 7) == "0");
  CHECK(in_base(-1240 + 4156, 10) == "2916");
  CHECK(in_base(255, 16) == "ff");
  CHECK(in_base(-5, 2) == "-101");
  for (long long n = -3000; n < 3000; n += 7)
    for (int base = 2; base <= 16; ++base) CHECK(std::stoll(in_base(n, base), nullptr, base) == n);
}

TEST_CASE("questions have the answer that their text has, in all bases, signs and sizes") {
  const question q{7, -490, -1518, false};
  CHECK(q.text() == "In base 7, what is -1300 - -4266?");
  CHECK(q.answer() == "2666");
  std::set<std::string> known;
  std::set<int> bases;
  std::size_t negative = 0, sums = 0, longest = 0;
  const question_sizes sizes{.digits = 3};
  const auto all = draw_questions(3000, sizes, 5, 1, known);
  for (const question& of : all) {
    CHECK(solved(of.text()) == of.answer());
    bases.insert(of.base);
    negative += of.left < 0;
    sums += of.is_sum;
    longest = std::max(longest, in_base(std::abs(of.left), of.base).size());
    CHECK(static_cast<int>(tokens::prompt_of(of).size()) <= tokens::longest_prompt(sizes));
    CHECK(static_cast<int>(tokens::answer_of(of).size()) <= tokens::longest_answer(sizes));
    CHECK(tokens::text_of(tokens::prompt_of(of)) == of.text() + " Solution: ");
    CHECK(tokens::text_of(tokens::answer_of(of)) == of.answer());
  }
  CHECK(bases.size() == 15);
  CHECK(longest == 3);
  CHECK(static_cast<double>(negative) / 3000 == doctest::Approx(0.49).epsilon(0.06));
  CHECK(static_cast<double>(sums) / 3000 == doctest::Approx(0.5).epsilon(0.06));
  CHECK(known.size() == 3000);
  // Those of another stream are others; the same call gives the same.
  const auto more = draw_questions(3000, sizes, 5, 2, known);
  CHECK(known.size() == 6000);
  std::set<std::string> again;
  CHECK(draw_questions(3000, sizes, 5, 1, again).back().text() == all.back().text());
  CHECK_THROWS_AS(draw_questions(200, {.lowest_base = 2, .highest_base = 2, .digits = 1}, 1, 1, again),
                  std::runtime_error);
}

TEST_CASE("an answer is right when it is all there is") {
  const question q{10, 17, 25, true};
  const index four = tokens::digit + 4, two = tokens::digit + 2;
  CHECK(tokens::is_right(q, {four, two}));
  CHECK_FALSE(tokens::is_right(q, {four}));
  CHECK_FALSE(tokens::is_right(q, {four, two, two}));
  CHECK_FALSE(tokens::is_right(q, {tokens::sign, four, two}));
  CHECK_FALSE(tokens::is_right(q, {}));
  CHECK(tokens::is_right({10, 1, 8, false}, {tokens::sign, tokens::digit + 7}));
}

/// What stands after the actions of a trajectory.
ids final_text(const emend::trajectory& t) {
  ids text;
  for (const emend::action& a : t.actions) {
    if (a.kind == emend::action_kind::append)
      text.push_back(a.argument);
    else
      text.pop_back();
  }
  return text;
}

TEST_CASE("noise in answers: as often as asked, of its kind, erased at once, and labelled with what was meant") {
  std::set<std::string> known;
  const auto all = draw_questions(2000, {.digits = 3}, 3, 1, known);
  for (const noise_kind kind : {noise_kind::random, noise_kind::ground_truth}) {
    double positions = 0, errors = 0;
    std::set<index> seen;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const ids answer = tokens::answer_of(all[i]);
      const emend::trajectory t = answer_trajectory(all[i], kind, 0.1, 7, i);
      CHECK(t.prompt == tokens::prompt_of(all[i]));
      CHECK(t.is_complete);
      CHECK(final_text(t) == answer);
      positions += static_cast<double>(answer.size());
      std::size_t at = 0;
      for (std::size_t k = 0; k < t.actions.size(); ++k) {
        const bool is_error = k + 1 < t.actions.size() && t.actions[k + 1].kind == emend::action_kind::erase;
        if (t.actions[k].kind == emend::action_kind::erase)
          CHECK(t.label[k] == tokens::backspace);
        else
          CHECK(t.label[k] == answer[at]);
        if (is_error) {
          ++errors;
          seen.insert(t.actions[k].argument);
          if (kind == noise_kind::ground_truth)
            CHECK((t.actions[k].argument >= tokens::digit && t.actions[k].argument < tokens::digit + all[i].base));
        } else if (t.actions[k].kind == emend::action_kind::append) {
          ++at;
        }
      }
      CHECK(answer_trajectory(all[i], kind, 0, 7, i).actions.size() == answer.size());
    }
    CHECK(errors / positions == doctest::Approx(0.1).epsilon(0.1));
    CHECK(seen.size() == (kind == noise_kind::random ? 37 : 16));  // all but start, end and backspace; all digits
  }
}

TEST_CASE("wrong digits at the start of an answer") {
  std::set<std::string> known;
  for (const question& q : draw_questions(500, {.digits = 2}, 4, 1, known))
    for (const int wrong : {1, 2}) {
      const ids answer = tokens::answer_of(q), start = wrong_start(q, 1, wrong, 9, 3);
      const std::size_t kept = start.size() - static_cast<std::size_t>(wrong);
      REQUIRE(kept <= 1);
      CHECK(kept == (answer.size() > 2 ? 1 : 0));
      CHECK(std::equal(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(kept), answer.begin()));
      CHECK(start[kept] != answer[kept]);
      for (std::size_t k = kept; k < start.size(); ++k)
        CHECK((start[k] >= tokens::digit && start[k] < tokens::digit + q.base));
    }
}

TEST_CASE("the source's probabilities, and occupancies that sum to one") {
  const markov_source source = small_source();
  double sum = 0;
  const std::vector<double> texts = source.distribution();
  for (const double p : texts) sum += p;
  CHECK(sum == doctest::Approx(1).epsilon(1e-12));
  const int ab = source.child(source.child(0, 0), 1);
  CHECK(source.written(ab) == "ab");
  CHECK(source.parent(ab) == source.child(0, 0));
  CHECK(texts[static_cast<std::size_t>(ab)] == doctest::Approx(0.6 * 0.6 * 0.3));
  for (int s = 0; s < source.texts(); ++s)
    if (source.written(s).find('c') != std::string::npos || source.written(s).find("bb") != std::string::npos)
      CHECK(texts[static_cast<std::size_t>(s)] == 0);
  const double gamma = 0.9;
  const auto total = [&](const occupancy& o) {
    double all = 0;
    for (const transition& t : o.steps) all += (1 - gamma) * t.weight;
    for (const double w : o.ends) all += w;
    return all;
  };
  CHECK(total(data_occupancy(source, 0, gamma)) == doctest::Approx(1).epsilon(1e-12));
  CHECK(total(data_occupancy(source, 0.3, gamma)) == doctest::Approx(1).epsilon(1e-12));
  score_table table(source, true);
  for (std::size_t i = 0; i < table.values().size(); ++i) table.values()[i] = std::sin(static_cast<double>(3 * i));
  generated_texts written;
  CHECK(total(model_occupancy(source, table.policy(), 0.2, gamma, written, 400)) == doctest::Approx(1).epsilon(1e-9));
  sum = written.unfinished;
  for (const double p : written.probability) sum += p;
  CHECK(sum == doctest::Approx(1).epsilon(1e-9));
}

TEST_CASE("the table's objective is the library's over all texts, and its gradient the derivative") {
  const markov_source source = small_source();
  const int actions = source.letters + 2;
  score_table table(source, true);
  for (std::size_t i = 0; i < table.values().size(); ++i) table.values()[i] = std::cos(static_cast<double>(7 * i));
  for (const loss_kind kind :
       {loss_kind::cloning, loss_kind::chi2_mixture, loss_kind::jensen_shannon, loss_kind::least_squares}) {
    CAPTURE(name_of(kind));
    with_objective(kind, 0.2, 0.9, [&](const auto& objective) {
      const occupancy data = data_occupancy(source, 0, 0.9);
      std::vector<double> gradient, unused;
      const double value = table.evaluate(objective, data, nullptr, gradient);
      double sum = 0;
      const std::vector<double> texts = source.distribution();
      for (int text = 0; text < source.texts(); ++text) {
        if (texts[static_cast<std::size_t>(text)] == 0) continue;
        std::vector<int> states;
        for (int s = text;; s = source.parent(s)) {
          states.insert(states.begin(), s);
          if (s == 0) break;
        }
        emend::matrix<double> scores(static_cast<index>(states.size()) + 1, actions);
        std::vector<index> at, label;
        for (std::size_t i = 0; i < states.size(); ++i) {
          for (int a = 0; a < actions; ++a)
            scores(static_cast<index>(i), a) = table.values()[static_cast<std::size_t>(states[i] * actions + a)];
          at.push_back(static_cast<index>(i));
          label.push_back(i + 1 < states.size() ? source.last_letter(states[i + 1]) : source.letters);
        }
        const double end_value = table.values()[static_cast<std::size_t>(source.texts() * actions + text)];
        for (int a = 0; a < actions; ++a) scores(static_cast<index>(states.size()), a) = end_value - std::log(actions);
        at.push_back(static_cast<index>(states.size()));
        label.push_back(-1);
        const std::vector<index> offsets{0, static_cast<index>(at.size())};
        sum -=
            texts[static_cast<std::size_t>(text)] *
            emend::evaluate_trajectories_value(objective, scores, {.offsets = offsets, .at = at, .label = label}).value;
      }
      CHECK(value == doctest::Approx(sum).epsilon(1e-10));
      // With rollouts, at a fixed occupancy of theirs.
      generated_texts written;
      const occupancy own = model_occupancy(source, table.policy(), 0.1, 0.9, written);
      const occupancy noisy = data_occupancy(source, 0.2, 0.9);
      table.evaluate(objective, noisy, &own, gradient);
      for (std::size_t i = 0; i < table.values().size(); i += 97) {
        double& x = table.values()[i];
        const double before = x, h = 1e-5;
        x = before + h;
        const double above = table.evaluate(objective, noisy, &own, unused);
        x = before - h;
        const double below = table.evaluate(objective, noisy, &own, unused);
        x = before;
        CHECK(gradient[i] == doctest::Approx((above - below) / (2 * h)).epsilon(1e-5).scale(1e-3));
      }
      return 0;
    });
  }
}

TEST_CASE("solved: likelihood is the source, errors in the data and rollouts teach erasing") {
  const markov_source source = small_source();
  tabular_options o;
  o.steps = 800;
  const auto erasing = [&](const tabular_solution& s) {
    return s.policy[static_cast<std::size_t>(source.child(0, 2) * (source.letters + 2) + source.letters + 1)];
  };
  const auto solved_by = [&](loss_kind kind, double noise, double slip) {
    o.slip = slip;
    return *with_objective(kind, 0.1, 0.95, [&](const auto& objective) {
      return solve_table(source, objective, true, has_rollouts(kind), noise, o, go_on);
    });
  };
  CHECK(solved_by(loss_kind::likelihood, 0, 0).distances.total_variation < 0.01);
  const tabular_solution likelihood = solved_by(loss_kind::likelihood, 0, 0.1),
                         cloning = solved_by(loss_kind::cloning, 0.1, 0.1),
                         mixture = solved_by(loss_kind::chi2_mixture, 0, 0.1);
  CHECK(erasing(likelihood) == doctest::Approx(0.2));  // it never saw a c
  CHECK(erasing(cloning) > 0.9);
  CHECK(erasing(mixture) > 0.4);  // nor did this, but that it wrote some itself
  CHECK(cloning.distances.impossible < 0.5 * likelihood.distances.impossible);
  CHECK(mixture.distances.mixture_chi2 < likelihood.distances.mixture_chi2);
  CHECK_FALSE(with_objective(loss_kind::chi2, 0.1, 0.95, [&](const auto& objective) {
    return solve_table(source, objective, true, false, 0, o, [](double) { return false; });
  }));
}

TEST_CASE("pieces of words: what is learned says the text again") {
  const std::string text = "the cat and the hat, the cat and the bat: that is \xc3\xa9t\xc3\xa9.";
  const auto pieces = lm::piece_tokenizer::learn(text, {"<start>", "<end>", "<erase>"}, 40);
  const std::vector<int> encoded = pieces.encode(text);
  CHECK(pieces.decode(encoded) == text);
  CHECK(encoded.size() < text.size());
  CHECK(pieces.size() <= 40);
  bool has_the = false;
  for (int id = 0; id < pieces.size(); ++id) has_the = has_the || pieces.piece(id) == " the";
  CHECK(has_the);
  CHECK(pieces.decode({0, encoded[0], 2}) == pieces.piece(encoded[0]));
  CHECK_THROWS_AS(static_cast<void>(pieces.encode("Q")), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(lm::piece_tokenizer::learn(text, {}, 5)), std::invalid_argument);
}

std::string some_text() {
  const std::vector<std::string> words{"she", "was", "the", "oldest", "of",  "them", "and",
                                       "saw", "no",  "one", "there,", "but", "it",   "rained."};
  std::string text = "*** START OF THE BOOK ***\n";
  for (std::size_t i = 0; i < 4000; ++i) text += words[(i * i + i / 7) % words.size()] + (i % 9 == 8 ? "\n" : "  ");
  return text + "\n*** END OF THE BOOK ***\nlicence";
}

/// A file that is there as long as the test.
struct file_of {
  std::string path;
  file_of(std::string p, const std::string& bytes) : path(std::move(p)) { std::ofstream(path) << bytes; }
  ~file_of() { std::remove(path.c_str()); }
};

text_options small_text(const std::string& path) {
  text_options o;
  o.corpus.data = path;
  o.corpus.vocabulary = 60;
  o.corpus.prompt = 6;
  o.corpus.length = 10;
  o.evaluated = 20;
  o.rounds = 1;
  o.layers = 1;
  o.dim = 16;
  o.heads = 2;
  o.base_steps = 20;
  o.steps = 6;
  o.batch = 8;
  o.sample_every = 3;
  o.rollouts = 4;
  o.level = 0.1;
  o.seeds = 1;
  return o;
}

TEST_CASE("a text: cleaned, cut, its last tenth held out") {
  CHECK(cleaned("a _b_\r\n\n c\t d") == "a b c d");
  const std::string text = cleaned(some_text());
  CHECK(text.find("licence") == std::string::npos);
  CHECK(text.find("START") == std::string::npos);
  CHECK(text.find("  ") == std::string::npos);
  const file_of file("sequence_match_test.txt", some_text());
  const text_options o = small_text(file.path);
  const corpus c = read_corpus(o.corpus);
  CHECK(c.characters == text.size());
  CHECK(c.held_out.size() == (c.training.size() + c.held_out.size()) / 10);
  ids whole;
  for (const ids& passage : c.training) {
    CHECK(passage.size() == 17);
    whole.insert(whole.end(), passage.begin(), passage.end());
  }
  CHECK(text.starts_with(c.decode(whole)));
  const emend::trajectory t = passage_trajectory(o, c, c.training[3], 0.2, 1, 3);
  CHECK(t.actions.size() == 16);
  CHECK(t.is_complete);
  CHECK(t.actions.back().argument == c.end);
  CHECK(t.label.back() != c.end);
  corpus_options bad = o.corpus;
  bad.data = "sequence_match_test_none.txt";
  CHECK_THROWS_AS(static_cast<void>(read_corpus(bad)), std::runtime_error);
  const file_of little("sequence_match_test_little.txt", "a b c a b c");
  bad.data = little.path;
  CHECK_THROWS_AS(static_cast<void>(read_corpus(bad)), std::runtime_error);
}

TEST_CASE("a text without spaces is cut at a whole character; the start of one with spaces at a space") {
  std::string text;
  for (int i = 0; i < 9000; ++i) text += "\xe4\xb8" + std::string(1, static_cast<char>(0x80 + i * i % 50));
  const file_of file("sequence_match_test_no_spaces.txt", text);
  text_options o = small_text(file.path);
  for (const std::size_t characters : {20000u, 20001u, 19999u}) {
    o.corpus.characters = characters;
    const corpus c = read_corpus(o.corpus);
    CHECK(c.characters == characters / 3 * 3);
    ids whole;
    for (const ids& passage : c.training) whole.insert(whole.end(), passage.begin(), passage.end());
    CHECK(text.starts_with(c.decode(whole)));
    CHECK(c.decode(whole).size() > 10000);
  }
  CHECK(start_of("one two three", 13) == "one two three");
  CHECK(start_of("one two three", 12) == "one two");
  CHECK(start_of("one two three", 7) == "one two");
  CHECK(start_of("one two three", 6) == "one");
  const std::string far = "a" + std::string(1, ' ') + std::string(3000, 'b');
  CHECK(start_of(far, 1000) == "a");
  CHECK(start_of(far, 1001).size() == 1001);
}

TEST_CASE("a text that is none, or needs more ids than there are, is refused with its name") {
  const auto refused = [](const std::string& bytes, int vocabulary, const std::string& words) {
    const file_of file("sequence_match_test_bad.txt", bytes);
    text_options o = small_text(file.path);
    o.corpus.vocabulary = vocabulary;
    std::string message = "nothing was thrown";
    try {
      static_cast<void>(read_corpus(o.corpus));
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CAPTURE(message);
    CHECK(message.starts_with(file.path + ": "));
    CHECK(message.find(words) != std::string::npos);
  };
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::string(1, static_cast<char>('!' + i % 90)) + " ";
  refused("\xff\xfe" + text, 200, "UTF-16");
  refused("caf\xe9 " + text, 200, "not UTF-8 at byte 3");
  refused(std::string(1, '\0') + text, 200, "zero byte");
  refused(text, 92, "needs a --vocabulary of at least 93");
  refused("", 200, "too short: only 0 passages");
  const file_of file("sequence_match_test_marked.txt", "\xef\xbb\xbf" + text);
  text_options o = small_text(file.path);
  o.corpus.vocabulary = 93;
  CHECK(read_corpus(o.corpus).decode(read_corpus(o.corpus).training.at(0)).starts_with("! \""));
}

TEST_CASE("a model that was kept is taken up if it is of the same experiment and shape") {
  const file_of file("sequence_match_test_kept.lm", "");
  lm::config shape{.dim = 8, .hidden_dim = 8, .layers = 1, .heads = 2, .key_value_heads = 2, .vocab_size = 9};
  lm::save_checkpoint<float>(file.path, lm::random_weights<float>(shape, 1), nullptr, 1, "mine");
  CHECK(kept_model(file.path, "mine", shape).has_value());
  CHECK_FALSE(kept_model(file.path, "another", shape).has_value());
  shape.vocab_size = 10;
  CHECK_FALSE(kept_model(file.path, "mine", shape).has_value());
  CHECK_FALSE(kept_model("sequence_match_test_none.lm", "mine", shape).has_value());
  std::ofstream(file.path) << "damaged";
  CHECK_THROWS_AS(static_cast<void>(kept_model(file.path, "mine", shape)), std::runtime_error);
}

TEST_CASE("one more id changes no other's score; contrastive search among one is greedy") {
  const lm::config shape{.dim = 16,
                         .hidden_dim = 20,
                         .layers = 2,
                         .heads = 4,
                         .key_value_heads = 2,
                         .vocab_size = 11,
                         .max_positions = 30,
                         .is_classifier_shared = true};
  const auto w = lm::random_weights<float>(shape, 5, 0.4);
  const auto larger = with_one_more_id(w);
  lm::batch b;
  b.add_sequence(std::vector<int>{1, 5, 3});
  lm::workspace<float> s, t;
  lm::forward(w, b, s);
  lm::forward(larger, b, t);
  for (Eigen::Index i = 0; i < 3; ++i) {
    for (Eigen::Index k = 0; k < 11; ++k) CHECK(t.logits()(i, k) == doctest::Approx(s.logits()(i, k)).epsilon(1e-4));
    CHECK(t.logits()(i, 11) == doctest::Approx(s.logits().row(i).mean()).epsilon(1e-3).scale(1));
  }
  const std::vector<ids> prompts{{1, 2}, {3, 4, 5}};
  const auto greedy = write_from(w, prompts, 7, 0, {.max_tokens = 8});
  const auto searched = write_contrastively(w, prompts, 8, {.k = 1, .forbidden = {7}});
  for (std::size_t p = 0; p < prompts.size(); ++p) CHECK(greedy[p].response() == searched[p]);
  const auto varied = write_contrastively(w, prompts, 8, {.k = 5, .alpha = 0.9, .forbidden = {7}});
  CHECK(varied != searched);
}

TEST_CASE("how a text came about: erased tokens, those of the prompt too") {
  emend::generation g;
  g.written = {{8, 2, -1, 0, false}, {5, 2, 1, -1, true}, {6, 3, 2, 3, false}};
  const auto shown = tokens_of(g, {1, 7, 8}, 2, [](index id) { return std::to_string(id); });
  REQUIRE(shown.size() == 4);
  CHECK((shown[0].text == "7" && shown[0].written_at == -1 && shown[0].erased_at == -1));
  CHECK((shown[1].text == "8" && shown[1].erased_at == 0));
  CHECK((shown[2].text == "5" && shown[2].erased_at == -1));
  CHECK((shown[3].text == "6" && shown[3].erased_at == 3));
  const shown_writing writing{"</script><b>", "", shown, 4, false};
  CHECK(in_line(writing) == "7[-8]5[-6]");
  const std::string page = playback_of({writing});
  CHECK(page.find("</script><b>") == std::string::npos);
  CHECK(page.find("&lt;/script&gt;") != std::string::npos);
  CHECK(to_json(writing_of(to_json(writing))) == to_json(writing));
}

TEST_CASE("kept results: taken up again after a cut line, refused of another run") {
  const file_of file("sequence_match_test.jsonl", "");
  const nlohmann::json fingerprint{{"steps", 3}};
  {
    common::result_lines lines(file.path, fingerprint, true);
    lines.put("a", {{"x", 1}});
    std::ofstream(file.path, std::ios::app) << "{\"arm\": \"b\", \"x";
  }
  common::result_lines again(file.path, fingerprint, false);
  CHECK(again.all().size() == 1);
  again.put("c", {{"x", 2}});
  CHECK(common::result_lines(file.path, fingerprint, false).find("c")->at("x") == 2);
  // A model's text that breaks off within a character.
  again.put("d", {{"text", "na\xc3"}});
  CHECK(again.find("d")->at("text") == "na\xef\xbf\xbd");
  CHECK_THROWS_WITH_AS(common::result_lines(file.path, {{"steps", 4}}, false),
                       doctest::Contains("its steps is 3, here it is 4"), std::runtime_error);
  CHECK(common::result_lines(file.path, {{"steps", 4}}, true).all().empty());
}

/// Runs an experiment, stopped and taken up again, and returns its numbers.
std::string numbers_of(const experiment& e, const std::string& path, int threads, bool is_stopped) {
  common::terminal out(common::colour_choice::never);
  volatile std::sig_atomic_t interrupted = 0;
  common::result_lines results(path, e.fingerprint, true);
  if (is_stopped) {
    std::vector<common::job> first = e.jobs;
    first[1].run = [&](const common::report_progress& on_step) -> nlohmann::json {
      interrupted = 1;
      CHECK_FALSE(on_step(0.5));
      return nullptr;
    };
    CHECK_FALSE(common::run_jobs(first, 1, results, out, interrupted, e.in_words));
    CHECK(results.all().size() == 1);
    interrupted = 0;
  }
  CHECK(common::run_jobs(e.jobs, threads, results, out, interrupted, e.in_words));
  CHECK(results.all().size() == e.jobs.size());
  e.print(out, results);
  CHECK(e.page(results).find("<section>") != std::string::npos);
  std::remove(path.c_str());
  return e.csv(results);
}

TEST_CASE("arithmetic: the same numbers for any number of threads, and after an interruption") {
  arithmetic_options o;
  o.layers = 1;
  o.dim = 16;
  o.heads = 2;
  o.questions = 60;
  o.held_out = 20;
  o.pretraining_steps = 12;
  o.steps = o.scratch_steps = 6;
  o.batch = 8;
  o.sample_every = 2;
  o.rollouts = 6;
  o.capacity = 12;
  o.levels = {0, 0.2};
  o.divergence_levels = {0.2};
  o.scratch_levels = {0.2};
  o.seeds = 2;
  const std::string model = "sequence_match_test.seed";
  const auto remove_models = [&] {
    for (const char* seed : {"1.lm", "2.lm"}) std::remove((model + seed).c_str());
  };
  remove_models();
  const std::string one =
      numbers_of(arithmetic_experiment(o, "eigen", "sequence_match_test"), "sequence_match_test.jsonl", 1, false);
  const std::string resumed = numbers_of(arithmetic_experiment(o, "eigen", "sequence_match_test"),
                                         "sequence_match_test.jsonl", 2, true);  // with kept models
  CHECK(one == resumed);
  remove_models();
  CHECK(one ==
        numbers_of(arithmetic_experiment(o, "eigen", "sequence_match_test"), "sequence_match_test.jsonl", 2, false));
  remove_models();
  // Every loss, noise and start has its lines.
  for (const char* arm : {"pretrained MLE,none", "pretrained BC,ground truth", "pretrained least squares,random",
                          "pretrained Hellinger,random", "from scratch chi2 mixture,ground truth"})
    CHECK(one.find(std::string("arithmetic,") + arm) != std::string::npos);
}

TEST_CASE("text: the same numbers after an interruption, every arm measured") {
  const file_of file("sequence_match_test.txt", some_text());
  const text_options o = small_text(file.path);
  const std::string one =
      numbers_of(text_experiment(o, "eigen", "sequence_match_test"), "sequence_match_test.jsonl", 2, false);
  const std::string again =
      numbers_of(text_experiment(o, "eigen", "sequence_match_test"), "sequence_match_test.jsonl", 1, true);
  std::remove("sequence_match_test.seed1.lm");
  CHECK(one == again);
  for (const char* name : text_method_names) CHECK(one.find(std::string("\"") + name + "\"") != std::string::npos);
  CHECK(one.find(std::string("\"") + contrastive_name + "\"") != std::string::npos);
}

}  // namespace
