// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/shares_lead.h"

#include <algorithm>

#include "base/log.h"
#include "net/ready_check.h"

namespace evercert::traffic {
namespace {

bool is_or_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
}

std::string region_name(const EdgeEndpoint& endpoint) { return endpoint.name.substr(0, endpoint.name.find('/')); }

}  // namespace

bool may_be_led_away(Criticality of, std::string_view path) {
  return of != Criticality::kOperator && !is_or_below(path, "/v1/failover") && !is_or_below(path, "/v1/health") &&
         !is_or_below(path, "/v1/capacity");
}

SharesLead::SharesLead(const Backends& backends, std::string region) : region_(std::move(region)), agreement_(0) {
  Table table;
  for (std::size_t at = 0; at < backends.size(); ++at) {
    const EdgeEndpoint& endpoint = backends[at].endpoint;
    const std::string of = backends[at].remote ? region_name(endpoint) : region_;
    auto known = std::ranges::find(regions_, of, &Region::name);
    if (known == regions_.end()) known = regions_.insert(regions_.end(), Region{of, {}, 0});
    known->endpoints.push_back(at);
    table.places.push_back({at, backends[at].remote, backends[at].remote ? of : endpoint.name, 100});
  }
  agreement_ = SharesAgreement(regions_.size());
  table_ = std::make_shared<const Table>(std::move(table));
}

std::shared_ptr<const SharesLead::Table> SharesLead::table() const {
  std::lock_guard lock(mutex_);
  return table_;
}

std::vector<SharesLead::Question> SharesLead::questions() {
  std::lock_guard lock(mutex_);
  std::vector<Question> all;
  for (std::size_t r = 0; r < regions_.size(); ++r) {
    Region& region = regions_[r];
    all.push_back({r, region.endpoints[region.turn++ % region.endpoints.size()], region.name});
  }
  return all;
}

void SharesLead::said(const Question& question, std::string_view document) {
  std::lock_guard lock(mutex_);
  if (!agreement_.said(question.region, document)) return;
  const Shares& shares = agreement_.shares();
  Table next = *table_;
  next.own = shares.of(region_);
  bool narrowed = next.own < 100;
  for (Place& place : next.places) {
    place.share = place.remote ? shares.of(place.name) : shares.of_node(place.name);
    narrowed = narrowed || (!place.remote && place.share < 100);
  }
  const auto tell = [&](const std::string& what, int before, int now) {
    if (before != now)
      log_info("edge: share of " + what + " " + std::to_string(before) + " % -> " + std::to_string(now) +
               " %: " + net::printable(shares.by));
  };
  tell(region_, table_->own, next.own);
  for (std::size_t i = 0; i < next.places.size(); ++i) {
    if (!next.places[i].remote) tell(next.places[i].name, table_->places[i].share, next.places[i].share);
  }
  table_ = std::make_shared<const Table>(std::move(next));
  narrowed_ = narrowed;
}

SharesLead::Way SharesLead::way(std::string_view client, bool may_leave) {
  Way way;
  if (!narrowed_.load(std::memory_order_relaxed)) return way;
  const auto table = this->table();
  // What is no address has one turn with all of its kind.
  const AddressPrefix network = network_of(client).value_or(AddressPrefix{});
  const auto beyond = [&](const std::string& name, int share) {
    return share < 100 && turn_of(network, name) >= share;
  };
  bool anybody_elsewhere = false, anybody_here = false;
  const bool leaves = beyond(region_, table->own);
  for (const Place& place : table->places) {
    const bool turned_away = beyond(place.name, place.share);
    if (place.remote) {
      if (turned_away) way.elsewhere.set(place.endpoint);
      anybody_elsewhere = anybody_elsewhere || !turned_away;
    } else {
      way.elsewhere.set(place.endpoint);
      if (turned_away) way.avoid.set(place.endpoint);
      anybody_here = anybody_here || !turned_away;
    }
  }
  if (!leaves || !may_leave || !anybody_elsewhere) way.elsewhere.reset();
  if (!anybody_here) way.avoid.reset();
  if (way.elsewhere.any()) led_.fetch_add(1, std::memory_order_relaxed);
  return way;
}

int SharesLead::share() const { return table()->own; }

std::string SharesLead::metrics() const {
  const auto table = this->table();
  std::string out = "# TYPE evercert_edge_share_percent gauge\nevercert_edge_share_percent{of=\"" + region_ + "\"} " +
                    std::to_string(table->own) + "\n";
  for (const Place& place : table->places) {
    if (!place.remote && !place.name.empty())
      out += "evercert_edge_share_percent{of=\"" + place.name + "\"} " + std::to_string(place.share) + "\n";
  }
  return out + "# TYPE evercert_edge_led_elsewhere_total counter\nevercert_edge_led_elsewhere_total " +
         std::to_string(led_.load()) + "\n";
}

}  // namespace evercert::traffic
