#include <emend/sequence_match/attention_mask.hpp>
#include <emend/core/random.hpp>
#include <emend/sequence_match/packing.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "throws.hpp"

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

TEST_CASE("dense masks of any type and bits say what the lists of ancestors say") {
  const state_slots slots = pack_slots(ids{7}, {{action_kind::append, 1}, {action_kind::erase, 1}});
  CHECK(slots.parent == ids{-1, 0, -1});
  std::vector<float> mask(9, -1);
  write_attention_mask(slots.parent, mask.data(), 0.0f, -1e9f);
  CHECK(mask == std::vector<float>{0, -1e9f, -1e9f, 0, 0, -1e9f, -1e9f, -1e9f, 0});
  for (std::uint64_t trial = 0; trial < 50; ++trial) {
    const counter_random random{trial};
    const index n = random.below(200, 0, 0), words = mask_words(n);
    ids parent;
    for (index i = 0; i < n; ++i) parent.push_back(random.below(i + 1, 1, static_cast<std::uint64_t>(i)) - 1);
    const attended_nodes lists = list_attended(parent);
    const auto size = static_cast<std::size_t>(n);
    std::vector<unsigned char> bytes(size * size, 9);
    std::vector<double> padded(size * (size + 3), 5);
    std::vector<std::uint64_t> bits(static_cast<std::size_t>(n * words), ~std::uint64_t{0});
    write_attention_mask(parent, bytes.data());
    write_attention_mask(parent, padded.data(), 0.5, -2.0, n + 3);
    write_attention_bits(parent, bits.data());
    for (index i = 0; i < n; ++i)
      for (index j = 0; j < words * 64; ++j) {
        const auto begin = lists.attended.begin() + lists.offsets[static_cast<std::size_t>(i)],
                   end = lists.attended.begin() + lists.offsets[static_cast<std::size_t>(i) + 1];
        const bool attends = std::find(begin, end, j) != end;
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        CHECK(((bits[a * static_cast<std::size_t>(words) + b / 64] >> (b % 64)) & 1) == attends);
        if (j >= n) continue;
        CHECK(bytes[a * size + b] == attends);
        CHECK(padded[a * (size + 3) + b] == (attends ? 0.5 : -2.0));
      }
    for (std::size_t i = 0; i < size; ++i) CHECK(padded[i * (size + 3) + size] == 5);
  }
}

TEST_CASE("masks larger than the cache, with rows that stand on any byte") {
  const index n = 3001;
  ids parent{-1};
  for (index i = 1; i < n; ++i) parent.push_back(i % 7 == 0 ? i - 3 : i % 500 == 0 ? -1 : i - 1);
  std::vector<char> mask(static_cast<std::size_t>(n * n) + 5, 7), row(static_cast<std::size_t>(n));
  write_attention_mask(parent, mask.data() + 3, char{1}, char{2});
  bool is_right = mask[2] == 7 && mask[static_cast<std::size_t>(n * n) + 3] == 7;
  for (index i = 0; i < n; ++i) {
    std::fill(row.begin(), row.end(), 2);
    for (index a = i; a >= 0; a = parent[static_cast<std::size_t>(a)]) row[static_cast<std::size_t>(a)] = 1;
    is_right &= std::equal(row.begin(), row.end(), mask.begin() + 3 + i * n);
  }
  CHECK(is_right);
}

TEST_CASE("attention masks: errors name the argument") {
  CHECK_THROWS_NAMING(list_attended(ids{0}), "parent");
  CHECK_THROWS_NAMING(list_attended(ids{-1, -2}), "parent");
  std::vector<std::uint64_t> bits(2);
  CHECK_THROWS_NAMING(write_attention_bits(ids{-1, 1}, bits.data()), "parent");
  char mask[4];
  CHECK_THROWS_NAMING(write_attention_mask(ids{-1, 0}, mask, char{1}, char{0}, 1), "row_stride");
}

}  // namespace
