// Token-level rewards from one teacher-forced pass of a model that rewrites: a response earns while the model would
// have written the same, and loses where, from the first departure on, it would not. The model's choices stand here by
// hand, so that every number can be followed. The same source for every type of scores: token_rewards,
// token_rewards_eigen, .._xtensor, .._libtorch.

#include <cstdio>
#include <string>
#include <vector>

#include <common/backend_scores.hpp>
#include <common/no_options.hpp>
#include <emend/emend.hpp>

int main(int count, char** arguments) {
  if (const auto status = common::answer_arguments(
          count, arguments, "token_rewards: what each letter of two spellings earns, in every mode"))
    return *status;
  constexpr emend::index vocabulary = 128;  // the bytes of ASCII
  // Two responses, and what the model would write at each place, given what stands before it.
  const std::string response = "seperatly.separately.", choice = "separatey.separately.";
  const std::vector<emend::index> offsets{0, 10, 21};
  const std::vector<int> tokens(response.begin(), response.end());
  const auto length = static_cast<emend::index>(response.size());
  common::backend_scores scores = common::make_scores(length, vocabulary);
  for (emend::index t = 0; t < length; ++t)
    for (emend::index j = 0; j < vocabulary; ++j)
      common::score_at(scores, t, j) = j == choice[static_cast<std::size_t>(t)]   ? 6.0
                                       : j == tokens[static_cast<std::size_t>(t)] ? 4.0
                                                                                  : 0.0;

  constexpr emend::reward_mode modes[] = {emend::reward_mode::sign, emend::reward_mode::prob,
                                          emend::reward_mode::margin, emend::reward_mode::logratio};
  std::vector<emend::seq2seq_rewards> rewards;
  for (const emend::reward_mode mode : modes)
    rewards.push_back(emend::extract_rewards(scores, tokens, emend::ragged(offsets), {.mode = mode}));

  std::printf("scores: %s\n\n written  model    sign     prob   margin  logratio\n", common::backend_scores_name);
  for (emend::index t = 0; t < length; ++t) {
    const auto i = static_cast<std::size_t>(t);
    std::printf("    %c       %c   %6.2f   %6.3f   %6.3f    %6.3f%s", tokens[i],
                static_cast<char>(rewards[0].arg_max[i]), rewards[0].score[i], rewards[1].score[i], rewards[2].score[i],
                rewards[3].score[i], t + 1 == offsets[1] ? "\n\n" : "\n");
  }
  bool is_right = true;
  for (std::size_t b = 0; b < 2; ++b) {
    std::printf("\nresponse %zu: departs after %td tokens, mean reward %.3f, mean log-probability %.3f", b + 1,
                rewards[0].divergence[b], rewards[0].sequence_score[b], rewards[0].copy_log_likelihood[b]);
    is_right = is_right && rewards[0].divergence[b] == (b == 0 ? 3 : 11);
  }
  std::puts("");
  return is_right ? 0 : 1;
}
