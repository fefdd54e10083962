#include <emend/base/index.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <type_traits>

using namespace emend;

static_assert(std::is_same_v<emend::index, std::ptrdiff_t> && std::is_signed_v<emend::index>);

TEST_CASE("an index counts what memory can hold") { CHECK((emend::index{1} << 40) > 0); }
