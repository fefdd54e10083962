// Tokenizers, checkpoints and files of the example model, whole and damaged.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include <emend/core/random.hpp>
#include <lm/lm.hpp>
#include "small_model.hpp"

namespace {

/// The call throws std::runtime_error, one line that begins with the file's name and holds these words.
template <class Call>
void check_refused(Call&& call, const std::string& path, const std::string& words) {
  std::string message = "nothing was thrown";
  try {
    call();
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.find(path + ": ") == 0);
  CHECK(message.find(words) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// A checkpoint's bytes with another number at a place, and the hash that belongs to them.
template <class Number>
std::string altered(std::string bytes, std::size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
  const std::uint64_t hash = lm::detail::hash_of(bytes, bytes.size() - 8);
  std::memcpy(bytes.data() + bytes.size() - 8, &hash, 8);
  return bytes;
}

constexpr std::size_t first_size = 16, first_weight = 8 + 14 * 8;  // places in a checkpoint's bytes

}  // namespace

TEST_CASE("character tokenizer") {
  const lm::character_tokenizer t("hello w\xc3\xb6rld\n", {"<a>", "<b>"});
  CHECK(t.vocab_size() == 2 + 10);
  CHECK(t.special("<b>") == 1);
  CHECK(t.encode("\n ") == ids_t{2, 3});
  CHECK(t.decode(t.encode("w\xc3\xb6lle")) == "w\xc3\xb6lle");
  CHECK(t.encode("\xc3\xb6") == ids_t{11});
  CHECK(t.decode({0, 2, 1}) == "\n");
  CHECK(t.knows("hell"));
  CHECK_FALSE(t.knows("hex"));
  // Overlong forms, a surrogate, a code point above the last one, a cut character: no UTF-8.
  for (const char* broken :
       {"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
    CHECK_THROWS_AS(lm::character_tokenizer(broken, {}), std::invalid_argument);
  CHECK(lm::character_tokenizer(
            "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", {})
            .vocab_size() == 8);
  CHECK_THROWS_WITH_AS(t.encode("hex"), "lm::character_tokenizer: the character 'x' is not in the vocabulary",
                       std::invalid_argument);
  CHECK_THROWS_AS(t.encode("\xc3"), std::invalid_argument);
  CHECK_THROWS_AS(t.decode({12}), std::invalid_argument);
  CHECK_THROWS_AS(t.special("<c>"), std::invalid_argument);
  CHECK_THROWS_AS(lm::character_tokenizer("a", {"x", "x"}), std::invalid_argument);
  temporary_folder folder;
  t.save(folder / "t");
  CHECK(lm::character_tokenizer::load(folder / "t").to_text() == t.to_text());
  CHECK(lm::character_tokenizer::load(folder / "t").encode("hello") == t.encode("hello"));
  CHECK_THROWS_AS(lm::character_tokenizer::load(folder / "none"), std::runtime_error);
  CHECK_THROWS_AS(lm::character_tokenizer::from_text("junk"), std::runtime_error);
  CHECK_THROWS_AS(lm::character_tokenizer::from_text("character_tokenizer 1\nspecial a\nspecial a\nend\n"),
                  std::runtime_error);
  for (const char* point : {"55296", "57343", "1114112"})
    CHECK_THROWS_AS(
        lm::character_tokenizer::from_text(std::string("character_tokenizer 1\ncharacter ") + point + "\nend\n"),
        std::runtime_error);
  for (const char* point : {"55295", "57344", "1114111"})
    CHECK(lm::character_tokenizer::from_text(std::string("character_tokenizer 1\ncharacter ") + point + "\nend\n")
              .vocab_size() == 1);
  write_file(folder / "junk", "junk");
  check_refused([&] { lm::character_tokenizer::load(folder / "junk"); }, folder / "junk", "not a saved");
  CHECK_THROWS_AS(lm::character_tokenizer::from_text(t.to_text().substr(0, 60)), std::runtime_error);
}

TEST_CASE("checkpoint") {
  temporary_folder folder;
  const lm::config c = small_config(false);
  auto w = lm::random_weights<float>(c, 5);
  lm::adamw<float> optimizer(w, {.learning_rate = 1e-2}), other(w, {.learning_rate = 1e-2});
  const auto gradient = lm::random_weights<float>(c, 6);
  optimizer.step(w.values(), gradient.values());
  const std::string path = folder / "checkpoint";
  lm::save_checkpoint(path, w, &optimizer, 42, "blob\0blob");
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
  auto loaded = lm::load_checkpoint<float>(path);
  CHECK(loaded.step == 42);
  CHECK(loaded.user == "blob");
  CHECK(loaded.parameters.shape() == c);
  CHECK(std::equal(w.values().begin(), w.values().end(), loaded.parameters.values().begin()));
  loaded.restore(other);
  optimizer.step(w.values(), gradient.values());
  other.step(loaded.parameters.values(), gradient.values());
  CHECK(std::equal(w.values().begin(), w.values().end(), loaded.parameters.values().begin()));
  CHECK_THROWS_AS(lm::load_checkpoint<double>(path), std::runtime_error);
  CHECK_THROWS_AS(lm::load_checkpoint<float>(folder / "none"), std::runtime_error);
  const std::string bytes = read_file(path);
  for (std::size_t size : {std::size_t(0), std::size_t(5), std::size_t(60), bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(path, std::ios::binary) << bytes.substr(0, size);
    CHECK_THROWS_AS(lm::load_checkpoint<float>(path), std::runtime_error);
  }
  for (std::size_t at = 0; at < bytes.size(); at += at < 130 ? 1 : 997) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    std::ofstream(path, std::ios::binary) << damaged;
    CHECK_THROWS_AS(lm::load_checkpoint<float>(path), std::runtime_error);
  }
  lm::save_checkpoint<float>(path, w, nullptr, 1);
  CHECK_FALSE(lm::load_checkpoint<float>(path).has_optimizer());
  CHECK_THROWS_AS(lm::save_checkpoint<float>(folder / "no/such/folder", w, nullptr, 1), std::runtime_error);
}

TEST_CASE("malformed files and batches") {
  temporary_folder folder;
  const std::string path = folder / "model.bin";
  lm::write_llama2c(path, lm::random_weights<float>(small_config(false), 5));
  const std::string bytes = read_file(path);
  CHECK(lm::read_llama2c(path).shape() == small_config(false));
  auto write = [&](const std::string& text) { std::ofstream(path, std::ios::binary) << text; };
  for (std::size_t size : {std::size_t(0), std::size_t(20), std::size_t(28), bytes.size() - 4}) {
    write(bytes.substr(0, size));
    CHECK_THROWS_AS(lm::read_llama2c(path), std::runtime_error);
  }
  write(bytes + "more");
  CHECK_THROWS_AS(lm::read_llama2c(path), std::runtime_error);
  for (int field = 0; field < 7; ++field)
    for (std::int32_t value : {0, -7, 3, INT32_MIN, INT32_MAX}) {
      std::string damaged = bytes;
      std::memcpy(damaged.data() + 4 * field, &value, 4);
      write(damaged);
      CHECK_THROWS(lm::read_llama2c(path));
    }
  CHECK_THROWS_AS(lm::read_llama2c(folder / "none"), std::runtime_error);

  auto token = [](float score, const std::string& piece, std::int32_t length) {
    std::string text(8, '\0');
    std::memcpy(text.data(), &score, 4);
    std::memcpy(text.data() + 4, &length, 4);
    return text + piece;
  };
  const std::string start("\x05\0\0\0", 4), good = start + token(0, "<unk>", 5) + token(0, "<s>", 3) +
                                                   token(0, "</s>", 4) + token(0, " ", 1) + token(-1, "a", 1) +
                                                   token(1, "aa", 2);
  write(good);
  const auto t = lm::tokenizer::read(path, 6);
  CHECK(t.encode("aaab", true, true) == ids_t{1, 3, 5, 4, 0, 2});
  CHECK(t.decode({1, 3, 5, 4}) == "aaa");
  CHECK(t.encode("") == ids_t{1});
  CHECK_THROWS_AS(lm::tokenizer::read(path, 5), std::runtime_error);
  CHECK_THROWS_AS(lm::tokenizer::read(path, 7), std::runtime_error);
  write(start + token(0, "x", -1) + token(0, "x", 1) + token(0, "x", 1));
  CHECK_THROWS_AS(lm::tokenizer::read(path, 3), std::runtime_error);
  write(good.substr(0, good.size() - 1));
  CHECK_THROWS_AS(lm::tokenizer::read(path, 6), std::runtime_error);

  const lm::config c = small_config(true);
  const auto w = lm::random_weights<float>(c, 1);
  lm::workspace<float> s;
  auto rejects = [&](ids_t ids, ids_t parent, ids_t rows) {
    CHECK_THROWS_AS(lm::forward(w, lm::batch{ids, parent, rows}, s), std::invalid_argument);
  };
  rejects({1, 2}, {-1}, {});
  rejects({11}, {-1}, {});
  rejects({1}, {0}, {});
  rejects({1}, {-2}, {});
  rejects({1, 2}, {-1, 0}, {1, 1});
  rejects({1, 2}, {-1, 0}, {2});
  lm::batch deep;
  deep.add_sequence(ids_t(101, 1));
  CHECK_THROWS_AS(lm::forward(w, deep, s), std::invalid_argument);
  lm::forward(w, lm::batch{}, s);
  CHECK(s.logits().rows() == 0);
  lm::config wrong = c;
  wrong.heads = 3;
  CHECK_THROWS_AS(lm::weights<float>{wrong}, std::invalid_argument);
}

TEST_CASE("a model's file that is none: one line with its name") {
  temporary_folder folder;
  const std::string path = folder / "file", nowhere = folder / "none";
  const auto each_loader = [&](auto&& check) {
    check([](const std::string& p) { lm::load_checkpoint<float>(p); });
    check([](const std::string& p) { lm::read_llama2c(p); });
    check([](const std::string& p) { lm::tokenizer::read(p, 6); });
    check([](const std::string& p) { lm::character_tokenizer::load(p); });
  };
  each_loader([&](auto&& load) {
    check_refused([&] { load(folder.path.string()); }, folder.path.string(), "a directory");
    check_refused([&] { load(nowhere); }, nowhere, "no such file");
    check_refused([&] { load("/dev/zero"); }, "/dev/zero", "not a regular file");
    for (const std::string& bytes : {std::string(), std::string("no model"), std::string(300, '\0')}) {
      write_file(path, bytes);
      check_refused([&] { load(path); }, path, "");
    }
  });
}

TEST_CASE("weights and moments that are not finite do not load") {
  temporary_folder folder;
  const std::string path = folder / "checkpoint";
  auto w = lm::random_weights<float>(small_config(false), 5);
  lm::adamw<float> optimizer(w, {.learning_rate = 1e-2});
  lm::save_checkpoint(path, w, &optimizer, 1);
  const std::string bytes = read_file(path);
  const std::size_t weights = w.values().size_bytes();
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), infinity, -infinity}) {
    for (const std::size_t at : {first_weight, first_weight + weights - 4}) {
      write_file(path, altered(bytes, at, bad));
      check_refused([&] { lm::load_checkpoint<float>(path); }, path, "a weight that is not finite");
    }
    for (const std::size_t at : {first_weight + weights, first_weight + 3 * weights - 4}) {
      write_file(path, altered(bytes, at, bad));
      check_refused([&] { lm::load_checkpoint<float>(path); }, path, "a moment of the optimizer that is not finite");
    }
    const std::string model = folder / "model";
    lm::write_llama2c(model, w);
    std::string damaged = read_file(model);
    std::memcpy(damaged.data() + damaged.size() - 4, &bad, 4);
    write_file(model, damaged);
    check_refused([&] { lm::read_llama2c(model); }, model, "a weight that is not finite");
  }
  write_file(path, altered(bytes, first_weight, std::numeric_limits<float>::max()));
  CHECK(lm::load_checkpoint<float>(path).parameters.values()[0] == std::numeric_limits<float>::max());
}

TEST_CASE("a checkpoint's header: counts out of range, whole in every other respect") {
  temporary_folder folder;
  const std::string path = folder / "checkpoint";
  const auto w = lm::random_weights<float>(small_config(true), 5);
  lm::adamw<float> optimizer(w, {});
  lm::save_checkpoint(path, w, &optimizer, 7);
  const std::string bytes = read_file(path);
  write_file(path, altered(bytes, first_size, std::int64_t{16}));
  CHECK(lm::load_checkpoint<float>(path).step == 7);
  // 2^32 more than what it was, which 32 bits would not see.
  for (std::size_t field = 0; field < 8; ++field) {
    std::int64_t value = 0;
    std::memcpy(&value, bytes.data() + first_size + 8 * field, 8);
    for (const std::int64_t other : {value + (std::int64_t{1} << 32), -value - 1, std::int64_t{1} << 62}) {
      write_file(path, altered(bytes, first_size + 8 * field, other));
      check_refused([&] { lm::load_checkpoint<float>(path); }, path, "damaged");
    }
  }
  enum { step = 8, has_optimizer, optimizer_steps, moments, user };
  for (const auto& [field, other] : std::vector<std::pair<int, std::int64_t>>{{step, -1},
                                                                              {step, INT64_MAX},
                                                                              {has_optimizer, 0},
                                                                              {has_optimizer, 2},
                                                                              {optimizer_steps, -1},
                                                                              {optimizer_steps, INT64_MAX},
                                                                              {moments, 0},
                                                                              {moments, INT64_MAX},
                                                                              {user, -1},
                                                                              {user, INT64_MAX}}) {
    CAPTURE(field);
    CAPTURE(other);
    write_file(path, altered(bytes, first_size + 8 * static_cast<std::size_t>(field), other));
    check_refused([&] { lm::load_checkpoint<float>(path); }, path, "damaged");
  }
}

TEST_CASE("a model that says it holds 2^24 positions takes memory for those that are read") {
  temporary_folder folder;
  const std::string path = folder / "checkpoint";
  lm::config c = small_config(true);
  c.max_positions = 1 << 24;
  lm::save_checkpoint<float>(path, lm::random_weights<float>(c, 5), nullptr, 1);
  CHECK(read_file(path).size() < 32768);
  const auto w = lm::load_checkpoint<float>(path).parameters;
  lm::rotary_table<float> table;
  table.build(3, c.max_positions, c.dim, c.head_size());
  CHECK(table.positions() == 64);
  table.build(64, c.max_positions, c.dim, c.head_size());
  CHECK(table.positions() == 64);
  table.build(65, c.max_positions, c.dim, c.head_size());
  CHECK(table.positions() == 130);
  table.build(65, 100, 8, 4);
  CHECK(table.positions() == 100);
  // A longer text after a short one: the same scores as of a model that holds little more.
  lm::config small = c;
  small.max_positions = 200;
  const auto v = lm::random_weights<float>(small, 5);
  lm::workspace<float> grown, whole;
  lm::key_value_cache<float> cache(c);
  for (const int length : {3, 150}) {
    lm::batch text;
    text.add_sequence(ids_t(static_cast<std::size_t>(length), 4));
    lm::forward(w, text, grown);
    lm::forward(v, text, whole);
    CHECK(grown.logits() == whole.logits());
  }
  ids_t ids(150, 4), parents(150);
  for (int i = 0; i < 150; ++i) parents[static_cast<std::size_t>(i)] = i - 1;
  lm::workspace<float> step;
  lm::advance<float>(w, cache, ids, parents, ids_t{149}, step);
  for (int j = 0; j < c.vocab_size; ++j)
    CHECK(step.logits()(0, j) == doctest::Approx(whole.logits()(149, j)).epsilon(1e-4));
}

TEST_CASE("a file that cannot be written leaves the old one, and nothing beside it") {
  temporary_folder folder;
  const auto w = lm::random_weights<float>(small_config(false), 5);
  const std::string nowhere = folder / "no/such/folder";
  const lm::character_tokenizer t("abc", {});
  for (const std::string& path : {nowhere, folder.path.string(), std::string("/dev/full")}) {
    check_refused([&] { lm::save_checkpoint<float>(path, w, nullptr, 1); }, path, "cannot be written");
    check_refused([&] { lm::write_llama2c(path, w); }, path, "cannot be written");
    check_refused([&] { t.save(path); }, path, "cannot be written");
  }
  CHECK(std::filesystem::is_empty(folder.path));
  CHECK(std::filesystem::is_character_file("/dev/full"));
}

TEST_CASE("damaged at random: a file loads, or is refused by an exception, and takes no more memory than it has") {
  temporary_folder folder;
  const std::string path = folder / "file";
  const lm::config c = small_config(false);
  auto w = lm::random_weights<float>(c, 5);
  lm::adamw<float> optimizer(w, {});
  lm::save_checkpoint(path, w, &optimizer, 7, "user");
  const std::string saved = read_file(path);
  lm::write_llama2c(path, w);
  const std::string model = read_file(path);
  lm::character_tokenizer("hello w\xc3\xb6rld", {"<a>"}).save(path);
  const std::string characters = read_file(path);
  std::string pieces("\x05\0\0\0", 4);
  for (const char* piece : {"<unk>", "<s>", "</s>", " ", "a", "aa", "b"}) {
    const float score = -1;
    const std::int32_t length = static_cast<std::int32_t>(std::strlen(piece));
    pieces.append(reinterpret_cast<const char*>(&score), 4).append(reinterpret_cast<const char*>(&length), 4) += piece;
  }
  const emend::counter_random random{7};
  std::uint64_t draw = 0;
  const auto below = [&](std::size_t n) {
    return static_cast<std::size_t>(random.below(static_cast<emend::index>(n), 0, draw++));
  };
  const auto damage = [&](std::string bytes, std::size_t header) {
    switch (below(4)) {
      case 0:
        bytes.resize(below(bytes.size()));
        break;
      case 1:
        bytes.insert(below(bytes.size()), below(40), static_cast<char>(below(256)));
        break;
      default:
        for (std::size_t k = 0, count = 1 + below(4); k < count; ++k)
          bytes[below(below(2) ? header : bytes.size())] = static_cast<char>(below(256));
    }
    return bytes;
  };
  std::size_t loaded = 0, refused = 0;
  // load: what it returns is the size of what was loaded, which is at most `most`
  const auto attempt = [&](const std::string& bytes, std::size_t most, auto&& load) {
    write_file(path, bytes);
    try {
      const std::size_t size = load();
      CHECK(size <= most);
      ++loaded;
    } catch (const std::runtime_error& error) {
      ++refused;
      const std::string message = error.what();
      CAPTURE(message);
      REQUIRE(message.find(path + ": ") == 0);
    }
  };
  for (int round = 0; round < 2000; ++round) {
    CAPTURE(round);
    std::string bytes = damage(saved, 120);
    if (bytes.size() > 130 && below(2)) bytes = altered(bytes, 0, bytes[0]);  // its hash put right
    attempt(bytes, bytes.size(), [&] { return lm::load_checkpoint<float>(path).parameters.values().size_bytes(); });
    attempt(damage(model, 28), model.size(), [&] { return lm::read_llama2c(path).values().size_bytes(); });
    attempt(damage(pieces, 40), 10, [&] { return lm::tokenizer::read(path, 7).encode("aab").size(); });
    attempt(damage(characters, 30), 20,
            [&] { return static_cast<std::size_t>(lm::character_tokenizer::load(path).vocab_size()); });
  }
  CHECK(loaded > 500);
  CHECK(refused > 3000);
}
