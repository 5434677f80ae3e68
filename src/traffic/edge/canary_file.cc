// SPDX-License-Identifier: Apache-2.0
#include "traffic/edge/canary_file.h"

#include <nlohmann/json.hpp>

namespace evercert::traffic {

using nlohmann::json;

CanaryFile::CanaryFile(Disk& disk, std::string path, std::string beginning)
    : disk_(disk), path_(std::move(path)), beginning_(std::move(beginning)) {}

std::string CanaryFile::text(const Releases::State& state) const {
  const json page{
      {"beginning", beginning_}, {"percent", state.percent}, {"rolled_back", state.rolled_back}, {"why", state.why}};
  return page.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Status CanaryFile::resume(Releases& releases) {
  kept_ = text(releases.state());
  if (!disk_.exists(path_)) return {};
  EC_ASSIGN(const auto bytes, read_file(disk_, path_));
  const auto page = json::parse(bytes, nullptr, false);
  const auto is = [&](const char* name, bool (json::*type)() const noexcept) {
    return page.contains(name) && (page[name].*type)();
  };
  if (!page.is_object() || !is("beginning", &json::is_string) || !is("percent", &json::is_number) ||
      !is("rolled_back", &json::is_boolean) || !is("why", &json::is_string))
    return fail(Code::kCorrupt, path_ + " is damaged: the canary begins as the cluster file says");
  if (page["beginning"] != beginning_) return {};
  if (page["rolled_back"].get<bool>()) {
    releases.stay_back(page["why"].get<std::string>());
  } else if (const auto begun = releases.begin(page["percent"].get<double>()); !begun) {
    return fail(Code::kCorrupt, path_ + " is damaged: " + begun.error().message);
  }
  kept_ = text(releases.state());
  return {};
}

Status CanaryFile::keep(const Releases& releases) {
  std::string now = text(releases.state());
  if (now == kept_) return {};
  EC_TRY(write_file_durably(disk_, path_, now));
  kept_ = std::move(now);
  return {};
}

std::string canary_beginning(const Backends& backends, double percent) {
  std::string out = json(percent).dump() + " % to";
  for (std::size_t at = 0; at < backends.size(); ++at) {
    if (!backends[at].remote && backends[at].endpoint.canary) out += " " + backends[at].name;
  }
  return out;
}

}  // namespace evercert::traffic
