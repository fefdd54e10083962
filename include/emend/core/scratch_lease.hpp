#pragma once

#include <atomic>
#include <mutex>
#include <optional>

namespace emend {

namespace detail {

/// Memory of one type that one thread keeps between calls. All slots of the process stand in one list, so that
/// `release_scratch` reaches those of other threads, too.
class scratch_slot {
 public:
  scratch_slot(const scratch_slot&) = delete;
  scratch_slot& operator=(const scratch_slot&) = delete;

  /// Whether the slot was free; it is then in use until `give_back`.
  bool take() { return !is_in_use_.exchange(true, std::memory_order_acquire); }
  void give_back() { is_in_use_.store(false, std::memory_order_release); }

  static void release_all() {
    const std::lock_guard lock(list_mutex);
    for (scratch_slot* slot = first; slot != nullptr; slot = slot->next_)
      if (slot->take()) {
        slot->release();
        slot->give_back();
      }
  }

 protected:
  scratch_slot() {
    const std::lock_guard lock(list_mutex);
    next_ = first;
    if (first != nullptr) first->previous_ = this;
    first = this;
  }
  ~scratch_slot() {
    const std::lock_guard lock(list_mutex);
    (previous_ == nullptr ? first : previous_->next_) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
  }

 private:
  virtual void release() = 0;

  static inline constinit std::mutex list_mutex;
  static inline constinit scratch_slot* first = nullptr;

  scratch_slot *previous_ = nullptr, *next_ = nullptr;
  std::atomic<bool> is_in_use_ = false;
};

/// This thread's S, which keeps its memory from call to call, or a fresh one where a call is nested in another (a loss
/// that evaluates a loss). A lease is memory and nothing else: what it holds at the start is unspecified, so a pass
/// writes before it reads, and whatever one row leaves for the next lives in an object of the pass.
template <class S>
class scratch_lease {
 public:
  scratch_lease() {
    static thread_local slot shared;
    if (shared.take())
      slot_ = &shared;
    else
      scratch_ = &own_.emplace();
    if (slot_ != nullptr) scratch_ = &slot_->scratch;
  }
  scratch_lease(const scratch_lease&) = delete;
  scratch_lease& operator=(const scratch_lease&) = delete;
  ~scratch_lease() {
    if (slot_ != nullptr) slot_->give_back();
  }
  S& operator*() const { return *scratch_; }
  S* operator->() const { return scratch_; }

 private:
  struct slot final : scratch_slot {
    S scratch;

   private:
    void release() override { scratch = S(); }
  };
  std::optional<S> own_;
  slot* slot_ = nullptr;
  S* scratch_;
};

}  // namespace detail

/// Frees the memory that threads of this process keep between calls; memory in use at this moment stays. Results never
/// depend on it: the next call allocates again. May be called from any thread at any time.
///
/// What a thread keeps follows its largest call of each kind so far, with s = 4 bytes for float, bfloat16 and float16
/// scores, 8 for double:
///   evaluations, the calling thread     at most 200 bytes a row or term, and 8 a metric and term
///   rows of V scores, every thread      at most (2 V + 4 K + 12288) s bytes, K the largest kept set of a row
///   divergences, every thread           at most 51 (V + 64) s bytes, and 16 a row on the calling thread
///   linear scores, every thread         at most 2 MiB for the products' panels, beside the rows above
///   sampling, every thread              at most 64 bytes a score of the row
///   edit distances, masks               at most 64 bytes a token of the longest pair or row
/// A vector that grows may have reserved up to twice that.
inline void release_scratch() { detail::scratch_slot::release_all(); }

}  // namespace emend
