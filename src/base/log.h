// SPDX-License-Identifier: Apache-2.0
// Log lines for operators. One line each, key=value where a machine may want to read it. The sink is the process's
// standard error; a simulation turns it off or captures it.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace evercert {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void set_log_level(LogLevel level);
LogLevel log_level();
void log_line(LogLevel level, std::string_view text);

inline void log_debug(std::string_view text) { log_line(LogLevel::kDebug, text); }
inline void log_info(std::string_view text) { log_line(LogLevel::kInfo, text); }
inline void log_warning(std::string_view text) { log_line(LogLevel::kWarning, text); }
inline void log_error(std::string_view text) { log_line(LogLevel::kError, text); }

}  // namespace evercert
