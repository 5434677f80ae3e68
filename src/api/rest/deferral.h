// SPDX-License-Identifier: Apache-2.0
// What a client is told whose work needs a majority that cannot be reached: queued (202), or why it is refused (503).
#pragma once

#include <string>

#include "degraded/desk.h"
#include "degraded/mode_keeper.h"
#include "degraded/policy.h"
#include "net/http.h"

namespace evercert::api {

// From a node to an edge, with a 503: what was refused could be queued here. From an edge to a node: it shall be; the
// edge has found nobody who could do it now. A client that asks a node itself need not say so.
inline constexpr std::string_view kMayQueue = "Evercert-May-Queue", kQueue = "Evercert-Queue";
inline constexpr std::string_view kRetryDegraded = "10";  // seconds: Retry-After of what is refused in such a mode

class Deferral {
 public:
  Deferral(degraded::Policy policy, degraded::Desk& desk, degraded::ModeKeeper& mode, WallClock& wall)
      : policy_(policy), desk_(desk), mode_(mode), wall_(wall) {}

  // Nothing, when work for this group can be tried now.
  std::optional<degraded::ModeView> lost(GroupId group) const;
  // The same, looked up anew: after a write was refused.
  std::optional<degraded::ModeView> lost_now(GroupId group) const;
  // `wanted` as Desk::offer() wants it, without its deadline.
  Task<net::HttpResponse> defer(const net::HttpRequest& request, bool from_edge, degraded::ModeView mode,
                                degraded::v1::Operation wanted);

 private:
  degraded::Policy policy_;
  degraded::Desk& desk_;
  degraded::ModeKeeper& mode_;
  WallClock& wall_;
};

}  // namespace evercert::api
