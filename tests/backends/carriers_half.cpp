#include "carriers.hpp"

namespace suite {

EMEND_COMPILE_CARRIER(plain<bfloat16>);
EMEND_COMPILE_CARRIER(plain<float16>);
EMEND_COMPILE_CARRIER(strided<bfloat16, order::transposed>);
EMEND_COMPILE_CARRIER(strided<float16, order::reversed>);

}  // namespace suite
