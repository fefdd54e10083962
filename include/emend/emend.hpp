#pragma once

// Everything of the library but the backends.

#include <emend/advantage/gae.hpp>
#include <emend/carriers/dual.hpp>
#include <emend/core/backend.hpp>
#include <emend/core/column.hpp>
#include <emend/core/executor.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/random.hpp>
#include <emend/core/thread_pool.hpp>
#include <emend/core/token.hpp>
#include <emend/distillation/divergence.hpp>
#include <emend/distillation/remaining_share_weights.hpp>
#include <emend/distillation/sampled_distillation.hpp>
#include <emend/distillation/top_k_divergence.hpp>
#include <emend/evaluation/evaluate.hpp>
#include <emend/evaluation/evaluate_numbers.hpp>
#include <emend/evaluation/evaluate_sequences.hpp>
#include <emend/evaluation/statistics.hpp>
#include <emend/losses/cross_entropy.hpp>
#include <emend/losses/entropy.hpp>
#include <emend/losses/ppo_clip.hpp>
#include <emend/losses/value_clip.hpp>
#include <emend/metrics/pair_accuracy.hpp>
#include <emend/metrics/wilson.hpp>
#include <emend/off_policy/importance_weights.hpp>
#include <emend/off_policy/off_policy_metrics.hpp>
#include <emend/off_policy/off_policy_sequence_mask.hpp>
#include <emend/off_policy/rejection.hpp>
#include <emend/reward/seq2seq_examples.hpp>
#include <emend/reward/seq2seq_loss.hpp>
#include <emend/reward/seq2seq_rewards.hpp>
#include <emend/reward/token_rewards.hpp>
#include <emend/version.hpp>
