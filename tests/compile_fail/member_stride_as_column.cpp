// message: a column is a view of numbers that lie in memory
#include <emend/core/column.hpp>

#include <cstddef>

struct steps {
  const double* first;
  std::size_t count;
  std::ptrdiff_t stride;
  const double* data() const { return first; }
  std::size_t size() const { return count; }
};

emend::column use(const steps& x) {
#ifdef REPAIRED
  return {x.first, static_cast<emend::index>(x.count), x.stride};
#else
  return x;
#endif
}
