#pragma once

#include <emend/structure/actions.hpp>

#include <vector>

/// The text after some actions, by its definition.
inline std::vector<emend::index> text_after(std::vector<emend::index> text, const std::vector<emend::action>& actions,
                                            std::size_t count, emend::index floor) {
  for (std::size_t k = 0; k < count; ++k) {
    const emend::action& a = actions[k];
    if (a.kind == emend::action_kind::append) text.push_back(a.argument);
    const emend::index erased = a.kind == emend::action_kind::erase   ? a.argument
                                : a.kind == emend::action_kind::reset ? static_cast<emend::index>(text.size())
                                                                      : 0;
    for (emend::index e = 0; e<erased&& static_cast<emend::index>(text.size())> floor; ++e) text.pop_back();
  }
  return text;
}
