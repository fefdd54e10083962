#pragma once

// Statistics of scores in tensors, as tensors.

#include <emend/libtorch/head/statistics.hpp>
