#include <emend/emend.hpp>

#include <doctest/doctest.h>

#include "throws.hpp"

#include <algorithm>
#include <cmath>

namespace {

using namespace emend;
using emend::index;  // not the one of <strings.h>
using ids = std::vector<index>;

const action_ids words{.end = 9, .backspace = 10, .reset = 11, .erase = {{12, 1}, {13, 2}, {14, 3}}};

TEST_CASE("ids of a vocabulary are actions") {
  const auto is = [](index id, action_kind kind, index argument) {
    const action a = words.action_of(id);
    return a.kind == kind && a.argument == argument;
  };
  CHECK(is(0, action_kind::append, 0));
  CHECK(is(9, action_kind::append, 9));
  CHECK(is(10, action_kind::erase, 1));
  CHECK(is(11, action_kind::reset, 0));
  CHECK(is(12, action_kind::erase, 1));
  CHECK(is(14, action_kind::erase, 3));
  CHECK(is(15, action_kind::append, 15));
  CHECK(action_ids{}.action_of(3).kind == action_kind::append);
  CHECK_THROWS_NAMING(words.action_of(-1), "id");
}

TEST_CASE("trajectories of data and of the model; over-long ones end by force, or not") {
  const trajectory t = data_trajectory(ids{0, 1}, {{5, 10, 2, 9}, {2, 10, 2, 9}}, words);
  CHECK(t.is_complete);
  CHECK(!t.is_rollout);
  CHECK(t.label == ids{2, 10, 2, 9});
  const trajectory cut = cut_trajectory(t, 3, overlong_treatment::forced_end, words);
  CHECK(cut.is_complete);
  CHECK(cut.label == ids{2, 10, 2});
  CHECK(cut.actions.back().kind == action_kind::append);
  CHECK(cut.actions.back().argument == 9);
  const trajectory open = cut_trajectory(t, 3, overlong_treatment::no_tail, words);
  CHECK(!open.is_complete);
  CHECK(open.actions.back().argument == 2);
  CHECK(cut_trajectory(t, 4, overlong_treatment::no_tail, words).is_complete);
  const trajectory own = rollout_trajectory(ids{0}, ids{3, 11, 4}, words);
  CHECK(own.is_rollout);
  CHECK(!own.is_complete);
  CHECK(own.label == ids{3, 11, 4});
  CHECK(!data_trajectory(ids{0}, {}, words).is_complete);
  CHECK_THROWS_NAMING(data_trajectory(ids{}, {}, words), "prompt");
  CHECK_THROWS_NAMING(data_trajectory(ids{0}, {{1}, {}}, words), "label");
  CHECK_THROWS_NAMING(rollout_trajectory(ids{0}, ids{9, 1}, words), "pushed");
  CHECK_THROWS_NAMING(cut_trajectory(t, 0, overlong_treatment::no_tail, words), "longest");
  CHECK_THROWS_NAMING(cut_trajectory(t, 2, overlong_treatment::forced_end, {}), "ids.end");
}

TEST_CASE("a forest shares a prompt with the trajectory before it, and with no other") {
  const auto written = [](const ids& prompt) { return rollout_trajectory(prompt, ids{5}, words); };
  const auto tokens = [&](const std::vector<ids>& prompts) {
    std::vector<trajectory> all;
    for (const ids& prompt : prompts) all.push_back(written(prompt));
    return trajectory_forest(all).token();
  };
  CHECK(tokens({{0, 1}}) == ids{0, 1, 5});
  CHECK(tokens({{0, 1}, {0, 1}, {0, 1}}) == ids{0, 1, 5, 5, 5});
  CHECK(tokens({{0, 1}, {0, 2}}) == ids{0, 1, 5, 0, 2, 5});
  CHECK(tokens({{0, 1}, {0}, {0, 1}}) == ids{0, 1, 5, 0, 5, 0, 1, 5});
  CHECK(tokens({{0}, {0, 1}, {0, 1}, {0}}) == ids{0, 5, 0, 1, 5, 5, 0, 5});
  // Where the prompt lies that a third trajectory shares.
  const trajectory_forest forest(std::vector<trajectory>{written({0}), written({0, 1}), written({0, 1})});
  CHECK(forest.parent() == ids{-1, 0, -1, 2, 3, 3});
  CHECK(forest.depth() == ids{0, 1, 0, 1, 2, 2});
}

TEST_CASE("a forest reads the states that its trajectories pass; neighbours share their prompt") {
  const std::vector<trajectory> all{data_trajectory(ids{0, 1}, {{5, 10, 2, 9}, {2, 10, 2, 9}}, words),
                                    rollout_trajectory(ids{0, 1}, ids{5, 9}, words),
                                    rollout_trajectory(ids{0}, ids{10}, words), data_trajectory(ids{0}, {}, words)};
  const trajectory_forest forest(all);
  CHECK(forest.trajectories() == 4);
  CHECK(forest.token() == ids{0, 1, 5, 2, 9, 5, 9, 0});
  CHECK(forest.parent() == ids{-1, 0, 1, 1, 3, 1, 5, -1});
  CHECK(forest.depth() == ids{0, 1, 2, 2, 3, 2, 3, 0});
  CHECK(forest.rows() == ids{1, 2, 3, 4, 5, 6, 7});
  const trajectory_columns c = forest.columns();
  const ids at{0, 1, 0, 2, 3, 0, 4, 5, 6, 6, 6}, label{2, 10, 2, 9, -1, 5, 9, -1, 10, -1, -1}, offsets{0, 5, 8, 10, 11};
  REQUIRE(c.at.size() == static_cast<index>(at.size()));
  for (index i = 0; i < c.at.size(); ++i) {
    CHECK(c.at[i] == at[static_cast<std::size_t>(i)]);
    CHECK(c.label[i] == label[static_cast<std::size_t>(i)]);
  }
  for (index j = 0; j < 5; ++j) CHECK(c.offsets[j] == offsets[static_cast<std::size_t>(j)]);
  CHECK(c.is_rollout[1] == 1);
  CHECK(c.is_complete[2] == 0);
  CHECK(c.is_at_floor[0] == 1);
  CHECK(c.is_at_floor[1] == 0);
  CHECK(c.is_at_floor[6] == 1);
  CHECK(forest.data().trajectories == 2);
  CHECK(forest.data().actions == 4);
  CHECK(forest.rollouts().actions == 3);

  // From the first token on everything can be erased: then more of a prompt is read.
  const trajectory_forest deep(std::vector<trajectory>{all[1], rollout_trajectory(ids{0, 1}, ids{10, 3, 9}, words)},
                               erase_floor::beginning);
  CHECK(deep.token() == ids{0, 1, 5, 9, 3, 9});
  CHECK(deep.parent() == ids{-1, 0, 1, 2, 0, 4});
  CHECK(deep.rows() == ids{0, 1, 2, 3, 4, 5});
  CHECK(deep.columns().is_at_floor[0] == 1);
  CHECK(deep.columns().is_at_floor[1] == 0);

  CHECK(trajectory_forest(std::vector<trajectory>{}).columns().offsets.size() == 1);
  trajectory bad = all[0];
  bad.label.pop_back();
  CHECK_THROWS_NAMING(trajectory_forest(std::vector<trajectory>{bad}), "label");
}

TEST_CASE("errors come at the level's rate, the same ones at a higher level, and only where they may") {
  const index length = 20000;
  std::vector<int> allowed(static_cast<std::size_t>(length), 1);
  std::fill(allowed.begin(), allowed.begin() + 100, 0);
  const auto few = draw_errors(length, uniform_noise{7, 3}, {.level = 0.02, .is_allowed = allowed, .seed = 5});
  const auto more = draw_errors(length, uniform_noise{7, 3}, {.level = 0.1, .is_allowed = allowed, .seed = 5});
  const auto count = [](const drawn_errors& e) {
    return std::count_if(e.run_length.begin(), e.run_length.end(), [](index n) { return n > 0; });
  };
  CHECK(std::abs(static_cast<double>(count(few)) - 0.02 * 19900) < 5 * std::sqrt(0.02 * 19900));
  CHECK(std::abs(static_cast<double>(count(more)) - 0.1 * 19900) < 5 * std::sqrt(0.1 * 19900));
  for (std::size_t t = 0; t < few.run_length.size(); ++t) {
    CHECK((few.run_length[t] == 0 || more.run_length[t] == 1));
    if (t < 100) CHECK(more.run_length[t] == 0);
  }
  ids seen(10, 0);
  for (const index id : more.noise_tokens) ++seen.at(static_cast<std::size_t>(id));
  for (std::size_t id = 0; id < 10; ++id) CHECK((seen[id] > 200) == (id >= 3));
  CHECK(draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5, .stream = 1}).run_length !=
        draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5}).run_length);
  CHECK(draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 6}).run_length !=
        draw_errors(length, uniform_noise{7}, {.level = 0.1, .seed = 5}).run_length);
  CHECK(draw_errors(10, uniform_noise{7}, {.level = 0}).noise_tokens.empty());
  CHECK(draw_errors(0, uniform_noise{7}, {.level = 1}).run_length.empty());
}

