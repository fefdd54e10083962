#pragma once

#include <algorithm>
#include <vector>

#include <sequence_match/markov_source.hpp>

namespace sequence_match {

/// What one step of a trajectory is: scored in `state` as `label`, while `pushed` moved the state.
/// Actions: letters, then the end, then the backspace.
struct transition {
  int state, label, pushed;
  double weight;  // expected discounted number of times
};

/// The expected discounted steps and ends of the trajectories of data or of a model: all that an objective needs to
/// know of them.
struct occupancy {
  std::vector<transition> steps;
  std::vector<double> ends;  // [texts] of the terminal states
};

/// Collects steps by what they are.
class occupancy_sum {
 public:
  explicit occupancy_sum(const markov_source& source)
      : actions_(source.letters + 2),
        steps_(static_cast<std::size_t>(source.texts() * actions_ * actions_), 0.0),
        ends_(static_cast<std::size_t>(source.texts()), 0.0) {}
  void step(int state, int label, int pushed, double weight) {
    steps_[static_cast<std::size_t>((state * actions_ + label) * actions_ + pushed)] += weight;
  }
  void end(int text, double weight) { ends_[static_cast<std::size_t>(text)] += weight; }
  occupancy take() const {
    occupancy result{{}, ends_};
    for (std::size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i] > 0) {
        const int number = static_cast<int>(i);
        result.steps.push_back(
            {number / actions_ / actions_, number / actions_ % actions_, number % actions_, steps_[i]});
      }
    return result;
  }

 private:
  int actions_;
  std::vector<double> steps_, ends_;
};

/// Data of the source, in the occupancy of trajectories into which errors come at this level, one letter each, any of
/// them as likely; each is erased and what was meant is then written. The step of the error is labelled with what was
/// meant (the paper's).
inline occupancy data_occupancy(const markov_source& source, double noise, double gamma) {
  const int end = source.letters, backspace = end + 1;
  occupancy_sum sum(source);
  std::vector<double> free(static_cast<std::size_t>(source.texts()), 0.0);
  free[0] = 1;
  // A clean step takes one moment, one with an error three: the discounted number of visits of each text goes from text
  // to text.
  for (int s = 0; s < source.texts(); ++s) {
    const double here = free[static_cast<std::size_t>(s)];
    if (here == 0) continue;
    for (int x = 0; x <= end; ++x) {
      const double p = here * source.probability(s, x);
      if (p == 0) continue;
      double arrives = p * (1 - noise) * gamma;
      sum.step(s, x, x, p * (1 - noise));
      for (int n = 0; n < source.letters; ++n) {
        const double wrong = p * noise / source.letters;
        if (wrong == 0) continue;
        sum.step(s, x, n, wrong);
        sum.step(source.child(s, n), backspace, backspace, wrong * gamma);
        sum.step(s, x, x, wrong * gamma * gamma);
        arrives += wrong * gamma * gamma * gamma;
      }
      if (x == end)
        sum.end(s, arrives);
      else
        free[static_cast<std::size_t>(source.child(s, x))] += arrives;
    }
  }
  return sum.take();
}

/// What a model writes, and how it came about.
struct generated_texts {
  std::vector<double> probability;  // [texts] of ending with this text
  double unfinished = 0;            // of not ending within the cap
  double erased = 0;                // expected number of letters taken away
};

/// A model that slips: whatever it chooses, at the rate `slip` any letter is written instead, where there is room for
/// one. policy: [texts, actions] probabilities of what it chooses. Steps are labelled with what happened.
inline occupancy model_occupancy(const markov_source& source, const std::vector<double>& policy, double slip,
                                 double gamma, generated_texts& written, int max_actions = 80) {
  const int end = source.letters, actions = end + 2, texts = source.texts();
  occupancy_sum sum(source);
  std::vector<double> now(static_cast<std::size_t>(texts), 0.0), next(now);
  std::vector<char> has_room(static_cast<std::size_t>(texts));
  for (int s = 0; s < texts; ++s) has_room[static_cast<std::size_t>(s)] = source.depth(s) < source.deepest;
  written = {std::vector<double>(static_cast<std::size_t>(texts), 0.0), 0, 0};
  now[0] = 1;
  double discount = 1;
  for (int i = 0; i < max_actions; ++i, discount *= gamma) {
    std::fill(next.begin(), next.end(), 0.0);
    for (int s = 0; s < texts; ++s) {
      const double here = now[static_cast<std::size_t>(s)];
      if (here < 1e-15) continue;
      const double slips = has_room[static_cast<std::size_t>(s)] ? slip : 0;
      for (int a = 0; a < actions; ++a) {
        const double p = here * ((1 - slips) * policy[static_cast<std::size_t>(s * actions + a)] +
                                 (a < end ? slips / source.letters : 0));
        if (p == 0) continue;
        sum.step(s, a, a, discount * p);
        if (a == end) {
          written.probability[static_cast<std::size_t>(s)] += p;
          sum.end(s, discount * gamma * p);
        } else if (a < end) {
          next[static_cast<std::size_t>(source.child(s, a))] += p;
        } else {
          next[static_cast<std::size_t>(source.parent(s))] += p;
          if (s > 0) written.erased += p;
        }
      }
    }
    std::swap(now, next);
  }
  for (const double p : now) written.unfinished += p;
  return sum.take();
}

}  // namespace sequence_match
