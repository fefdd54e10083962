// Token-level PPO on several processes: each brings its share of the prompts, and every step is that of the whole batch.
//   mpirun -n 4 bin/distributed_ppo                                                    over MPI
//   RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 bin/distributed_ppo    over LibTorch's Gloo, as torchrun starts it

#include <CLI/CLI.hpp>
#include <iostream>

#include <common/option_checks.hpp>
#include <distributed_ppo/training.hpp>
#if EMEND_EXAMPLE_MPI
#include <emend/mpi.hpp>
#endif

namespace {

using namespace distributed_ppo;

enum class group { automatic, none, mpi };

bool is_set(const char* variable) { return std::getenv(variable) != nullptr; }

/// The group that the environment speaks of.
group group_of_environment() {
  if (is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMI_SIZE") || is_set("PMIX_RANK")) return group::mpi;
  return group::none;
}

void run_over(group over, const options& o, common::terminal& out, int& count, char**& arguments) {
  if (over == group::automatic) over = group_of_environment();
  if (over == group::mpi) {
#if EMEND_EXAMPLE_MPI
    MPI_Init(&count, &arguments);
    emend::mpi_communicator ranks;
    try {
      train(ranks, o, out);
    } catch (const std::exception& error) {
      // The others wait in a collective operation; they must not wait for ever.
      std::cerr << "distributed_ppo: " << error.what() << "\n";
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return;
#else
    static_cast<void>(count);
    static_cast<void>(arguments);
    throw std::runtime_error("this program was built without MPI; install libopenmpi-dev and build it again");
#endif
  }
  emend::single_process alone;
  train(alone, o, out);
}

}  // namespace

int main(int count, char** arguments) {
  using namespace common;
  options o;
  colour_choice colour = colour_choice::automatic;
  group over = group::automatic;
  bool is_smoke = false;
  CLI::App app{"Trains a policy that corrects misspellings by token-level PPO, on as many processes as start it together.", "distributed_ppo"};
  app.get_formatter()->column_width(30);
  const auto add = [&](CLI::Option* option, const char* value) { return option->type_name(value); };
  add(app.add_option("--group", over, "auto (default): mpi where mpirun has started it, else none; mpi; none")->transform(one_of({{"auto", 0}, {"none", 1}, {"mpi", 2}})), "GROUP");
  add(app.add_option("--data", o.data, "codespell's dictionary.txt (default, where it is installed) or a table of misspellings, plain or gzip"), "PATH");
  add(app.add_option("--seed", o.seed, "of the split, the models and every draw")->capture_default_str(), "N");
  add(app.add_option("--layers", o.layers, "layers of the policy")->check(in_range(1, 64))->capture_default_str(), "N");
  add(app.add_option("--dim", o.dim, "its width, a multiple of 8")->check(in_range(8, 4096))->capture_default_str(), "N");
  add(app.add_option("--first-steps", o.first_steps, "supervised steps before PPO")->check(in_range(1LL, 100000000LL))->capture_default_str(), "N");
  add(app.add_option("--iterations", o.iterations, "of PPO")->check(in_range(1, 1000000))->capture_default_str(), "N");
  add(app.add_option("--prompts", o.prompts, "an iteration, over all processes")->check(in_range(1, 1000000))->capture_default_str(), "N");
  add(app.add_option("--minibatch", o.minibatch, "sequences a step, over all processes")->check(in_range(1, 1000000))->capture_default_str(), "N");
  add(app.add_option("--evaluated", o.evaluated, "held-out words")->check(in_range(1, 100000))->capture_default_str(), "N");
  add(app.add_option("--learning-rate", o.learning_rate, "of PPO")->check(above_zero())->capture_default_str(), "X");
  add(app.add_option("--target-kl", o.target_kl, "divergence from the first policy that the coefficient steers to, nats a response")->check(above_zero())->capture_default_str(), "X");
  app.add_flag("--smoke", is_smoke, "far too little of everything, to see that all works: seconds");
  add(app.add_option("--color", colour, "auto (default; NO_COLOR is respected), always, never")->transform(one_of({{"auto", 0}, {"always", 1}, {"never", 2}})), "WHEN");
  try {
    app.parse(count, arguments);
    if (o.dim % 8 != 0) throw std::runtime_error("--dim must be a multiple of 8, not " + std::to_string(o.dim));
    if (is_smoke) {
      const auto set = [&](const char* name, auto& value, auto other) {
        if (app.count(name) == 0) value = static_cast<std::remove_reference_t<decltype(value)>>(other);
      };
      set("--dim", o.dim, 32);
      set("--first-steps", o.first_steps, 60);
      set("--iterations", o.iterations, 4);
      set("--prompts", o.prompts, 24);
      set("--evaluated", o.evaluated, 40);
    }
    if (o.data.empty()) o.data = seq2seq::find_dictionary();
    if (o.data.empty())
      throw std::runtime_error("codespell's dictionary is not installed; install Debian's package codespell or PyPI's codespell, or give --data");
    terminal out(colour);
    run_over(over, o, out, count, arguments);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    std::cerr << "distributed_ppo: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "distributed_ppo: " << error.what() << "\n";
    return 1;
  }
}
