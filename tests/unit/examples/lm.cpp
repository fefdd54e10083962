#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <zlib.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include <emend/core/thread_pool.hpp>
#include <lm/lm.hpp>
#include "small_model.hpp"
#if defined(EMEND_EXAMPLE_LIBTORCH)
#include <lm/torch_engine.hpp>
#endif

namespace {

#if defined(EMEND_EXAMPLE_LIBTORCH)
/// LibTorch computes every model while this lives, on the host or on the device that the environment names.
struct by_libtorch {
  static std::string device() {
    const char* const name = std::getenv("EMEND_TEST_DEVICE");
    if (!name) return "cpu";
    try {
      lm::torch_engine<float>(name);
    } catch (const std::runtime_error&) {
      std::puts("skipped: no device of CUDA");
      std::exit(0);
    }
    return name;
  }
  std::unique_ptr<lm::engine<float>> of_float = lm::torch_engine<float>(device());
  std::unique_ptr<lm::engine<double>> of_double = lm::torch_engine<double>(device());
  by_libtorch() {
    lm::use_engine<float>(of_float.get());
    lm::use_engine<double>(of_double.get());
  }
  ~by_libtorch() {
    lm::use_engine<float>(nullptr);
    lm::use_engine<double>(nullptr);
  }
};
#endif

/// Every check with this folder's own code, and with LibTorch where it was found.
template <class F>
void for_each_engine(F&& check) {
  check();
#if defined(EMEND_EXAMPLE_LIBTORCH)
  INFO("by LibTorch");
  const by_libtorch torch;
  check();
#endif
}

std::string data_path() {
  const char* path = std::getenv("EMEND_DATA");
  return path ? path : "";
}

std::string read_gz(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE_MESSAGE(file != nullptr, path);
  std::string all;
  char piece[65536];
  for (int count; (count = gzread(file, piece, sizeof piece)) > 0;) all.append(piece, static_cast<std::size_t>(count));
  gzclose(file);
  return all;
}

template <class T, class Row>
double negative_log_likelihood(const Row& logits, int target) {
  const double largest = static_cast<double>(logits.maxCoeff());
  double sum = 0;
  for (Eigen::Index j = 0; j < logits.size(); ++j) sum += std::exp(static_cast<double>(logits(j)) - largest);
  return largest + std::log(sum) - static_cast<double>(logits(target));
}

ids_t random_ids(std::mt19937& random, int count, int vocab_size) {
  ids_t ids;
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<int>(random() % static_cast<unsigned>(vocab_size)));
  return ids;
}

lm::batch plain_batch() {
  std::mt19937 random(5);
  lm::batch b;
  b.add_sequence(random_ids(random, 5, 11), 2);
  b.add_sequence(random_ids(random, 9, 11), 1, 7);
  b.add_sequence(random_ids(random, 1, 11));
  b.add_sequence(random_ids(random, 4, 11), 4);  // no row wanted
  return b;
}

lm::batch tree_batch() {
  lm::batch b;
  b.ids = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
  b.parent = {-1, 0, 1, -1, 1, 4, 3, 5, 2, 6, 6, 0};  // two trees, interleaved
  b.rows = {1, 2, 5, 7, 8, 10, 11};
  return b;
}

// a loss with a gradient at every output: sum of cos of each number times a fixed pattern
template <class T>
double pattern_loss(const lm::matrix_view<T>& m, T* gradient, double frequency) {
  double sum = 0;
  for (Eigen::Index i = 0; i < m.size(); ++i) {
    const double x = static_cast<double>(m.data()[i]), weight = std::sin(frequency * static_cast<double>(i + 1));
    sum += weight * std::cos(x + static_cast<double>(i));
    if (gradient) gradient[i] = static_cast<T>(-weight * std::sin(x + static_cast<double>(i)));
  }
  return sum;
}

