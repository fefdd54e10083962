#pragma once

#include <emend/c10d.hpp>

namespace snippets::c10d_ranks {

extern const c10::intrusive_ptr<c10d::Backend> process_group;  // compiled, not run

}  // namespace snippets::c10d_ranks
