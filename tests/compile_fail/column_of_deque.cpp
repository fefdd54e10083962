// message: a column is a view of numbers that lie in memory
#include <emend/advantage/gae.hpp>

#include <deque>
#include <vector>

#ifdef REPAIRED
using range = std::vector<double>;
#else
using range = std::deque<double>;
#endif

auto use(const range& reward, const range& value) { return emend::gae(reward, value, emend::padded(1, 3)); }
