// SPDX-License-Identifier: Apache-2.0
// A command that runs while something is held, and is stopped when it is held no more.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace evercert::apps {

// Runs `words` with `environment` added to this process's. `still_held` is asked every `interval`; false ends the
// command (SIGTERM, after five seconds SIGKILL). When `interrupted` turns true the command gets SIGTERM, and what is
// held is held until it has ended. It gets SIGTERM too when this process dies. The command's exit code, 128 + signal as
// in a shell; 1 when it was ended. kNotFound: no such command.
Result<int> run_while_held(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment,
                           Duration interval, const std::function<bool()>& still_held,
                           const std::function<bool()>& interrupted);

}  // namespace evercert::apps