TEST_CASE("runs of errors: fixed, or of geometric length; the noise from a callable or a model") {
  const auto fixed = draw_errors(5, [](index position, double) { return position; }, {.level = 1, .run_length = 2});
  CHECK(fixed.run_length == ids{2, 2, 2, 2, 2});
  CHECK(fixed.noise_tokens == ids{0, 0, 1, 1, 2, 2, 3, 3, 4, 4});
  const auto geometric =
      draw_errors(20000, uniform_noise{3}, {.level = 1, .continuation = 0.5, .longest_run = 4, .seed = 2});
  double mean = 0;
  for (const index n : geometric.run_length) {
    CHECK((n >= 1 && n <= 4));
    mean += static_cast<double>(n) / 20000;
  }
  CHECK(mean == doctest::Approx(1 + 0.5 + 0.25 + 0.125).epsilon(0.02));
  CHECK(geometric.noise_tokens.size() == static_cast<std::size_t>(std::lround(mean * 20000)));
  // A model that is certain: its choice at each place.
  const float scores[] = {0, 90, 0, 90, 0, 0};
  const auto certain = draw_errors(2, model_noise<float>{scores, 3, 3}, {.level = 1});
  CHECK(certain.noise_tokens == ids{1, 0});
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.level = 1.5}), "level");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.continuation = -1}), "continuation");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.run_length = 0}), "run_length");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.longest_run = 1001}), "longest_run");
  CHECK_THROWS_NAMING(draw_errors(-1, uniform_noise{3}, {}), "length");
  CHECK_THROWS_NAMING(draw_errors(2, uniform_noise{3}, {.is_allowed = std::vector<int>{1}}), "is_allowed");
}

