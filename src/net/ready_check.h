// SPDX-License-Identifier: Apache-2.0
// Whether a server says that it is ready, asked as a new client would.
#pragma once

#include <string>

#include "base/task_scope.h"
#include "net/http_client.h"

namespace evercert::net {

// GET /readyz on a new connection. Never longer than the time-out, however it is spent: connecting, proving, waiting;
// then kExpired. `executor` is one thread, and the caller is on it; `scope` ends before `client`.
Task<Result<HttpResponse>> ready_check(HttpClient& client, Executor& executor, TaskScope& scope, HttpTarget target,
                                       Duration timeout);

// What a stranger sent, for a line of a log: short, and without what a terminal would take for orders.
std::string printable(std::string text);

// Why it is not ready, printable. Empty: it is. A redirect,
// an error or anything but 200 is no good answer.
std::string ready_fault(const Result<HttpResponse>& result);

}  // namespace evercert::net
