#include "score_block.hpp"

#include <map>
#include <stdexcept>
#include <variant>

namespace golden {
namespace {

std::map<std::string, const block_store*>& stores() {
  static std::map<std::string, const block_store*> all;
  return all;
}

/// The library's own matrices.
using any_matrix = std::variant<emend::matrix<float>, emend::matrix<double>>;

}  // namespace
}  // namespace golden

template <>
struct emend::backend<golden::any_matrix> {
  static golden::any_matrix like(const golden::any_matrix& x) {
    return std::visit([]<class T>(const matrix<T>& m) { return golden::any_matrix(backend<matrix<T>>::like(m)); }, x);
  }
  static void visit(golden::any_matrix& x, auto&& f) {
    std::visit([&]<class T>(matrix<T>& m) { backend<matrix<T>>::visit(m, f); }, x);
  }
};

namespace golden {
namespace {

const auto make = [](emend::index rows, emend::index columns, bool is_double) {
  return is_double ? any_matrix(emend::matrix<double>(rows, columns)) : any_matrix(emend::matrix<float>(rows, columns));
};
const store_of<any_matrix, decltype(make)> store(make);
const known_store known("emend", store);

}  // namespace

const block_store*& chosen_store() {
  static const block_store* chosen = nullptr;
  return chosen;
}

known_store::known_store(const std::string& name, const block_store& store_here) { stores()[name] = &store_here; }

void choose_store(const std::string& name) {
  const auto found = stores().find(name);
  if (found == stores().end()) {
    std::string names;
    for (const auto& [known_name, store_here] : stores()) names.append(names.empty() ? "" : ", ").append(known_name);
    throw std::runtime_error("no backend " + name + "; there are: " + names);
  }
  chosen_store() = found->second;
}

}  // namespace golden