double loss_of(const lm::weights<double>& w, const lm::batch& b, lm::workspace<double>& s) {
  lm::forward(w, b, s);
  return pattern_loss<double>(s.logits(), nullptr, 0.7) + pattern_loss<double>(s.hidden(), nullptr, 1.3);
}

/// The gradients of every engine against differences of this folder's own code, whose values the others' are.
void check_gradients(const lm::config& c, const lm::batch& b) {
  lm::weights<double> w = lm::random_weights<double>(c, 7, 0.3), differences(c);
  for (const auto& t : w.tensors())
    if (!t.is_matrix)
      for (std::size_t i = 0; i < t.size(); ++i)
        w.values()[t.offset + i] = 1.0 + 0.3 * std::sin(static_cast<double>(i + t.offset));
  lm::workspace<double> of_differences;
  for (std::size_t i = 0; i < w.values().size(); ++i) {
    double& x = w.values()[i];
    const double before = x, h = 1e-5;
    x = before + h;
    const double above = loss_of(w, b, of_differences);
    x = before - h;
    const double below = loss_of(w, b, of_differences);
    x = before;
    differences.values()[i] = (above - below) / (2 * h);
  }
  const double expected = loss_of(w, b, of_differences);
  for_each_engine([&] {
    lm::workspace<double> s;
    lm::weights<double> gradient(c);
    CHECK(loss_of(w, b, s) == doctest::Approx(expected).epsilon(1e-12));
    lm::row_matrix<double> d_logits(b.row_count(), c.vocab_size), d_hidden(b.row_count(), c.dim);
    pattern_loss<double>(s.logits(), d_logits.data(), 0.7);
    pattern_loss<double>(s.hidden(), d_hidden.data(), 1.3);
    lm::backward(w, b, s, {d_logits.data(), d_hidden.data()}, gradient);
    for (const auto& t : w.tensors()) {
      double worst = 0;
      for (std::size_t i = t.offset; i < t.offset + t.size(); ++i)
        worst = std::max(
            worst, std::abs(differences.values()[i] - gradient.values()[i]) / (1 + std::abs(gradient.values()[i])));
      CHECK_MESSAGE(worst < 1e-6, t.name, " differs by ", worst);
    }
  });
}

}  // namespace

