#pragma once

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>

namespace common {

/// Set by an interrupt (SIGINT, SIGTERM) of a program that asks for it.
inline volatile std::sig_atomic_t is_interrupted = 0;
inline void notice_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { is_interrupted = 1; });
}

/// Parses the command line and runs; what goes wrong is one line on standard error, with the program's name.
/// Returns the exit code: 0, 1 of an exception, 2 of a wrong command line, 130 of an interrupt.
template <class Run>
int run_program(CLI::App& app, int count, char** arguments, Run&& run) {
  try {
    app.parse(count, arguments);
    run();
    return 0;
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& error) {
    std::cerr << app.get_name() << ": " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << app.get_name() << ": " << error.what() << "\n";
    return is_interrupted ? 130 : 1;
  }
}

}  // namespace common
