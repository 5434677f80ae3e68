// SPDX-License-Identifier: Apache-2.0
#include "node/edge_watch.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/os/system.h"

namespace evercert::node {
namespace {

constexpr std::size_t kLargestStatus = 1 << 20;
constexpr double kMostCores = 4096;
constexpr int kSilentTwice = 2;  // one answer may be lost

}  // namespace

Task<std::optional<EdgeWatch::Said>> EdgeWatch::ask(Executor& on, net::HttpTarget edge) {
  net::HttpCall call;
  call.target = std::move(edge);
  call.path = "/edge/status";
  call.connect_timeout = call.timeout = kDeadline;
  call.max_response_bytes = kLargestStatus;
  auto asking = client_.fetch(on, std::move(call));
  const auto answer = co_await asking;
  const Instant now = os::monotonic_clock().now();
  const auto page =
      answer && answer->status == 200 ? nlohmann::json::parse(answer->bytes(), nullptr, false) : nlohmann::json();
  const auto said = page.is_object() ? page.value("processors", nlohmann::json()) : nlohmann::json();
  if (!said.is_object() || !said.contains("seconds") || !said["seconds"].is_number() || !said.contains("cores") ||
      !said["cores"].is_number())
    co_return std::nullopt;
  co_return Said{said["seconds"].get<double>(), std::clamp(said["cores"].get<double>(), 0.0, kMostCores), now};
}

Task<void> EdgeWatch::look(Executor& on) {
  std::vector<Started<std::optional<Said>>> asking;
  asking.reserve(edges_.size());
  for (const Edge& edge : edges_) asking.emplace_back(tasks_, ask(on, edge.target));
  Seen seen{0, 0, static_cast<int>(edges_.size()), 0};
  for (std::size_t e = 0; e < edges_.size(); ++e) {
    const std::optional<Said> said = co_await asking[e];
    Edge& edge = edges_[e];
    const auto before = std::exchange(edge.before, said);
    edge.silent = said ? 0 : edge.silent + 1;
    if (edge.silent < kSilentTwice) ++seen.answering;
    // One that was started anew begins at 0 again.
    if (!said || !before || said->seconds < before->seconds || said->at <= before->at) continue;
    seen.busy += (said->seconds - before->seconds) * 1e6 / static_cast<double>((said->at - before->at).count());
    seen.cores += said->cores;
  }
  seen.busy = std::min(seen.busy, seen.cores);
  std::lock_guard lock(mutex_);
  seen_ = seen;
}

EdgeWatch::Seen EdgeWatch::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

}  // namespace evercert::node
