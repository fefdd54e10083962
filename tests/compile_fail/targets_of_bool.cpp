// message: ids must be of an integer type; convert them first
#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <array>

#ifdef REPAIRED
using id = int;
#else
using id = bool;
#endif

emend::index use(const std::array<id, 3>& targets) { return emend::id_column(targets)[0]; }
