#pragma once

#include <emend/eigen.hpp>
#include <emend/sampling/generate.hpp>
#include <emend/sequence_match/train_sequence_match.hpp>
#include <lm/lm.hpp>

namespace sequence_match {

/// A forest as the transformer reads it.
inline lm::batch packed_of(const emend::trajectory_forest& forest) {
  lm::batch b;
  b.ids.assign(forest.token().begin(), forest.token().end());
  b.parent.assign(forest.parent().begin(), forest.parent().end());
  b.rows.assign(forest.rows().begin(), forest.rows().end());
  return b;
}

/// examples/lm's transformer as SequenceMatch's training wants it: one thread, one part.
class tree_policy {
 public:
  tree_policy(lm::weights<float> w, const lm::adamw_options& options)
      : weights_(std::move(w)), optimizer_(weights_, options), gathered_(weights_.shape()) {}

  const lm::weights<float>& model() const { return weights_; }

  template <class F>
  void differentiate(const emend::trajectory_forest& forest, F&& f) {
    differentiate(packed_of(forest), f);
  }
  /// The same of any batch: f(scores, gradient).
  template <class F>
  void differentiate(const lm::batch& packed, F&& f) {
    lm::forward(weights_, packed, memory_);
    d_logits_.resize(packed.row_count(), weights_.shape().vocab_size);
    f(memory_.logits(), d_logits_);
    lm::backward(weights_, packed, memory_, lm::output_gradients<float>{.logits = d_logits_.data()}, gathered_);
  }
  template <class F>
  void score(const emend::trajectory_forest& forest, F&& f) {
    lm::forward(weights_, packed_of(forest), memory_);
    f(memory_.logits());
  }
  void step() {
    optimizer_.step(weights_.values(), std::as_const(gathered_).values());
    gathered_.set_zero();
  }

 private:
  lm::weights<float> weights_;
  lm::adamw<float> optimizer_;
  lm::weights<float> gathered_;
  lm::workspace<float> memory_;
  lm::row_matrix<float> d_logits_;
};
static_assert(emend::trainable_tree_policy<tree_policy> && emend::scoring_tree_policy<tree_policy>);

/// Lets a model write from prompts. Without a backspace among the actions its id, `unused`, is never drawn. temperature
/// 0: the most probable action.
inline std::vector<emend::generation> write_from(const lm::weights<float>& w,
                                                 const std::vector<std::vector<emend::index>>& prompts,
                                                 emend::index unused, double temperature,
                                                 const emend::generate_options& options) {
  lm::backtracking_model<float> model(w);
  const emend::sampler how{[&](auto& c) {
                             if (unused >= 0)
                               c.change(emend::id_column(&unused, 1),
                                        [](emend::index, double) { return -emend::detail::infinity; });
                           },
                           emend::temperature_scaling{temperature}};
  return emend::generate(model, prompts, how, options);
}

/// Rollouts for the buffer. unused: as in `write_from`.
inline std::vector<emend::trajectory> rollouts_of(const lm::weights<float>& w,
                                                  const std::vector<std::vector<emend::index>>& prompts,
                                                  emend::index unused, const emend::generate_options& options) {
  std::vector<emend::trajectory> result;
  const std::vector<emend::generation> written = write_from(w, prompts, unused, 1, options);
  for (std::size_t b = 0; b < prompts.size(); ++b)
    if (!written[b].ids.empty()) {
      emend::trajectory t = emend::rollout_trajectory(prompts[b], written[b].ids, options.actions);
      // The paper's way with what is longer than the context: its last action leads to the end.
      if (!t.is_complete && t.actions.size() > 1)
        t = emend::cut_trajectory(t, static_cast<emend::index>(t.actions.size()) - 1,
                                  emend::overlong_treatment::forced_end, options.actions);
      result.push_back(std::move(t));
    }
  return result;
}

/// Gives an id that the model has never used, a backspace, the mean of the others' rows: probable nowhere, and not
/// ruled out either.
inline void start_unused_row(lm::weights<float>& w, emend::index id) {
  const auto set = [&](auto&& rows) {
    rows.row(id).setZero();
    rows.row(id) = (rows.colwise().sum() / static_cast<float>(rows.rows() - 1)).eval();
  };
  set(w.classifier());
  if (!w.shape().is_classifier_shared) set(w.token_embedding());
}

}  // namespace sequence_match
