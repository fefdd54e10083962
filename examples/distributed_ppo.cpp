// Token-level PPO on several processes: each brings its share of the prompts, and every step is that of the whole
// batch.
//   mpirun -n 4 bin/distributed_ppo                                                    over MPI
//   torchrun --no-python --nproc-per-node 4 bin/distributed_ppo                        over LibTorch's Gloo
//   examples/distributed_ppo/start 4 bin/distributed_ppo                               the same without torchrun

#include <CLI/CLI.hpp>
#include <iostream>

#include <common/option_checks.hpp>
#include <common/program.hpp>
#include <distributed_ppo/training.hpp>
#if EMEND_EXAMPLE_MPI
#include <emend/mpi.hpp>
#endif
#if EMEND_EXAMPLE_C10D
#include <emend/c10d.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace {

using namespace distributed_ppo;

enum class group { automatic, none, mpi, gloo };

bool is_set(const char* variable) { return std::getenv(variable) != nullptr; }

/// The group that the environment speaks of.
group group_of_environment() {
  if (is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMI_SIZE") || is_set("PMIX_RANK")) return group::mpi;
  if (is_set("RANK") && is_set("WORLD_SIZE") && is_set("MASTER_ADDR") && is_set("MASTER_PORT")) return group::gloo;
  return group::none;
}

#if EMEND_EXAMPLE_C10D
int number_of(const char* variable, int low, int high) {
  const char* text = std::getenv(variable);
  char* end = nullptr;
  const long value = text ? std::strtol(text, &end, 10) : low - 1L;
  if (!text || end == text || *end != '\0' || value < low || value > high)
    throw std::runtime_error(std::string(variable) + ": expected a number of " + std::to_string(low) + " to " +
                             std::to_string(high) + ", got " + (text ? text : "nothing"));
  return static_cast<int>(value);
}

/// The group that torchrun's variables describe: RANK, WORLD_SIZE, and where rank 0 listens.
emend::c10d_communicator gloo_group() {
  const int size = number_of("WORLD_SIZE", 1, 1 << 20), rank = number_of("RANK", 0, size - 1);
  const char* address = std::getenv("MASTER_ADDR");
  c10d::TCPStoreOptions store;
  store.port = static_cast<std::uint16_t>(number_of("MASTER_PORT", 1, 65535));
  // torchrun's agent keeps a store of its own at that address, which the processes share.
  store.isServer = rank == 0 && !(is_set("TORCHELASTIC_USE_AGENT_STORE") &&
                                  std::string(std::getenv("TORCHELASTIC_USE_AGENT_STORE")) == "True");
  store.numWorkers = static_cast<std::size_t>(size);
  auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::minutes(5));
  const bool is_local = !address || std::string(address) == "127.0.0.1" || std::string(address) == "localhost";
  options->devices.push_back(is_local ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                      : c10d::ProcessGroupGloo::createDefaultDevice());
  return emend::c10d_communicator(c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::TCPStore>(address ? address : "127.0.0.1", store), rank, size, options));
}
#endif

void run_over(group over, const seq2seq::data_set& data, const options& o, common::terminal& out, int& count,
              char**& arguments) {
  if (over == group::automatic) over = group_of_environment();
  if (over == group::mpi) {
#if EMEND_EXAMPLE_MPI
    MPI_Init(&count, &arguments);
    emend::mpi_communicator ranks;
    try {
      train(ranks, data, o, out);
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
  if (over == group::gloo) {
#if EMEND_EXAMPLE_C10D
    emend::c10d_communicator ranks = gloo_group();
    train(ranks, data, o, out);
    return;
#else
    throw std::runtime_error(
        "this program was built without LibTorch; give CMake LibTorch_PYTHON, a Python with torch, and build it again");
#endif
  }
  emend::single_process alone;
  train(alone, data, o, out);
}

}  // namespace

int main(int count, char** arguments) {
  using namespace common;
  options o;
  colour_choice colour = colour_choice::automatic;
  group over = group::automatic;
  bool is_smoke = false;
  CLI::App app{
      "Trains a policy that corrects misspellings by token-level PPO, on as many processes as start it together.",
      "distributed_ppo"};
  app.get_formatter()->column_width(30);
  const auto add = [&](CLI::Option* option, const char* value) { return option->type_name(value); };
  add(app.add_option("--group", over,
                     "auto (default): mpi where mpirun has started it, gloo where torchrun has; mpi; gloo; none")
          ->transform(one_of({{"auto", 0}, {"none", 1}, {"mpi", 2}, {"gloo", 3}})),
      "GROUP");
  add(app.add_option(
          "--data", o.data,
          "codespell's dictionary.txt (default, where it is installed) or a table of misspellings, plain or gzip"),
      "PATH");
  add(app.add_option("--seed", o.seed, "of the split, the models and every draw")->capture_default_str(), "N");
  add(app.add_option("--layers", o.layers, "layers of the policy")->check(in_range(1, 64))->capture_default_str(), "N");
  add(app.add_option("--dim", o.dim, "its width, a multiple of 8")->check(in_range(8, 4096))->capture_default_str(),
      "N");
  add(app.add_option("--first-steps", o.first_steps, "supervised steps before PPO")
          ->check(in_range(1LL, 100000000LL))
          ->capture_default_str(),
      "N");
  add(app.add_option("--iterations", o.iterations, "of PPO")->check(in_range(1, 1000000))->capture_default_str(), "N");
  add(app.add_option("--prompts", o.prompts, "an iteration, over all processes")
          ->check(in_range(1, 1000000))
          ->capture_default_str(),
      "N");
  add(app.add_option("--minibatch", o.minibatch, "sequences a step, over all processes")
          ->check(in_range(1, 1000000))
          ->capture_default_str(),
      "N");
  add(app.add_option("--evaluated", o.evaluated, "held-out words")->check(in_range(1, 100000))->capture_default_str(),
      "N");
  add(app.add_option("--learning-rate", o.learning_rate, "of PPO")->check(above_zero())->capture_default_str(), "X");
  add(app.add_option("--target-kl", o.target_kl,
                     "divergence from the first policy that the coefficient steers to, nats a response")
          ->check(above_zero())
          ->capture_default_str(),
      "X");
  app.add_flag("--smoke", is_smoke, "far too little of everything, to see that all works: seconds");
  add(app.add_option("--color", colour, "auto (default; NO_COLOR is respected), always, never")
          ->transform(one_of({{"auto", 0}, {"always", 1}, {"never", 2}})),
      "WHEN");
  return common::run_program(app, count, arguments, [&] {
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
      throw std::runtime_error(
          "codespell's dictionary is not installed; install Debian's package codespell or PyPI's codespell, or give "
          "--data");
    // Before any process waits for another.
    const seq2seq::data_set data = seq2seq::read_data(o.data);
    if (!data.is_words())
      throw std::runtime_error(o.data +
                               ": misspellings with what is right are wanted: codespell's dictionary or a table");
    terminal out(colour);
    run_over(over, data, o, out, count, arguments);
  });
}
