// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "commands.h"

namespace evercert::apps {

int report(const Error& error) {
  std::fprintf(stderr, "evercert: %s\n", error.message.c_str());
  return error.code == Code::kInvalid || error.code == Code::kNotFound || error.code == Code::kConflict ? 2 : 1;
}

}  // namespace evercert::apps

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (const char* level = std::getenv("EVERCERT_LOG"); level != nullptr && std::string_view(level) == "debug") {
    evercert::set_log_level(evercert::LogLevel::kDebug);
  }
  CLI::App app{"Evercert: the certificate authority that does not go down.\n\nFirst try: evercert demo"};
  app.set_version_flag("--version", "evercert " EVERCERT_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  using namespace evercert::apps;
  register_demo(app, exit_code);
  register_init(app, exit_code);
  register_serve(app, exit_code);
  register_dns(app, exit_code);
  register_anycast(app, exit_code);
  register_ctl(app, exit_code);
  register_load(app, exit_code);
  register_sim(app, exit_code);
  register_enroll(app, exit_code);
  register_recover(app, exit_code);
  register_bench(app, exit_code);
  register_completion(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int shown = app.exit(error);
    return shown == 0 ? 0 : 2;
  }
  return exit_code;
}
