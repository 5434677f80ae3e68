// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/policy.h"

#include <algorithm>

#include "recovery/failover/json_fields.h"

namespace evercert::recovery {
namespace {

using nlohmann::json;

constexpr std::size_t kLongest = 16 << 10, kMostStages = 20;
constexpr const char* kKnown[] = {"modes",           "regions_left",     "utilisation",      "stale_seconds",
                                  "confirm_seconds", "pause_seconds",    "well_seconds",     "stage_seconds",
                                  "stages",          "requests_seconds", "approval_seconds", "slo_errors",
                                  "slo_p99_ms",      "log_days",         "log_entries"};

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

std::string to_json(const Policy& policy) {
  json modes = json::object();
  for (const auto& [kind, mode] : policy.modes) modes[std::string(to_string(kind))] = to_string(mode);
  return json{{"modes", std::move(modes)},
              {"regions_left", policy.regions_left},
              {"utilisation", policy.utilisation},
              {"stale_seconds", seconds(policy.stale)},
              {"confirm_seconds", seconds(policy.confirm)},
              {"pause_seconds", seconds(policy.pause)},
              {"well_seconds", seconds(policy.well)},
              {"stage_seconds", seconds(policy.stage)},
              {"stages", policy.stages},
              {"requests_seconds", seconds(policy.requests)},
              {"approval_seconds", seconds(policy.approval)},
              {"slo_errors", policy.slo_errors},
              {"slo_p99_ms", to_ms(policy.slo_p99)},
              {"log_days", policy.log_days},
              {"log_entries", policy.log_entries}}
      .dump();
}

Result<Policy> parse_policy(std::string_view text) {
  if (text.size() > kLongest) return fail(Code::kInvalid, "a failover policy is too long");
  const json in = json::parse(text, nullptr, false);
  if (in.is_discarded()) return fail(Code::kInvalid, "a failover policy: it is no JSON");
  Fields fields(in, "a failover policy");
  EC_TRY(fields.status());
  for (const auto& [name, value] : in.items()) {
    if (std::ranges::find(kKnown, name) == std::end(kKnown)) fields.wrong(name.substr(0, 64), "is not known");
  }
  Policy policy;
  for (const auto& [name, said] : fields.many("modes", false, 16).items()) {
    const auto kind = std::ranges::find(kKinds, name, [](Kind one) { return to_string(one); });
    const std::string word = said.is_string() ? said.get<std::string>() : "";
    if (kind == std::end(kKinds))
      fields.wrong("modes: '" + name.substr(0, 64) + "' is no kind: region, zone, component, partition, database");
    else if (word == "automatic") policy.modes[*kind] = Mode::kAutomatic;
    else if (word == "approval") policy.modes[*kind] = Mode::kApproval;
    else if (word == "manual") policy.modes[*kind] = Mode::kManual;
    else fields.wrong("modes: '" + name + "' must be automatic, approval or manual");
  }
  const auto time = [&](const char* name, Duration& value, double least, double most) {
    value = Duration(static_cast<std::int64_t>(fields.number(name, seconds(value), least, most) * 1e6));
  };
  policy.regions_left = static_cast<int>(fields.whole("regions_left", policy.regions_left, 1, 255));
  policy.utilisation = fields.number("utilisation", policy.utilisation, 0.05, 1);
  time("stale_seconds", policy.stale, 2, 300);
  time("confirm_seconds", policy.confirm, 0.5, 300);
  time("pause_seconds", policy.pause, 1, 3600);
  time("well_seconds", policy.well, 1, 3600);
  time("stage_seconds", policy.stage, 1, 3600);
  time("requests_seconds", policy.requests, 0, 600);
  time("approval_seconds", policy.approval, 10, 86400);
  policy.slo_errors = fields.number("slo_errors", policy.slo_errors, 0, 1);
  policy.slo_p99 = std::chrono::milliseconds(fields.whole("slo_p99_ms", to_ms(policy.slo_p99), 1, 600'000));
  policy.log_days = fields.whole("log_days", policy.log_days, 1, 36'500);
  policy.log_entries = fields.whole("log_entries", policy.log_entries, 100, 1'000'000);
  if (fields.has("stages")) {
    policy.stages.clear();
    for (const auto& stage : fields.many("stages", true, kMostStages)) {
      const bool rises =
          stage.is_number_integer() && stage <= 100 && stage > (policy.stages.empty() ? 0 : policy.stages.back());
      if (!rises) fields.wrong("stages", "must be whole numbers that rise to 100");
      else policy.stages.push_back(stage.get<int>());
    }
    if (policy.stages.empty() || policy.stages.back() != 100)
      fields.wrong("stages", "must be whole numbers that rise to 100");
  }
  EC_TRY(fields.status());
  return policy;
}

}  // namespace evercert::recovery
