// SequenceMatch's objectives by LibTorch's operations, as on a device: of all steps at once.

#include "sequence_match_case.hpp"
#include "tensors_libtorch.hpp"

#include "other_device.hpp"

#include <emend/libtorch/loss/trajectory_routes.hpp>

namespace golden {
namespace {

std::string objective(vector_case& c) {
  with_objective(c, [&](const auto& objective, const emend::trajectory_columns& columns,
                        const emend::trajectory_options& options) {
    const at::Tensor x = tensor_of(c.input("logits"), c.is_double());
    emend::trajectory_value parts;
    emend::detail::loss_of_trajectories_on_device(objective, there(x), columns, options, &parts, false).backward();
    expect_objective(c, parts, numbers_of(x.grad()));
  });
  return {};
}

const known_group known[] = {{"sequence_match/objective", objective, "libtorch"}};

}  // namespace
}  // namespace golden
