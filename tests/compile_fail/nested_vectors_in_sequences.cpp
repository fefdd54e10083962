// message: this type is not known to hold scores
#include <emend/core/matrix.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/sequence_level.hpp>

#ifdef REPAIRED
using block = emend::matrix<float>;
#else
using block = std::vector<std::vector<float>>;
#endif

void use(const block& scores, const std::vector<int>& targets, const emend::column& numbers) {
  const emend::sequence_level<emend::ppo_clip> loss{{numbers, numbers}};
  emend::evaluate_sequences(loss, scores, targets, emend::padded(1, 3));
}
