// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/backends.h"

#include <algorithm>

#include "base/log.h"

namespace evercert::traffic {
namespace {

constexpr int kRemoteRank = 1'000'000, kUnhealthyRank = 2'000'000;  // beyond any number of requests in flight

}  // namespace

void Backend::checked(bool passed) {
  std::lock_guard lock(mutex_);
  const bool before = health_.healthy();
  if (passed) {
    health_.check_passed();
  } else {
    health_.check_failed();
  }
  publish(before);
}

void Backend::request_failed() {
  std::lock_guard lock(mutex_);
  const bool before = health_.healthy();
  health_.request_failed();
  publish(before);
}

void Backend::publish(bool before) {
  healthy_.store(health_.healthy(), std::memory_order_relaxed);
  if (before != health_.healthy()) log_info("edge: " + name() + (before ? " is out" : " is back"));
}

Status Backends::add(const EdgeEndpoint& endpoint, bool remote, HealthThresholds thresholds) {
  if (all_.size() == kMost)
    return fail(Code::kInvalid, "an edge can use " + std::to_string(kMost) + " nodes and edges at most");
  all_.push_back(std::make_unique<Backend>(endpoint, remote, nodes_, thresholds));
  if (!remote) ++nodes_;
  return {};
}

Backend* Backends::next(Tried& tried, bool may_leave_region, const Backend* preferred, bool refused) {
  const std::size_t turn = turn_.fetch_add(1, std::memory_order_relaxed);
  std::size_t best = kMost;
  int best_rank = 0;
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const std::size_t at = (i + turn) % all_.size();
    const Backend& backend = *all_[at];
    if (tried[at] || (backend.remote && !may_leave_region) || (refused && !backend.healthy())) continue;
    if (&backend == preferred && backend.healthy()) {
      best = at;
      break;
    }
    const int rank = (backend.healthy() ? 0 : kUnhealthyRank) + (backend.remote ? kRemoteRank : 0) +
                     backend.in_flight.load(std::memory_order_relaxed);
    if (best != kMost && rank >= best_rank) continue;
    best = at;
    best_rank = rank;
  }
  if (best == kMost) return nullptr;
  tried.set(best);
  return all_[best].get();
}

bool Backends::any_node_healthy() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& b) { return !b->remote && b->healthy(); });
}

std::string Backends::metrics() const {
  std::string out =
      "# TYPE evercert_edge_backend_healthy gauge\n# TYPE evercert_edge_backend_requests_total counter\n"
      "# TYPE evercert_edge_backend_failures_total counter\n";
  for (const auto& backend : all_) {
    const std::string label =
        "{backend=\"" + backend->name() + "\",kind=\"" + (backend->remote ? "edge" : "node") + "\"} ";
    out += "evercert_edge_backend_healthy" + label + (backend->healthy() ? "1" : "0") + "\n";
    out += "evercert_edge_backend_requests_total" + label + std::to_string(backend->requests) + "\n";
    out += "evercert_edge_backend_failures_total" + label + std::to_string(backend->failures) + "\n";
  }
  return out;
}

}  // namespace evercert::traffic
