// SPDX-License-Identifier: Apache-2.0
// The subcommands. Each registers itself and sets the exit code: 0 done, 1 failed, 2 wrong input.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace evercert::apps {

void register_init(CLI::App& app, int& exit_code);
void register_serve(CLI::App& app, int& exit_code);  // node, edge
void register_ctl(CLI::App& app, int& exit_code);    // ctl, config check
void register_dns(CLI::App& app, int& exit_code);
void register_anycast(CLI::App& app, int& exit_code);
struct CtlOptions;
// kv, lease, lock, elect: parts of ctl.
void register_ctl_space(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_ctl_region(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_ctl_health(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_ctl_capacity(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_ctl_failover(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_ctl_node(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_enroll(CLI::App& app, int& exit_code);
void register_ctl_queue(CLI::App& ctl, std::shared_ptr<const CtlOptions> options, int& exit_code);
void register_sim(CLI::App& app, int& exit_code);
void register_completion(CLI::App& app, int& exit_code);
void register_demo(CLI::App& app, int& exit_code);
void register_load(CLI::App& app, int& exit_code);  // load, judge
void register_recover(CLI::App& app, int& exit_code);
void register_bench(CLI::App& app, int& exit_code);

// Prints "evercert: what" to standard error and returns the exit code that fits.
int report(const Error& error);

}  // namespace evercert::apps