/// Tokens, likelihoods, logits and greedy texts of the models that others have run.
void check_golden_models() {
  const std::string data = data_path();
  if (data.empty()) {
    MESSAGE("skipped: EMEND_DATA is not set");
    return;
  }
  const std::vector<std::pair<std::string, std::string>> models{
      {"stories260K", "tok512"}, {"charllama105", "tok105"}, {"charllama361", "tok361"}};
  for (const auto& model : models) {
    const std::string &name = model.first, &tokenizer_name = model.second;
    CAPTURE(name);
    const std::string folder = data + "/models/" + name + "/";
    const auto w = lm::read_llama2c(folder + name + ".bin");
    const auto t = lm::tokenizer::read(folder + tokenizer_name + ".bin", w.shape().vocab_size);
    std::istringstream lines(read_gz(folder + "golden_lines.txt.gz")),
        goldens(read_gz(folder + "golden_tokens_nll.jsonl.gz"));
    std::string line, golden;
    lm::workspace<float> s, of_cache;
    int count = 0, wrong_ids = 0;
    double worst = 0, worst_cached = 0, worst_logit = 0;
    std::vector<ids_t> all_ids;
    std::vector<std::vector<double>> all_nll;
    while (std::getline(lines, line) && std::getline(goldens, golden)) {
      const auto json = nlohmann::json::parse(golden);
      const auto ids = json["ids"].get<ids_t>();
      const auto nll = json["nll"].get<std::vector<double>>();
      ids_t ours = t.encode(line);
      if (static_cast<int>(ours.size()) > w.shape().max_positions)
        ours.resize(static_cast<std::size_t>(w.shape().max_positions));
      wrong_ids += ours != ids;
      all_ids.push_back(ids);
      all_nll.push_back(nll);
      ++count;
    }
    CHECK(count == 200);
    CHECK(wrong_ids == 0);
    // packed, several lines at once
    for (std::size_t begin = 0; begin < all_ids.size(); begin += 8) {
      lm::batch b;
      for (std::size_t i = begin; i < std::min(begin + 8, all_ids.size()); ++i)
        b.add_sequence(all_ids[i], 0, static_cast<int>(all_ids[i].size()) - 1);
      lm::forward(w, b, s);
      Eigen::Index row = 0;
      for (std::size_t i = begin; i < std::min(begin + 8, all_ids.size()); ++i)
        for (std::size_t j = 0; j + 1 < all_ids[i].size(); ++j)
          worst = std::max(worst, std::abs(negative_log_likelihood<float>(s.logits().row(row++), all_ids[i][j + 1]) -
                                           all_nll[i][j]));
    }
    CHECK(worst < 1e-4);
    // with the cache, token by token
    lm::key_value_cache<float> cache(w.shape());
    const int only = 0;
    for (std::size_t i = 0; i < all_ids.size(); i += 10) {
      cache.clear();
      int node = -1;
      for (std::size_t j = 0; j + 1 < all_ids[i].size(); ++j) {
        node = lm::advance<float>(w, cache, {&all_ids[i][j], 1}, {&node, 1}, {&only, 1}, of_cache);
        worst_cached = std::max(
            worst_cached,
            std::abs(negative_log_likelihood<float>(of_cache.logits().row(0), all_ids[i][j + 1]) - all_nll[i][j]));
      }
    }
    CHECK(worst_cached < 1e-4);
    const std::string bytes = read_gz(folder + "golden_logits_line0_first32.f32.gz");
    lm::row_matrix<float> expected(32, w.shape().vocab_size);
    REQUIRE(bytes.size() == static_cast<std::size_t>(expected.size()) * 4);
    std::memcpy(expected.data(), bytes.data(), bytes.size());
    lm::batch first;
    first.add_sequence(all_ids[0], 0, 32);
    lm::forward(w, first, s);
    worst_logit = (s.logits() - expected).cwiseAbs().maxCoeff();
    CHECK(worst_logit < 1e-4);
    MESSAGE(name, ": worst difference of nll ", worst, ", with the cache ", worst_cached, ", of a logit ", worst_logit);

    const auto greedy = nlohmann::json::parse(read_file(folder + "golden_greedy.json"));
    const ids_t greedy_ids = greedy["ids"].get<ids_t>();
    const std::vector<ids_t> prompts{t.encode(greedy["prompt"].get<std::string>())};
    auto decoded =
        lm::decode_greedy<float>(w, prompts, emend::sequential{},
                                 {.max_new_tokens = static_cast<int>(greedy_ids.size() - prompts[0].size())})[0];
    decoded.insert(decoded.begin(), prompts[0].begin(), prompts[0].end());
    CHECK(decoded == greedy_ids);
    if (name == "stories260K") {
      auto story =
          lm::decode_greedy<float>(w, std::vector<ids_t>{{1}}, emend::sequential{}, {.max_new_tokens = 200})[0];
      story.insert(story.begin(), 1);
      CHECK(t.decode(story) == read_file(folder + "expected_greedy_200.txt"));
    }
    temporary_folder folder_out;
    lm::write_llama2c(folder_out / "model.bin", w);
    const auto again = lm::read_llama2c(folder_out / "model.bin");
    CHECK(again.shape() == w.shape());
    CHECK(std::equal(w.values().begin(), w.values().end(), again.values().begin(), again.values().end()));
    for (const char* text : {"Hello  world", "x", "a\tb\n", "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80"})
      if (name != "charllama105") CHECK(t.decode(t.encode(text)) == text);
  }
}

TEST_CASE("golden models") { for_each_engine(check_golden_models); }

