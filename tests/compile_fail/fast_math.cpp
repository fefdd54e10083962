// message: -ffast-math, -Ofast and -ffinite-math-only are refused
#ifndef REPAIRED
#define __FAST_MATH__ 1
#endif
#include <emend/core/random.hpp>

double use(const emend::counter_random& random) { return random.uniform(1, 2); }
