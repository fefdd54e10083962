#pragma once

#include <optional>

namespace emend::detail {

/// This thread's S, which keeps its memory from call to call, or a fresh one where a call is nested in another (a loss
/// that evaluates a loss). A scratch that holds something back for a later row says in `abandon()` how to forget it: a
/// call that ends by an exception leaves nothing behind for the next one.
template <class S>
class scratch_lease {
 public:
  scratch_lease() {
    static thread_local slot shared;
    slot_ = shared.is_in_use ? &own_.emplace() : &shared;
    slot_->is_in_use = true;
  }
  scratch_lease(const scratch_lease&) = delete;
  scratch_lease& operator=(const scratch_lease&) = delete;
  ~scratch_lease() {
    if constexpr (requires { slot_->scratch.abandon(); }) slot_->scratch.abandon();
    slot_->is_in_use = false;
  }
  S& operator*() const { return slot_->scratch; }

 private:
  struct slot {
    S scratch;
    bool is_in_use = false;
  };
  std::optional<slot> own_;
  slot* slot_;
};

}  // namespace emend::detail
