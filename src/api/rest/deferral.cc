// SPDX-License-Identifier: Apache-2.0
#include "api/rest/deferral.h"

#include "api/rest/queued.h"
#include "base/rfc3339.h"

namespace evercert::api {
namespace {

std::optional<degraded::ModeView> if_lost(degraded::ModeView view, GroupId group) {
  return view.has_lost(group) ? std::optional(std::move(view)) : std::nullopt;
}

}  // namespace

std::optional<degraded::ModeView> Deferral::lost(GroupId group) const {
  return mode_.degraded() ? if_lost(mode_.view(), group) : std::nullopt;
}

std::optional<degraded::ModeView> Deferral::lost_now(GroupId group) const { return if_lost(mode_.look(), group); }

Task<net::HttpResponse> Deferral::defer(const net::HttpRequest& request, bool from_edge, degraded::ModeView mode,
                                        degraded::v1::Operation wanted) {
  const auto& policy = policy_.of(wanted.kind());
  const std::string kind(degraded::to_string(wanted.kind()));
  const std::string since = mode.why + ", since " + rfc3339(mode.since.ms);
  if (!policy.queue || (from_edge && !request.headers.find(kQueue))) {
    auto refused =
        net::problem(503, "Service Unavailable",
                     since + ": nothing was done; " +
                         (policy.queue ? "this " + kind + " could be queued here"
                                       : "by the policy of this cluster a " + kind +
                                             " is not queued: repeat the request later, or ask another region"));
    refused.headers.set("Retry-After", kRetryDegraded);
    if (policy.queue) refused.headers.set(kMayQueue, "yes");
    co_return refused;
  }
  wanted.set_deadline_ms(wall_.now().ms + policy.keep.count() / 1000);
  const auto accepted = co_await desk_.offer(*request.executor, std::move(wanted), since);
  if (!accepted) {
    auto refused = net::problem(fail(accepted.error(), since).error());
    if (refused.status == 503) refused.headers.set("Retry-After", kRetryDegraded);
    co_return refused;
  }
  auto document = describe_queued(accepted->operation);
  document["why"] = since;
  auto response = net::json_response(202, document.dump());
  response.headers.set("Location", "/v1/queued/" + accepted->operation.id());
  response.headers.set("Retry-After", kRetryDegraded);
  co_return response;
}

}  // namespace evercert::api
