// message: this does not say how the tokens fall into sequences; give padded.rows, length, mask., ragged
#include <emend/advantage/gae.hpp>

#include <vector>

emend::advantages use(const std::vector<double>& reward, const std::vector<double>& value,
                      const std::vector<int>& offsets) {
#ifdef REPAIRED
  return emend::gae(reward, value, emend::ragged(offsets));
#else
  return emend::gae(reward, value, offsets);
#endif
}
