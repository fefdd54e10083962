#pragma once

#include "conventions.hpp"

#include <stdexcept>

namespace golden {

/// The rows and columns of a [B,T] input, and its mask, all ones where the case has none.
struct token_shape {
  emend::index rows, columns;
  std::vector<double> mask;

  token_shape(const vector_case& c, const std::string& name) {
    const array values = c.input(name);
    rows = values.rows();
    columns = values.columns();
    mask = c.has_input("mask") ? c.input("mask").data : std::vector<double>(values.data.size(), 1);
  }
  emend::padded layout() const { return emend::padded(rows, columns, mask); }
  emend::padded all() const { return emend::padded(rows, columns); }
};

/// Compares where the mask counts. Elsewhere a peer leaves what its tensor operations happen to write; ours must be 0.
inline void expect_counted(vector_case& c, const std::string& name, const std::vector<double>& got,
                           const std::vector<double>& mask, double absolute = 0) {
  std::vector<double> merged = c.output(name).data;
  if (merged.size() != got.size()) throw std::runtime_error(name + ": another length");
  for (std::size_t i = 0; i < merged.size(); ++i) {
    if (mask[i] != 0)
      merged[i] = got[i];
    else if (got[i] != 0)
      throw std::runtime_error(name + " is not 0 where it is not counted");
  }
  c.expect_within(name, merged, absolute);
}

inline emend::kl_kind kl_kind_of(const std::string& name) {
  static const std::map<std::string, emend::kl_kind> kinds = {{"k1", emend::kl_kind::k1},
                                                              {"k2", emend::kl_kind::k2},
                                                              {"k3", emend::kl_kind::k3},
                                                              {"low_var_kl", emend::kl_kind::k3},
                                                              {"abs", emend::kl_kind::absolute},
                                                              {"k1+", emend::kl_kind::k1_through_k2},
                                                              {"k3+", emend::kl_kind::k3_through_k2}};
  return kinds.at(name);
}

}  // namespace golden
