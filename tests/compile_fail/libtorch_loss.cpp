// message: a loss must be callable on token<double> and on token<token_dual>
#include <emend/libtorch/loss.hpp>

at::Tensor use(const at::Tensor& logits, const at::Tensor& targets) {
#ifdef REPAIRED
  return emend::loss([](const auto& t) { return -t.log_prob; }, logits, targets, {.normaliser = 2});
#else
  return emend::loss([](const emend::token<double>& t) { return -t.log_prob; }, logits, targets, {.normaliser = 2});
#endif
}
