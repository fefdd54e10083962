#pragma once

// LibTorch's wheels hold Gloo compiled but none of its headers. ProcessGroupGloo.hpp asks only that these types exist:
// it keeps pointers to them. Nothing may derive from gloo::rendezvous::Store or construct a c10d::GlooStore over these
// declarations; where Gloo's own headers are installed (libgloo-dev), they do as well.

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};
namespace transport {
class Device;
class UnboundBuffer;
}  // namespace transport
namespace rendezvous {
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string&, const std::vector<char>&) = 0;
  virtual std::vector<char> get(const std::string&) = 0;
  virtual void wait(const std::vector<std::string>&) = 0;
  virtual void wait(const std::vector<std::string>&, const std::chrono::milliseconds&) = 0;
};
}  // namespace rendezvous
}  // namespace gloo
