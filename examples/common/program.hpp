#pragma once

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>

namespace common {

/// Set by an interrupt (SIGINT, SIGTERM) of a program that asks for it.
inline volatile std::sig_atomic_t is_interrupted = 0;
inline void notice_interrupts() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { is_interrupted = 1; });
}

/// Parses the command line and runs; what goes wrong is one line on standard error, with the program's name.
/// Returns the exit code: 0, 1 of an exception or of a standard output that cannot be written, 2 of a wrong command
/// line, 130 of an interrupt.
template <class Run>
int run_program(CLI::App& app, int count, char** arguments, Run&& run) {
  const auto say = [&](const char* what) { std::cerr << app.get_name() << ": " << what << "\n"; };
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit of its size is an error of writing like a full disk
  try {
    try {
      app.parse(count, arguments);
      run();
    } catch (const CLI::CallForHelp&) {
      std::cout << app.help() << std::flush;
      if (!std::cout) throw std::runtime_error("standard output cannot be written");
    }
    errno = 0;
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      throw std::runtime_error("standard output cannot be written" +
                               (errno != 0 ? std::string(": ") + std::strerror(errno) : std::string()));
    return 0;
  } catch (const CLI::ParseError& error) {
    say(error.what());
    return 2;
  } catch (const std::bad_alloc&) {
    say("there is too little memory");
    return 1;
  } catch (const std::exception& error) {
    say(error.what());
    return is_interrupted ? 130 : 1;
  }
}

}  // namespace common