TEST_CASE("gradients against finite differences") {
  for (bool is_shared : {true, false})
    for (int layers : {1, 2, 3}) {
      CAPTURE(is_shared);
      CAPTURE(layers);
      check_gradients(small_config(is_shared, layers), plain_batch());
      check_gradients(small_config(is_shared, layers), tree_batch());
    }
}

TEST_CASE("long plain sequences are cut into blocks") {
  std::mt19937 random(3);
  lm::batch b;
  b.add_sequence(random_ids(random, 90, 11), 3);
  b.add_sequence(random_ids(random, 70, 11), 0);
  lm::config c = small_config(true, 1);
  c.dim = 8;
  c.hidden_dim = 4;
  c.key_value_heads = 4;
  check_gradients(c, b);
}

TEST_CASE("a tree equals each of its paths") {
  for_each_engine([] {
    const lm::config c = small_config(false);
    const auto w = lm::random_weights<double>(c, 3, 0.3);
    const lm::batch tree = tree_batch();
    lm::workspace<double> s, of_path;
    lm::forward(w, tree, s);
    for (int r = 0; r < tree.row_count(); ++r) {
      ids_t path;
      for (int i = tree.rows[static_cast<std::size_t>(r)]; i >= 0; i = tree.parent[static_cast<std::size_t>(i)])
        path.insert(path.begin(), tree.ids[static_cast<std::size_t>(i)]);
      lm::batch plain;
      plain.add_sequence(path, static_cast<int>(path.size()) - 1);
      lm::forward(w, plain, of_path);
      CHECK((s.logits().row(r) - of_path.logits().row(0)).cwiseAbs().maxCoeff() < 1e-12);
      CHECK((s.hidden().row(r) - of_path.hidden().row(0)).cwiseAbs().maxCoeff() < 1e-12);
    }
  });
}

#if defined(EMEND_EXAMPLE_LIBTORCH)
TEST_CASE("LibTorch's numbers are our own, on forests of every shape") {
  lm::config c = small_config(false);
  c.key_value_heads = 2;
  const auto w = lm::random_weights<double>(c, 3, 0.3);
  std::mt19937 random(11);
  // How far back a token's parent may lie: chains, broad trees, stems with long branches; roots now and then, or one.
  for (const auto [tokens, back, roots] :
       {std::array{1, 1, 1}, {90, 1, 1}, {300, 300, 1}, {300, 40, 60}, {260, 3, 90}, {200, 4, 1}, {120, 200, 7}}) {
    CAPTURE(tokens);
    CAPTURE(back);
    lm::batch b;
    std::vector<int> depth;
    for (int i = 0; i < tokens; ++i) {
      int parent = i == 0 || (roots > 1 && random() % static_cast<unsigned>(roots) == 0)
                       ? -1
                       : i - 1 - static_cast<int>(random() % static_cast<unsigned>(std::min(back, i)));
      if (parent >= 0 && depth[static_cast<std::size_t>(parent)] + 1 >= c.max_positions) parent = 0;
      b.ids.push_back(static_cast<int>(random() % 11));
      b.parent.push_back(parent);
      depth.push_back(parent < 0 ? 0 : depth[static_cast<std::size_t>(parent)] + 1);
      if (random() % 3) b.rows.push_back(i);
    }
    lm::workspace<double> ours, other;
    lm::weights<double> of_ours(c), of_other(c);
    const auto differentiate = [&](lm::workspace<double>& s, lm::weights<double>& gradient) {
      lm::forward(w, b, s);
      lm::row_matrix<double> d_logits(b.row_count(), c.vocab_size), d_hidden(b.row_count(), c.dim);
      pattern_loss<double>(s.logits(), d_logits.data(), 0.7);
      pattern_loss<double>(s.hidden(), d_hidden.data(), 1.3);
      lm::backward(w, b, s, {d_logits.data(), d_hidden.data()}, gradient);
    };
    differentiate(ours, of_ours);
    {
      const by_libtorch torch;
      differentiate(other, of_other);
    }
    REQUIRE(other.logits().rows() == ours.logits().rows());
    if (b.row_count() > 0) CHECK((other.logits() - ours.logits()).cwiseAbs().maxCoeff() < 1e-12);
    double worst = 0;
    for (std::size_t i = 0; i < of_ours.values().size(); ++i)
      worst =
          std::max(worst, std::abs(of_ours.values()[i] - of_other.values()[i]) / (1 + std::abs(of_ours.values()[i])));
    CHECK(worst < 1e-11);
    // A workspace goes back to our own code.
    differentiate(other, of_other);
    if (b.row_count() > 0) CHECK(other.logits() == ours.logits());
  }
  const int id = 1, root = -1, only = 0;
  lm::key_value_cache<double> cache(c);
  lm::workspace<double> s;
  lm::advance<double>(w, cache, {&id, 1}, {&root, 1}, {&only, 1}, s);
  {
    const by_libtorch torch;
    CHECK_THROWS_AS(lm::advance<double>(w, cache, {&id, 1}, {&root, 1}, {&only, 1}, s), std::logic_error);
    CHECK(cache.size() == 1);
    cache.clear();
    lm::advance<double>(w, cache, {&id, 1}, {&root, 1}, {&only, 1}, s);
  }
  CHECK_THROWS_AS(lm::advance<double>(w, cache, {&id, 1}, {&root, 1}, {&only, 1}, s), std::logic_error);
  CHECK_THROWS_WITH(lm::torch_engine<float>("nowhere"),
                    "--device nowhere: no name of a device, like cpu, cuda, cuda:1");
}
#endif

