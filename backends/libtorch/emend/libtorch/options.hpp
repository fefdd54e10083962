#pragma once

// Options of `emend::loss` over tensors.

#include <emend/libtorch/loss/options.hpp>
