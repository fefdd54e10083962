// message: a column is a view of numbers that lie in memory
#include <emend/advantage/whitening.hpp>

#include <string>
#include <vector>

#ifdef REPAIRED
using range = std::vector<char>;
#else
using range = std::string;
#endif

auto use(const range& values) { return emend::whiten(values, emend::padded(1, 3)); }
