// message: emend: C..20 is needed
#ifndef REPAIRED
#undef __cplusplus
#define __cplusplus 201703L
#endif
#include <emend/core/random.hpp>

double use(const emend::counter_random& random) { return random.uniform(1, 2); }
