#pragma once

// What emend computes on devices of CUDA, over bare pointers. The formulas, for host and device:
#include <emend/cuda/ancestor_row.hpp>
#include <emend/cuda/device_policy.hpp>
#include <emend/cuda/gae_row.hpp>
#include <emend/cuda/reward_row.hpp>
#include <emend/cuda/row_pass.hpp>
#include <emend/cuda/sample_row.hpp>
#include <emend/cuda/team.hpp>
#include <emend/cuda/whitening_pass.hpp>
// and for sources that nvcc compiles, with -std=c++20 --expt-relaxed-constexpr: <emend/cuda/kernels.cuh>.