TEST_CASE("annealing: from maximum likelihood to the divergence, as a phi and as a number") {
  using annealed = annealed_divergence<continued<divergences::forward_kl>>;
  const continued<divergences::forward_kl> kl{{}, 0.1};
  for (const double x : {-3.0, -0.5, 0.0, 2.0}) {
    CHECK(annealed{kl, 1}.phi(x) == x);
    CHECK(annealed{kl, 0}.phi(x) == kl.phi(x));
    CHECK(annealed{kl, 0.25}.phi(x) == doctest::Approx(0.25 * x + 0.75 * kl.phi(x)));
    CHECK(annealed{kl, 0.25}.derivative(x) == doctest::Approx(0.25 + 0.75 * kl.derivative(x)));
  }
  CHECK(annealed{kl, 1}.phi(-detail::infinity) == -detail::infinity);
  CHECK(annealed{kl, 0.5}.is_outside(-2.0));
  CHECK(!annealed{kl, 1}.is_outside(-2.0));
  CHECK_THROWS_NAMING((annealed{kl, 1.5}.check()), "share");
  CHECK_THROWS_NAMING((annealed{{{}, 0}, 0.5}.check()), "epsilon");
  const linear_schedule schedule{1, 3, 10, 20};
  CHECK(schedule(0) == 1);
  CHECK(schedule(10) == 1);
  CHECK(schedule(15) == 2);
  CHECK(schedule(20) == 3);
  CHECK(schedule(1000) == 3);
  CHECK(linear_schedule{1, 3, 5, 5}(4) == 1);
  CHECK(linear_schedule{1, 3, 5, 5}(5) == 3);
}

TEST_CASE("a replay buffer: the oldest go first, draws are of different ones and functions of seed and step") {
  replay_buffer buffer(4);
  CHECK(buffer.draw(3, 1, 1).empty());
  for (index i = 0; i < 6; ++i) buffer.push(rollout_trajectory(ids{i}, ids{}, words));
  CHECK(buffer.size() == 4);
  for (index i = 0; i < 4; ++i) CHECK(buffer[i].prompt == ids{i + 2});
  replay_buffer again(4);
  for (index i = 0; i < 4; ++i) again.push(buffer[i]);
  ids seen(6, 0);
  for (std::uint64_t step = 0; step < 4000; ++step) {
    const auto drawn = buffer.draw(2, 7, step), same = again.draw(2, 7, step);
    REQUIRE(drawn.size() == 2);
    CHECK(drawn[0].prompt != drawn[1].prompt);
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(drawn[k].prompt == same[k].prompt);
      ++seen[static_cast<std::size_t>(drawn[k].prompt[0])];
    }
  }
  for (std::size_t i = 2; i < 6; ++i) CHECK(std::abs(static_cast<double>(seen[i]) - 2000) < 200);
  CHECK(buffer.draw(9, 1, 1).size() == 4);
  CHECK_THROWS_NAMING(replay_buffer(0), "capacity");
  CHECK_THROWS_NAMING(buffer.draw(-1, 0, 0), "count");
  CHECK_THROWS_NAMING(buffer[4], "i");
}

TEST_CASE("an endless stream of shuffled epochs") {
  shuffled_stream stream(5, 3), late(5, 3);
  ids first, second;
  for (index i = 0; i < 5; ++i) first.push_back(stream(i));
  for (index i = 5; i < 10; ++i) second.push_back(stream(i));
  CHECK(late(7) == second[2]);
  CHECK(first != second);
  std::sort(first.begin(), first.end());
  CHECK(first == ids{0, 1, 2, 3, 4});
  CHECK_THROWS_NAMING(shuffled_stream(0, 1), "n");
  CHECK_THROWS_NAMING(stream(-1), "position");
}

}  // namespace
