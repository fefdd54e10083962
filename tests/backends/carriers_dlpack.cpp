#include <emend/dlpack.hpp>

#include "carriers.hpp"
#include "throws.hpp"

namespace suite {

template <class T>
inline constexpr DLDataType dlpack_type{std::is_same_v<T, bfloat16> ? kDLBfloat : kDLFloat, 8 * sizeof(T), 1};

/// A tensor of rows apart by more than their length, behind an offset in bytes.
template <class T>
struct holder<dlpack<T>> {
  using storage = T;
  std::vector<T> memory, other;
  std::int64_t shape[2], strides[2];
  DLManagedTensor x, out;
  explicit holder(const table& t)
      : memory(static_cast<std::size_t>((t.vocab + 3) * t.rows + 2)),
        other(memory),
        shape{t.rows, t.vocab},
        strides{t.vocab + 3, 1},
        x(tensor(memory)),
        out(tensor(other)) {
    write_table(t, score_view<T>{memory.data() + 2, t.rows, t.vocab, t.vocab + 3, 1});
  }
  holder(const holder&) = delete;
  DLManagedTensor tensor(std::vector<T>& from) {
    return {{from.data(), {kDLCPU, 0}, 2, dlpack_type<T>, shape, strides, 2 * sizeof(T)}, nullptr, nullptr};
  }
  const DLManagedTensor& scores() const { return x; }
  DLManagedTensor& target() { return out; }
  DLManagedTensor& same() { return x; }
};

EMEND_COMPILE_CARRIER(dlpack<float>);
EMEND_COMPILE_CARRIER(dlpack<float16>);

TEST_CASE("DLPack: without strides row-major; the gradient can be handed on; other devices and types are refused") {
  float data[6] = {1, 2, 3, 3, 2, 1};
  std::int64_t shape[3] = {1, 2, 3};
  DLTensor x{data, {kDLCPU, 0}, 3, dlpack_type<float>, shape, nullptr, 0};
  const auto loss = [](const auto& t) { return -t.log_prob; };
  auto got = evaluate(loss, x, std::vector<int>{0, 1});
  CHECK(got.gradient.tensor().ndim == 3);
  CHECK(got.gradient.tensor().shape[2] == 3);
  const double z = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  CHECK(static_cast<const float*>(got.gradient.tensor().data)[0] == doctest::Approx(std::exp(1.0) / z - 1));
  CHECK(static_cast<const float*>(got.gradient.tensor().data)[4] == doctest::Approx(std::exp(2.0) / z - 1));
  DLManagedTensor* handed = std::move(got.gradient).release();
  CHECK(static_cast<const float*>(handed->dl_tensor.data)[0] == doctest::Approx(std::exp(1.0) / z - 1));
  handed->deleter(handed);

  x.device.device_type = kDLCUDA;
  CHECK_THROWS_NAMING(evaluate(loss, x, std::vector<int>{0, 1}), "scores");
  x.device.device_type = kDLCPU;
  x.dtype.code = kDLInt;
  CHECK_THROWS_NAMING(evaluate(loss, x, std::vector<int>{0, 1}), "scores");
  x.dtype = {kDLFloat, 32, 4};
  CHECK_THROWS_NAMING(evaluate(loss, x, std::vector<int>{0, 1}), "scores");
  x.dtype.lanes = 1;
  x.ndim = 0;
  CHECK_THROWS_NAMING(evaluate(loss, x, std::vector<int>{}), "scores");
}

}  // namespace suite
