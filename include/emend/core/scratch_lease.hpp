#pragma once

#include <atomic>
#include <optional>

namespace emend {

namespace detail {

/// Memory that a thread keeps between calls. The slots of all threads stand in one list, so that `release_scratch`
/// reaches them. A slot is never deleted: when its thread ends, it is emptied and serves a later thread. The list only
/// grows at its head, without a lock, so that a child process that was forked at any moment finds it in order.
class scratch_slot {
 public:
  scratch_slot(const scratch_slot&) = delete;
  scratch_slot& operator=(const scratch_slot&) = delete;

  /// Whether the slot was free; it is then in use until `give_back`.
  bool take() { return !is_in_use_.exchange(true, std::memory_order_acquire); }
  void give_back() { is_in_use_.store(false, std::memory_order_release); }

  static void release_all() {
    for (scratch_slot* slot = first.load(std::memory_order_acquire); slot != nullptr; slot = slot->next_)
      if (slot->take()) {
        slot->release();
        slot->give_back();
      }
  }

 protected:
  scratch_slot() = default;
  ~scratch_slot() = default;
  void enter_list() {
    next_ = first.load(std::memory_order_relaxed);
    while (!first.compare_exchange_weak(next_, this, std::memory_order_release, std::memory_order_relaxed)) continue;
  }

 private:
  virtual void release() = 0;

  static inline constinit std::atomic<scratch_slot*> first = nullptr;
  scratch_slot* next_ = nullptr;
  std::atomic<bool> is_in_use_ = false;
};

template <class S>
class scratch_slot_of final : public scratch_slot {
 public:
  S scratch;

  /// A slot that no thread has, or a new one.
  static scratch_slot_of& acquire() {
    for (scratch_slot_of* slot = first.load(std::memory_order_acquire); slot != nullptr; slot = slot->next_of_type_)
      if (!slot->has_thread_.exchange(true, std::memory_order_acquire)) return *slot;
    auto* const slot = new scratch_slot_of;
    slot->next_of_type_ = first.load(std::memory_order_relaxed);
    while (
        !first.compare_exchange_weak(slot->next_of_type_, slot, std::memory_order_release, std::memory_order_relaxed))
      continue;
    slot->enter_list();
    return *slot;
  }
  /// A slot in use is left as it is: a program that ends inside a call, or somebody who releases it at this moment.
  void leave() {
    if (!take()) return;
    release();
    give_back();
    has_thread_.store(false, std::memory_order_release);
  }

 private:
  scratch_slot_of() = default;
  void release() override { scratch = S(); }

  static std::atomic<scratch_slot_of*> first;
  scratch_slot_of* next_of_type_ = nullptr;
  std::atomic<bool> has_thread_ = true;
};
// Apart from the class: nvcc's front end takes the type for incomplete inside it.
template <class S>
constinit std::atomic<scratch_slot_of<S>*> scratch_slot_of<S>::first = nullptr;

/// This thread's S, which keeps its memory from call to call, or a fresh one where a call is nested in another (a loss
/// that evaluates a loss). A lease is memory and nothing else: what it holds at the start is unspecified, so a pass
/// writes before it reads, and whatever one row leaves for the next lives in an object of the pass.
template <class S>
class scratch_lease {
 public:
  scratch_lease() {
    static thread_local const thread_slot of_thread;
    if (of_thread.slot.take())
      slot_ = &of_thread.slot;
    else
      own_.emplace();
  }
  scratch_lease(const scratch_lease&) = delete;
  scratch_lease& operator=(const scratch_lease&) = delete;
  ~scratch_lease() {
    if (slot_ != nullptr) slot_->give_back();
  }
  S& operator*() const { return slot_ != nullptr ? slot_->scratch : *own_; }
  S* operator->() const { return &**this; }

 private:
  struct thread_slot {
    scratch_slot_of<S>& slot = scratch_slot_of<S>::acquire();
    thread_slot() = default;
    thread_slot(const thread_slot&) = delete;
    thread_slot& operator=(const thread_slot&) = delete;
    ~thread_slot() { slot.leave(); }
  };
  mutable std::optional<S> own_;
  scratch_slot_of<S>* slot_ = nullptr;
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
