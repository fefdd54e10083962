// Tokenizers, checkpoints and files of the example model, whole and damaged.
#include <doctest/doctest.h>

#include <cstring>

#include <lm/lm.hpp>
#include "small_model.hpp"

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
  CHECK_THROWS_AS(lm::tokenizer::read(path, 3), std::invalid_argument);
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
