// SPDX-License-Identifier: Apache-2.0
#include "recovery/failover/record.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/rfc3339.h"
#include "recovery/failover/incident_times.h"
#include "recovery/failover/json_fields.h"

namespace evercert::recovery {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestState = 1 << 20, kLongestReason = 4000, kLongestWord = 200, kMostSteps = 64,
                      kMostIncidents = 300, kLongestEntry = 16 << 10, kLongestSignature = 1024;
constexpr std::int64_t kLatest = std::int64_t{1} << 50;

template <class E>
E named(Fields& fields, const char* name, E first, E last) {
  const std::string word = fields.text(name, kLongestWord);
  for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
    if (to_string(static_cast<E>(i)) == word) return static_cast<E>(i);
  }
  fields.wrong(name, "is not known");
  return first;
}

std::string dump(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

json step_json(const Step& step, const Times& times, const Cluster& cluster) {
  json out{{"kind", to_string(step.kind)}, {"what", describe(step, cluster)},
           {"region", step.region.value},  {"node", step.node.value},
           {"share", step.share},          {"state", to_string(step.state)},
           {"evidence", step.evidence},    {"epoch", step.epoch},
           {"attempts", step.attempts}};
  if (step.begun != Instant{}) out["begun_ms"] = times.to_ms(step.begun);
  if (step.ended != Instant{}) out["ended_ms"] = times.to_ms(step.ended);
  return out;
}

Instant time_of(Fields& fields, const char* name, const Times& times) {
  return fields.has(name) ? times.from_ms(fields.whole(name, 0, 0, kLatest)) : Instant{};
}

RegionId region_in(Fields& fields, const char* name) {
  return RegionId{static_cast<std::uint8_t>(fields.whole(name, 0, 0, 255))};
}

Result<Step> read_step(const json& in, const Times& times) {
  Fields fields(in, "a step");
  Step step;
  step.kind = named(fields, "kind", StepKind::kAddCapacity, StepKind::kReleaseCapacity);
  step.region = region_in(fields, "region");
  step.node = NodeId{static_cast<std::uint64_t>(fields.whole("node", 0, 0, 65535))};
  step.share = static_cast<int>(fields.whole("share", 0, 0, 100));
  step.state = named(fields, "state", StepState::kWaiting, StepState::kFailed);
  step.evidence = fields.text("evidence", kLongestReason);
  step.begun = time_of(fields, "begun_ms", times);
  step.ended = time_of(fields, "ended_ms", times);
  step.epoch = fields.count("epoch");
  step.attempts = static_cast<int>(fields.whole("attempts", 0, 0, 1'000'000));
  EC_TRY(fields.status());
  return step;
}

json incident_json(const Incident& incident, const Times& times, const Cluster& cluster) {
  json steps = json::array();
  for (const Step& step : incident.steps) steps.push_back(step_json(step, times, cluster));
  json out{{"id", incident.id},
           {"name", name_of(incident)},
           {"kind", to_string(incident.kind)},
           {"subject", incident.subject},
           {"region", incident.region.value},
           {"node", incident.node.value},
           {"phase", to_string(incident.phase)},
           {"plan", incident.plan},
           {"steps", std::move(steps)},
           {"evidence", incident.evidence},
           {"note", incident.note},
           {"outcome", incident.outcome},
           {"ordered_by", incident.ordered_by},
           {"approved_by", incident.approved_by},
           {"alive", incident.alive},
           {"undo", incident.undo},
           {"at_once", incident.at_once},
           {"ended_by", incident.ended_by},
           {"fell_back", incident.fell_back},
           {"opened_ms", times.to_ms(incident.opened)},
           {"changed_ms", times.to_ms(incident.changed)}};
  if (incident.began != Instant{}) out["began_ms"] = times.to_ms(incident.began);
  if (incident.relieved != Instant{}) out["relieved_ms"] = times.to_ms(incident.relieved);
  // For whoever reads it: they follow from the rest.
  const IncidentTimes took = times_of(incident);
  if (took.detected) out["detected_after_ms"] = to_ms(*took.detected);
  if (took.relieved) out["relieved_after_ms"] = to_ms(*took.relieved);
  if (took.over) out["over_after_ms"] = to_ms(*took.over);
  return out;
}

Result<Incident> read_incident(const json& in, const Times& times) {
  Fields fields(in, "an incident");
  Incident incident;
  incident.id = fields.count("id");
  incident.kind = named(fields, "kind", Kind::kRegion, Kind::kDatabase);
  incident.subject = fields.text("subject", kLongestWord);
  incident.region = region_in(fields, "region");
  incident.node = NodeId{static_cast<std::uint64_t>(fields.whole("node", 0, 0, 65535))};
  incident.phase = named(fields, "phase", Phase::kConfirmed, Phase::kClosed);
  incident.plan = static_cast<std::uint32_t>(fields.whole("plan", 1, 1, 1'000'000'000));
  for (const auto& step : fields.many("steps", true, kMostSteps)) {
    EC_ASSIGN(auto read, read_step(step, times));
    incident.steps.push_back(std::move(read));
  }
  incident.evidence = fields.text("evidence", kLongestReason);
  incident.note = fields.text("note", kLongestReason);
  incident.outcome = fields.text("outcome", kLongestReason);
  incident.ordered_by = fields.text("ordered_by", kLongestWord);
  incident.approved_by = fields.text("approved_by", kLongestWord);
  incident.alive = fields.flag("alive", false);
  incident.undo = fields.flag("undo", false);
  incident.at_once = fields.flag("at_once", false);
  incident.ended_by = fields.text("ended_by", kLongestReason);
  incident.fell_back = static_cast<std::uint32_t>(fields.whole("fell_back", 0, 0, 1'000'000));
  incident.opened = time_of(fields, "opened_ms", times);
  incident.changed = time_of(fields, "changed_ms", times);
  incident.began = time_of(fields, "began_ms", times);
  incident.relieved = time_of(fields, "relieved_ms", times);
  EC_TRY(fields.status());
  return incident;
}

// All that an entry says, in one order: what its hash is of.
std::string sealed_text(const LogEntry& entry) {
  return dump(json::array(
      {entry.number, entry.at_ms, entry.by, entry.token, entry.incident, entry.text, entry.evidence, entry.previous}));
}

json entry_json(const LogEntry& entry) {
  return {{"number", entry.number},
          {"at_ms", entry.at_ms},
          {"at", rfc3339(entry.at_ms)},
          {"by", entry.by},
          {"token", entry.token},
          {"incident", entry.incident},
          {"text", entry.text},
          {"evidence", entry.evidence},
          {"previous", entry.previous},
          {"hash", entry.hash},
          {"signer", entry.signature.signer},
          {"signature", entry.signature.value}};
}

Result<LogEntry> read_entry(const json& in) {
  Fields fields(in, "an entry of the failover log");
  LogEntry entry;
  entry.number = fields.count("number");
  entry.at_ms = fields.whole("at_ms", 0, 0, kLatest);
  entry.by = fields.text("by", kLongestWord);
  entry.token = fields.whole("token", 0, 0, std::numeric_limits<std::int64_t>::max());
  entry.incident = fields.text("incident", kLongestWord);
  entry.text = fields.text("text", kLongestReason);
  entry.evidence = fields.text("evidence", kLongestReason);
  entry.previous = fields.text("previous", 64);
  entry.hash = fields.text("hash", 64);
  entry.signature = {fields.text("signer", 64), fields.text("signature", kLongestSignature)};
  EC_TRY(fields.status());
  return entry;
}

constexpr std::string_view kVerbs[] = {"plan", "approve", "reject", "abort"};

}  // namespace

Instant Times::from_ms(std::int64_t ms) const {
  const std::int64_t ago = std::max<std::int64_t>(0, wall.ms - ms);
  return now - std::chrono::milliseconds(ago);
}

std::string to_json(const State& state, const Times& times, const Cluster& cluster) {
  json incidents = json::array(), changes = json::object(), words = json::object();
  for (const Incident& incident : state.incidents) incidents.push_back(incident_json(incident, times, cluster));
  for (const auto& [region, change] : state.changes) changes[std::to_string(region.value)] = times.to_ms(change.at);
  json node_changes = json::object();
  for (const auto& [node, change] : state.node_changes)
    node_changes[std::to_string(node.value)] = times.to_ms(change.at);
  for (const auto& [region, heard] : state.words)
    words[std::to_string(region.value)] = {{"epoch", heard.epoch}, {"at_ms", times.to_ms(heard.at)}};
  return dump({{"version", 1},
               {"words", std::move(words)},
               {"incidents", std::move(incidents)},
               {"next_incident", state.next_incident},
               {"logged", state.logged},
               {"log_hash", state.log_hash},
               {"log_from", state.log_from},
               {"changes_ms", std::move(changes)},
               {"node_changes_ms", std::move(node_changes)}});
}

Result<State> parse_state(std::string_view text, const Times& times) {
  if (text.size() > kLongestState) return fail(Code::kInvalid, "the failover state is too long");
  const json in = json::parse(text, nullptr, false);
  Fields fields(in, "the failover state");
  if (fields.whole("version", 0, 0, 1'000'000) != 1) fields.wrong("version", "is not 1");
  State state;
  for (const auto& incident : fields.many("incidents", true, kMostIncidents)) {
    EC_ASSIGN(auto read, read_incident(incident, times));
    state.incidents.push_back(std::move(read));
  }
  state.next_incident = std::max<std::uint64_t>(1, fields.count("next_incident"));
  state.logged = fields.count("logged");
  state.log_hash = fields.text("log_hash", 64);
  state.log_from = std::max<std::uint64_t>(1, fields.count("log_from"));
  const auto& changes = fields.many("changes_ms", false, 255);
  Fields moments(changes, "the failover state's 'changes_ms'");
  for (const auto& [key, value] : changes.items()) {
    const auto region = number_of(key, 255);
    if (region == 0) moments.wrong("it names no region");
    else state.changes[RegionId{static_cast<std::uint8_t>(region)}].at = time_of(moments, key.c_str(), times);
  }
  EC_TRY(moments.status());
  const auto& node_changes = fields.many("node_changes_ms", false, 2048);
  Fields node_moments(node_changes, "the failover state's 'node_changes_ms'");
  for (const auto& [key, value] : node_changes.items()) {
    const auto node = number_of(key, 65535);
    if (node == 0) node_moments.wrong("it names no node");
    else state.node_changes[NodeId{node}].at = time_of(node_moments, key.c_str(), times);
  }
  EC_TRY(node_moments.status());
  for (const auto& [key, value] : fields.many("words", false, 255).items()) {
    Fields word(value, "a word of the failover state");
    const auto region = number_of(key, 255);
    if (region == 0) word.wrong("it names no region");
    else
      state.words[RegionId{static_cast<std::uint8_t>(region)}] = {word.count("epoch"), time_of(word, "at_ms", times)};
    EC_TRY(word.status());
  }
  EC_TRY(fields.status());
  return state;
}

std::string log_key(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kLogPrefix) + std::string(digits.size() < 12 ? 12 - digits.size() : 0, '0') + digits;
}

void seal(LogEntry& entry, const std::string& previous) {
  entry.previous = previous;
  entry.hash = to_hex(sha256(sealed_text(entry)));
}

std::string to_json(const LogEntry& entry) { return dump(entry_json(entry)); }

std::string to_json(const LogAnchor& anchor) {
  return dump({{"last", entry_json(anchor.last)},
               {"by", anchor.by},
               {"at_ms", anchor.at_ms},
               {"signer", anchor.signature.signer},
               {"signature", anchor.signature.value}});
}

std::string signed_text(const LogEntry& entry) { return "evercert failover log, entry\n" + entry.hash; }

std::string signed_text(const LogAnchor& anchor) {
  return "evercert failover log, anchor\n" + dump(json::array({anchor.last.hash, anchor.by, anchor.at_ms}));
}

Result<LogAnchor> parse_anchor(std::string_view text) {
  if (text.size() > 2 * kLongestEntry) return fail(Code::kInvalid, "the anchor of the failover log is too long");
  const json in = json::parse(text, nullptr, false);
  Fields fields(in, "the anchor of the failover log");
  LogAnchor anchor;
  EC_ASSIGN(anchor.last, read_entry(fields.many("last", false, 64)));
  anchor.by = fields.text("by", kLongestWord);
  anchor.at_ms = fields.whole("at_ms", 0, 0, kLatest);
  anchor.signature = {fields.text("signer", 64), fields.text("signature", kLongestSignature)};
  EC_TRY(fields.status());
  return anchor;
}

Result<LogEntry> parse_entry(std::string_view text) {
  if (text.size() > kLongestEntry) return fail(Code::kInvalid, "an entry of the failover log is too long");
  return read_entry(json::parse(text, nullptr, false));
}

Status verify(const std::vector<LogEntry>& entries, const LogAnchor* anchor) {
  const LogEntry* before = nullptr;
  const auto corrupt = [](const LogEntry& entry, const std::string& how) {
    return fail(Code::kCorrupt, "entry " + std::to_string(entry.number) + " of the failover log " + how);
  };
  const auto as_it_was = [](const LogEntry& entry) { return to_hex(sha256(sealed_text(entry))) == entry.hash; };
  if (anchor != nullptr && !as_it_was(anchor->last)) return corrupt(anchor->last, "was changed, and is the anchor");
  for (const LogEntry& entry : entries) {
    if (anchor != nullptr && entry.number == anchor->last.number + 1) before = &anchor->last;
    if (before != nullptr && entry.number != before->number + 1)
      return corrupt(entry, "follows entry " + std::to_string(before->number) + ": others are missing");
    if (before != nullptr && entry.previous != before->hash)
      return corrupt(entry, "does not follow the one before as it is now: one of them was changed");
    if (entry.number == 1 && !entry.previous.empty()) return corrupt(entry, "is the first and names one before");
    if (!as_it_was(entry)) return corrupt(entry, "was changed");
    before = &entry;
  }
  return {};
}

std::string to_json(const Order& order) {
  return dump({{"verb", kVerbs[static_cast<std::size_t>(order.verb)]},
               {"region", order.region.value},
               {"incident", order.incident},
               {"plan", order.plan},
               {"at_once", order.at_once},
               {"by", order.by},
               {"reason", order.reason},
               {"at_ms", order.at_ms}});
}

Result<Order> parse_order(std::string_view text) {
  if (text.size() > kLongestEntry) return fail(Code::kInvalid, "an order is too long");
  const json in = json::parse(text, nullptr, false);
  Fields fields(in, "an order");
  Order order;
  const std::string verb = fields.text("verb", kLongestWord);
  const auto known = std::ranges::find(kVerbs, verb);
  if (known == std::end(kVerbs)) fields.wrong("verb", "is not known");
  else order.verb = static_cast<Order::Verb>(known - std::begin(kVerbs));
  order.region = region_in(fields, "region");
  order.incident = fields.count("incident");
  order.plan = static_cast<std::uint32_t>(fields.whole("plan", 0, 0, 1'000'000'000));
  order.at_once = fields.flag("at_once", false);
  order.by = fields.text("by", kLongestWord);
  order.reason = fields.text("reason", kLongestReason);
  order.at_ms = fields.whole("at_ms", 0, 0, kLatest);
  EC_TRY(fields.status());
  return order;
}

}  // namespace evercert::recovery