TEST_CASE("the rest of the batch and the dropped rows change nothing") {
  for_each_engine([] {
    const lm::config c = small_config(true);
    const auto w = lm::random_weights<double>(c, 3, 0.3);
    std::mt19937 random(1);
    lm::workspace<double> s, alone;
    lm::batch all;
    std::vector<ids_t> sequences;
    for (int i = 0; i < 9; ++i) {
      sequences.push_back(random_ids(random, 1 + i * 3, 11));
      all.add_sequence(sequences.back());
    }
    lm::forward(w, all, s);
    Eigen::Index row = 0;
    for (const auto& sequence : sequences) {
      const int length = static_cast<int>(sequence.size());
      lm::batch one;
      one.add_sequence(sequence, length / 2);
      lm::forward(w, one, alone);
      CHECK((s.logits().middleRows(row + length / 2, length - length / 2) - alone.logits()).cwiseAbs().maxCoeff() <
            1e-12);
      row += length;
    }
    lm::forward(w, all, s, {.wants_logits = false});
    CHECK(s.logits().rows() == 0);
    CHECK((s.hidden().bottomRows(1) - alone.hidden().bottomRows(1)).cwiseAbs().maxCoeff() < 1e-12);
  });
}

TEST_CASE("same bits for any number of threads, shards add up") {
  lm::config c = small_config(true);
  c.dim = 32;
  c.vocab_size = 40;
  const auto w = lm::random_weights<float>(c, 3, 0.1);
  std::mt19937 random(2);
  lm::batch b = tree_batch();
  for (int i = 0; i < 30; ++i) {
    const int before = b.size();
    const ids_t ids = random_ids(random, 3 + i % 7, 40);
    b.add_sequence(ids, i % 3);
    CHECK(b.size() == before + static_cast<int>(ids.size()));
  }
  auto loss = [&](lm::shard<float>& part) {
    double sum = 0;
    for (Eigen::Index r = 0; r < part.logits().rows(); ++r) {
      const int token = part.tokens.rows[static_cast<std::size_t>(r)];
      const int whole = b.rows[static_cast<std::size_t>(part.batch_row[static_cast<std::size_t>(r)])];
      CHECK(part.batch_token[static_cast<std::size_t>(token)] == whole);
      const float weight = static_cast<float>(whole % 5) + 1;
      part.d_logits.row(r) = weight * part.logits().row(r);
      part.d_hidden.row(r).setConstant(weight);
      sum += 0.5 * static_cast<double>(weight * part.logits().row(r).squaredNorm()) +
             static_cast<double>(weight * part.hidden().row(r).sum());
    }
    return sum;
  };
  auto run = [&](auto&& pool, int shards) {
    lm::gradient_of<float> step(c, {.shards = shards, .has_hidden_gradient = true});
    const double value = step(w, b, pool, loss);
    return std::pair(value, std::vector<float>(step.gradient().values().begin(), step.gradient().values().end()));
  };
  emend::thread_pool one(1), two(2);
  const auto reference = run(emend::sequential{}, 2);
  for (int i = 0; i < 3; ++i) {
    CHECK(run(one, 2) == reference);
    CHECK(run(two, 2) == reference);
  }
  for (int shards : {1, 3, 7, 50}) {
    const auto other = run(two, shards);
    CHECK(other.first == doctest::Approx(reference.first).epsilon(1e-5));
    for (std::size_t i = 0; i < other.second.size(); ++i)
      REQUIRE(other.second[i] == doctest::Approx(reference.second[i]).epsilon(1e-3));
  }
  lm::gradient_of<float> step(c, {.shards = 2, .has_hidden_gradient = true});
  step(w, b, two, loss);
  step.add(w, b, two, loss);
  for (std::size_t i = 0; i < reference.second.size(); ++i)
    REQUIRE(step.gradient().values()[i] == doctest::Approx(2 * reference.second[i]).epsilon(1e-5));
}

