#pragma once

// The waist of the library: views, the backend trait, columns, tokens, layouts, executors, random numbers, a matrix.

#include <emend/core/backend.hpp>
#include <emend/core/column.hpp>
#include <emend/core/executor.hpp>
#include <emend/core/layout.hpp>
#include <emend/core/matrix.hpp>
#include <emend/core/random.hpp>
#include <emend/core/token.hpp>
