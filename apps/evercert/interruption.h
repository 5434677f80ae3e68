// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM as a question that long commands ask.
#pragma once

#include <functional>

namespace evercert::apps {

// Takes the signals over; the answer turns true with the first of them.
std::function<bool()> watch_for_interruption();

}  // namespace evercert::apps
