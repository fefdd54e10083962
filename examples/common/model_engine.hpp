#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <stdexcept>
#include <string>

#include <common/option_checks.hpp>
#include <lm/engine.hpp>
#if defined(EMEND_EXAMPLE_LIBTORCH)
#include <lm/torch_engine.hpp>
#endif

namespace common {

/// Who computes the transformers of a program, and where.
enum class model_backend { eigen, libtorch };
struct model_engine_options {
  model_backend backend = model_backend::eigen;
  std::string device = "cpu";

  /// In the numbers' fingerprint: another engine rounds differently.
  std::string name() const { return backend == model_backend::eigen ? "eigen" : "libtorch " + device; }
};

inline void declare_model_engine(CLI::App& app, model_engine_options& o, const char* group) {
  app.add_option("--backend", o.backend, "who computes the models: eigen (default), or libtorch where it was found")
      ->transform(one_of({{"eigen", 0}, {"libtorch", 1}}))
      ->type_name("NAME")
      ->group(group);
  app.add_option("--device", o.device, "of libtorch: cpu (default), cuda, cuda:1, ..")
      ->type_name("DEVICE")
      ->group(group);
}

/// The engine of all models while this object lives.
class model_engine {
 public:
  /// Throws std::runtime_error where the build has no such engine, or the machine no such device.
  explicit model_engine(const model_engine_options& o) {
    if (o.backend == model_backend::eigen) {
      if (o.device != "cpu") throw std::runtime_error("--device " + o.device + " goes with --backend libtorch");
      return;
    }
#if defined(EMEND_EXAMPLE_LIBTORCH)
    other_ = lm::torch_engine<float>(o.device);
    lm::use_engine<float>(other_.get());
#else
    throw std::runtime_error(
        "--backend libtorch: this program was built without LibTorch; configure with -DLibTorch_PYTHON=PYTHON, a "
        "Python that has torch");
#endif
  }
  model_engine(const model_engine&) = delete;
  ~model_engine() {
    if (other_) lm::use_engine<float>(nullptr);
  }

 private:
  std::unique_ptr<lm::engine<float>> other_;
};

}  // namespace common
