// Armadillo's vectors and matrices as columns: no header of ours is needed for them.
#include <emend/core/column.hpp>
#include <emend/core/id_column.hpp>

#include <armadillo>
#include <doctest/doctest.h>

#include <vector>

namespace {

using emend::column;
using numbers = std::vector<double>;

numbers entries(const column& c) {
  numbers result(static_cast<std::size_t>(c.size()));
  c.read(0, c.size(), result.data());
  return result;
}

TEST_CASE("Armadillo's vectors are columns, its matrices row by row") {
  const arma::vec v{1, 2, 3};
  const arma::frowvec row{4, 5};
  const arma::mat m{{1, 2, 3}, {4, 5, 6}};
  const arma::ivec ids{7, 8};
  CHECK(entries(v) == numbers{1, 2, 3});
  CHECK(entries(row) == numbers{4, 5});
  CHECK(entries(m) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(emend::id_column(ids)[1] == 8);
  const column kept = arma::vec(m.row(1).t());
  CHECK(entries(kept) == numbers{4, 5, 6});
}

}  // namespace
