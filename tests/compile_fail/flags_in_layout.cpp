// message: instead of std::vector<bool> use
#include <emend/core/layout.hpp>

#include <vector>

#ifdef REPAIRED
using flag = char;
#else
using flag = bool;
#endif

emend::ragged use(const std::vector<flag>& dones) { return emend::ragged(emend::offsets_from_ends(dones)); }
