// message: a sequence loss has summand.t. and is callable as loss
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>

void use(const emend::matrix<float>& scores, const std::vector<int>& targets, const emend::column& numbers) {
#ifdef REPAIRED
  const emend::sequence_level<emend::ppo_clip> loss{{numbers, numbers}};
#else
  const emend::ppo_clip loss{numbers, numbers};
#endif
  emend::evaluate_sequences_value(loss, scores, targets, emend::padded(1, 3));
}
