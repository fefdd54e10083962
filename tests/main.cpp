#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "instruction_sets.hpp"

int main(int argument_count, char** arguments) {
  if (!is_named_set_supported()) return 0;
  return doctest::Context(argument_count, arguments).run();
}
