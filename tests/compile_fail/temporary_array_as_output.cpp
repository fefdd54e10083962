// message: what is written to must outlive the call
#include <emend/core/output_column.hpp>

#include <array>

emend::output_column use() {
#ifdef REPAIRED
  static std::array<double, 2> named{};
  return named;
#else
  return std::array<double, 2>{};
#endif
}
