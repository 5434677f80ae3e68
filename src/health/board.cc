// SPDX-License-Identifier: Apache-2.0
#include "health/board.h"

#include <algorithm>
#include <set>

#include "base/check.h"

namespace evercert::health {
namespace {

constexpr const char* kApi = "api";
constexpr double kSuspicion = 8;  // wrong once in 10^8 messages
constexpr Duration kAskAgain = 500ms;

Report::Part part_of(const Score& score) {
  Score whole = score;
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, whole.reasons.size()); ++i)
    text += (text.empty() ? "" : ", ") + whole.reasons[i].text;
  return {score.points, std::move(text)};
}

Score score_of(const Report::Part& part) {
  if (part.points >= 100) return {100, {}};
  return {part.points, {{100 - part.points, part.why}}};
}

}  // namespace

Board::Board(BoardOptions options, Instant now) : options_(std::move(options)), verdicts_(options_.verdict) {
  set_nodes(options_.nodes, now);
}

void Board::set_nodes(std::map<NodeId, RegionId> nodes, Instant now) {
  EC_CHECK(nodes.contains(options_.self), "a node is always one of those that it knows");
  options_.nodes = std::move(nodes);
  std::erase_if(peers_, [this](const auto& peer) { return !options_.nodes.contains(peer.first); });
  for (const auto& [node, region] : options_.nodes) {
    if (node == options_.self || peers_.contains(node)) continue;
    const auto name = options_.regions.find(region);
    const std::string of = name == options_.regions.end() ? "region " + std::to_string(region.value) : name->second;
    peers_.emplace(
        node,
        Peer{Component(of + "/" + std::to_string(node.value % 256), kApiCheck, now), {}, PhiAccrual(), Instant{0}});
  }
}

Component& Board::check(const std::string& name, CheckPlan plan, Instant now) {
  return checked_.try_emplace(name, name, plan, now).first->second;
}

void Board::measured(const std::string& name, Score score) { measured_[name] = std::move(score); }

std::vector<NodeId> Board::due(Instant now) const {
  std::vector<NodeId> nodes;
  for (const auto& [node, peer] : peers_) {
    if (peer.api.due(now)) nodes.push_back(node);
  }
  return nodes;
}

void Board::asked(NodeId node, Instant now) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  found->second.api.began(now);
  found->second.asked = now;
}

void Board::heard(NodeId node, Instant at) {
  if (const auto found = peers_.find(node); found != peers_.end()) found->second.heartbeats.heard(at);
}

bool Board::has_nodes(RegionId region) const {
  return std::ranges::any_of(options_.nodes, [&](const auto& node) { return node.second == region; });
}

std::vector<RegionId> Board::regions() const {
  std::vector<RegionId> all;
  for (const auto& [region, name] : options_.regions) {
    if (has_nodes(region)) all.push_back(region);
  }
  return all;
}

// A region looks ill from here, and it is not decided yet.
bool Board::disputed() const {
  return std::ranges::any_of(regions(), [this](RegionId region) {
    return !out(region) && this->region(region).points < options_.verdict.out_below;
  });
}

void Board::answered(NodeId node, Result<Report> answer, Instant now) {
  const auto found = peers_.find(node);
  if (found == peers_.end()) return;
  if (answer && answer->node != node)
    answer = fail(Code::kInvalid, "node " + std::to_string(answer->node.value) + " answers there");
  found->second.api.ended({answer.has_value(), {}, answer ? "" : answer.error().message}, now);
  if (!answer) return;
  for (const auto& [region, part] : answer->regions) {
    // Its cluster file may name regions that this one does not know yet.
    if (options_.regions.contains(region)) verdicts_.said(options_.nodes.at(node), region, part.points, part.why, now);
  }
  found->second.last = std::move(*answer);
}

Instant Board::next_event() const {
  Instant next{INT64_MAX};
  for (const auto& [name, component] : checked_) next = std::min(next, component.next_event());
  for (const auto& [node, peer] : peers_) next = std::min(next, peer.api.next_event());
  return next;
}

std::vector<Verdicts::Change> Board::review(Instant now) {
  for (auto& [name, component] : checked_) component.expire(now);
  const bool ask_all = disputed();
  for (auto& [node, peer] : peers_) {
    peer.api.expire(now);
    if (peer.api.out()) continue;
    const bool suspected = peer.heartbeats.phi(now) >= kSuspicion;
    if (suspected || (ask_all && now - peer.asked >= kAskAgain)) peer.api.hurry(now);
  }
  const RegionId own = options_.nodes.at(options_.self);
  for (const RegionId id : regions()) {
    const Report::Part part = part_of(region(id));
    verdicts_.said(own, id, part.points, part.why, now);
  }
  return verdicts_.review(now);
}

std::map<std::string, Score> Board::own_scores() const {
  std::map<std::string, Score> scores = measured_;
  for (const auto& [name, component] : checked_) {
    if (component.known()) scores[name] = component.score();
  }
  scores.try_emplace(kApi);  // it is this process that says so
  return scores;
}

std::map<std::string, Score> Board::scores_of(NodeId node) const {
  if (node == options_.self) return own_scores();
  std::map<std::string, Score> scores;
  const auto peer = peers_.find(node);
  if (peer == peers_.end()) return scores;
  scores[kApi] = peer->second.api.score();
  // What it said last is what it has, until it is out: then nobody knows, and nobody is sent there.
  if (peer->second.api.out()) return scores;
  for (const auto& [name, part] : peer->second.last.components) {
    if (name != kApi) scores[name] = score_of(part);
  }
  return scores;
}

Score Board::node(NodeId node) const {
  std::vector<Score> parts;
  for (auto& [name, score] : scores_of(node)) parts.push_back(std::move(score));
  return all_of(parts);
}

std::vector<std::string> Board::services() const {
  std::set<std::string> names{kApi};
  for (const auto& [node, region] : options_.nodes) {
    for (const auto& [name, score] : scores_of(node)) names.insert(name);
  }
  return {names.begin(), names.end()};
}

Score Board::service(RegionId region, const std::string& name) const {
  std::vector<Score> replicas;
  bool anybody = false;
  for (const auto& [node, of] : options_.nodes) {
    if (of != region) continue;
    auto scores = scores_of(node);
    const auto found = scores.find(name);
    if (found != scores.end()) replicas.push_back(std::move(found->second));
    anybody = true;
  }
  // Who has not said anything of it yet is not judged by it: what is missing of a dead node its api says.
  if (replicas.empty() && anybody) return {};
  return any_of(name, replicas);
}

Score Board::region(RegionId region) const {
  std::vector<Score> parts;
  for (const std::string& name : services()) parts.push_back(service(region, name));
  return all_of(parts);
}

Score Board::globe() const {
  std::vector<Weighted> parts;
  for (const auto& [id, name] : options_.regions) {
    const auto nodes = std::ranges::count_if(options_.nodes, [&](const auto& n) { return n.second == id; });
    if (nodes == 0) continue;
    parts.push_back({name, static_cast<double>(nodes), region(id)});
  }
  return mean_of(parts);
}

Report Board::report() const {
  Report report;
  report.node = options_.self;
  for (const auto& [name, score] : own_scores()) report.components[name] = part_of(score);
  for (const RegionId id : regions()) report.regions[id] = part_of(region(id));
  return report;
}

}  // namespace evercert::health