TEST_CASE("cache: any order of advancing and going back equals a fresh forward") {
  for_each_engine([] {
    const lm::config c = small_config(false);
    const auto w = lm::random_weights<double>(c, 3, 0.3);
    std::mt19937 random(4);
    lm::key_value_cache<double> cache(c);
    lm::workspace<double> s, fresh;
    ids_t token;  // of each node
    for (int step = 0; step < 40; ++step) {
      ids_t ids, parents, rows;
      const int count = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < count; ++i) {
        const int nodes = cache.size() + i;
        ids.push_back(static_cast<int>(random() % 11));
        parents.push_back(nodes > 0 && random() % 8 ? static_cast<int>(random() % static_cast<unsigned>(nodes)) : -1);
        if (random() % 2) rows.push_back(i);
      }
      const int first = lm::advance<double>(w, cache, ids, parents, rows, s);
      token.insert(token.end(), ids.begin(), ids.end());
      for (std::size_t r = 0; r < rows.size(); ++r) {
        ids_t path;
        for (int node = first + rows[r]; node >= 0; node = cache.parent(node))
          path.insert(path.begin(), token[static_cast<std::size_t>(node)]);
        CHECK(cache.depth(first + rows[r]) + 1 == static_cast<int>(path.size()));
        lm::batch plain;
        plain.add_sequence(path, static_cast<int>(path.size()) - 1);
        lm::forward(w, plain, fresh);
        CHECK((s.logits().row(static_cast<Eigen::Index>(r)) - fresh.logits().row(0)).cwiseAbs().maxCoeff() < 1e-12);
      }
      if (step % 10 == 9) {
        cache.truncate(cache.size() / 2);
        token.resize(static_cast<std::size_t>(cache.size()));
      }
    }
    const int before = cache.size(), bad = 11, root = -1, late = 1000, good = 1;
    CHECK_THROWS_AS(lm::advance<double>(w, cache, {&bad, 1}, {&root, 1}, {}, s), std::invalid_argument);
    CHECK_THROWS_AS(lm::advance<double>(w, cache, {&good, 1}, {&late, 1}, {}, s), std::invalid_argument);
    CHECK(cache.size() == before);
  });
}

