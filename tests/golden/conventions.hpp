#pragma once

#include "vector_case.hpp"

namespace golden {

/// The library's convention of the peer that a case comes from.
inline const emend::convention& convention_of(const vector_case& c) {
  namespace conventions = emend::conventions;
  static const std::map<std::string, const emend::convention*> all = {
      {"verl", &conventions::verl},
      {"trl", &conventions::trl},
      {"openrlhf", &conventions::openrlhf},
      {"align-anything", &conventions::align_anything},
      {"trlx", &conventions::trlx},
      {"nemo-rl", &conventions::nemo_rl},
      {"nemo-aligner", &conventions::nemo_aligner},
      {"liger-kernel", &conventions::liger},
      {"areal", &conventions::areal},
      {"slime", &conventions::slime},
      {"open-instruct", &conventions::open_instruct},
      {"roll", &conventions::roll},
      {"lm-human-preference-details", &conventions::lm_human_preferences}};
  return *all.at(c.peer());
}

/// Its whitening. In single precision 1e-8 vanishes beside a count.
inline emend::whiten_options whitening_of(const vector_case& c, const emend::convention& convention) {
  emend::whiten_options options = convention.whitening;
  if (c.is_single_peer()) options.count_epsilon = 0;
  return options;
}
inline emend::whiten_options whitening_of(const vector_case& c) { return whitening_of(c, convention_of(c)); }

}  // namespace golden
