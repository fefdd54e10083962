// message: results are written to memory of float or double that may be changed
#include <emend/advantage/whitening.hpp>

#include <vector>

#ifdef REPAIRED
using number = float;
#else
using number = int;
#endif

void use(const std::vector<double>& reward, std::vector<number>& out) {
  emend::whiten_into(reward, emend::padded(1, static_cast<emend::index>(reward.size())), {}, out);
}
