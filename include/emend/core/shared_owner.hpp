#pragma once

#include <atomic>
#include <type_traits>
#include <utility>

namespace emend::detail {

/// Keeps an object of any type alive as long as a copy of this handle exists; by default none. As std::shared_ptr, but
/// of use in constant expressions while it is empty, so that options that hold columns can be constexpr.
class shared_owner {
  struct block {
    std::atomic<long> owners = 1;
    virtual ~block() = default;
  };
  template <class X>
  struct block_of final : block {
    explicit block_of(X&& x) : object(std::move(x)) {}
    explicit block_of(const X& x) : object(x) {}
    const X object;
  };

 public:
  constexpr shared_owner() = default;
  constexpr shared_owner(const shared_owner& other) : block_(other.block_) {
    if (block_ != nullptr) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  constexpr shared_owner(shared_owner&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  constexpr shared_owner& operator=(shared_owner other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  constexpr ~shared_owner() {
    if (block_ != nullptr && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete block_;
  }

  /// Takes x over, and gives it back as it lies in memory from then on. Cost: one allocation.
  template <class X>
  const std::remove_cvref_t<X>& take_over(X&& x) {
    auto* const made = new block_of<std::remove_cvref_t<X>>(std::forward<X>(x));
    shared_owner taken;
    taken.block_ = made;
    std::swap(block_, taken.block_);
    return made->object;
  }

 private:
  block* block_ = nullptr;
};

}  // namespace emend::detail