TEST_CASE("decode many prompts equals decode one by one") {
  for_each_engine([] {
    lm::config c = small_config(true);
    c.max_positions = 20;
    const auto w = lm::random_weights<float>(c, 9, 0.4);
    std::mt19937 random(8);
    std::vector<ids_t> prompts;
    for (int i = 0; i < 23; ++i) prompts.push_back(random_ids(random, 1 + i % 6, 11));
    emend::thread_pool two(2);
    const lm::decode_options options{.max_new_tokens = 30, .end_id = 4, .prompts_at_once = 5};
    const auto all = lm::decode_greedy<float>(w, prompts, two, options);
    lm::workspace<float> s;
    for (std::size_t p = 0; p < prompts.size(); ++p) {
      ids_t ids = prompts[p], expected;
      while (static_cast<int>(ids.size()) <= c.max_positions) {
        lm::batch b;
        b.add_sequence(ids, static_cast<int>(ids.size()) - 1);
        lm::forward(w, b, s);
        int id = 0;
        s.logits().row(0).maxCoeff(&id);
        if (id == options.end_id) break;
        expected.push_back(id);
        ids.push_back(id);
      }
      CHECK(all[p] == expected);
    }
  });
}

TEST_CASE("adamw against the formula") {
  for (auto schedule : {lm::decay::none, lm::decay::linear, lm::decay::cosine}) {
    const lm::adamw_options o{.learning_rate = 0.1,
                              .beta1 = 0.8,
                              .beta2 = 0.9,
                              .epsilon = 1e-6,
                              .weight_decay = 0.05,
                              .max_norm = 2.0,
                              .warmup_steps = 3,
                              .total_steps = 12,
                              .schedule = schedule,
                              .final_fraction = 0.1};
    std::vector<double> x{1, -2, 3, 0.5, -0.25}, reference = x, m(5), v(5);
    lm::adamw<double> optimizer(5, o, {{1, 3}, {4, 5}});
    for (int t = 0; t < 15; ++t) {
      std::vector<double> g;
      for (int i = 0; i < 5; ++i)
        g.push_back(std::sin(t * 5 + i) * (t % 2 ? 3.0 : 0.3) + reference[static_cast<std::size_t>(i)] * 0.1);
      double norm = 0;
      for (double value : g) norm += value * value;
      norm = std::sqrt(norm);
      const double done = std::min(1.0, (t - 3) / 9.0);
      const double fall =
          schedule == lm::decay::none
              ? 1
              : 0.1 + 0.9 * (schedule == lm::decay::linear ? 1 - done : (1 + std::cos(std::acos(-1.0) * done)) / 2);
      const double rate = 0.1 * (t < 3 ? (t + 1) / 3.0 : fall);
      CHECK(optimizer.learning_rate() == doctest::Approx(rate));
      CHECK(optimizer.step(x, g) == doctest::Approx(norm));
      for (std::size_t i = 0; i < 5; ++i) {
        const double clipped = norm > 2 ? g[i] * 2 / norm : g[i];
        m[i] = 0.8 * m[i] + 0.2 * clipped;
        v[i] = 0.9 * v[i] + 0.1 * clipped * clipped;
        const double decayed = i == 1 || i == 2 || i == 4 ? 0.05 : 0.0;
        reference[i] -=
            rate * (m[i] / (1 - std::pow(0.8, t + 1)) / (std::sqrt(v[i] / (1 - std::pow(0.9, t + 1))) + 1e-6) +
                    decayed * reference[i]);
        CHECK(x[i] == doctest::Approx(reference[i]).epsilon(1e-12));
      }
    }
    std::vector<double> broken(5, std::nan(""));
    const auto before = x;
    CHECK_THROWS_AS(optimizer.step(x, broken), std::runtime_error);
    CHECK(x == before);
    CHECK_THROWS_AS(optimizer.step(x, std::vector<double>(4)), std::invalid_argument);
  }
}
