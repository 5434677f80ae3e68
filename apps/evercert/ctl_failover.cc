// SPDX-License-Identifier: Apache-2.0
// The failover controller, by ctl: failover status, plan, approve, reject, abort, log, policy.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <vector>

#include "api/failover/log_check.h"
#include "base/rfc3339.h"
#include "commands.h"
#include "config/paths.h"
#include "ctl_client.h"
#include "node/failover_of.h"
#include "pki/pem.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct FailoverOptions {
  std::shared_ptr<const CtlOptions> ctl;
  std::string region, incident, reason, file;
  bool dry_run = false, at_once = false, all = false;
  int limit = 50;
};

std::string when(const json& document, const char* name) {
  return document.contains(name) && document[name].is_number() ? rfc3339(document[name].get<std::int64_t>()) : "";
}

void print_step(const json& step) {
  const std::string state = step.value("state", "");
  const char* mark = state == "done"      ? "x"
                     : state == "skipped" ? "-"
                     : state == "failed"  ? "!"
                     : state == "running" ? ">"
                                          : " ";
  std::printf("    [%s] %-52s %s\n", mark, step.value("what", "").c_str(), step.value("evidence", "").c_str());
}

// What a person may do about it now.
void print_next(const json& incident) {
  const std::string phase = incident.value("phase", ""), name = incident.value("name", "");
  const std::string call = "evercert ctl failover ";
  if (phase == "awaits approval") {
    std::printf("    next: %sapprove %s.%d | %sreject %s\n", call.c_str(), name.c_str(), incident.value("plan", 0),
                call.c_str(), name.c_str());
  } else if (phase == "executing" || phase == "stabilised") {
    std::printf("    next: %sabort %s gives back what was taken, in stages (--at-once: without)\n", call.c_str(),
                name.c_str());
  }
}

std::string seconds(const json& incident, const char* name) {
  if (!incident.contains(name) || !incident[name].is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", incident[name].get<double>() / 1000);
  return text;
}

// From the beginning, by the evidence, on.
void print_times(const json& incident) {
  if (when(incident, "began_ms").empty()) return;
  std::string line = "    began " + when(incident, "began_ms");
  for (const auto& [name, what] :
       {std::pair{"detected_after_ms", "detected"}, {"relieved_after_ms", "traffic away"}, {"over_after_ms", "over"}}) {
    if (const std::string took = seconds(incident, name); !took.empty())
      line += std::string(", ") + what + " after " + took;
  }
  std::printf("%s\n", line.c_str());
}

void print_incident(const json& incident) {
  std::printf("%-6s %-9s %-28s %-16s since %s\n", incident.value("name", "").c_str(),
              incident.value("kind", "").c_str(), incident.value("subject", "").c_str(),
              incident.value("phase", "").c_str(), when(incident, "changed_ms").c_str());
  print_times(incident);
  if (incident.value("phase", "") == "closed") {
    std::printf("    %s\n", incident.value("outcome", "").c_str());
    return;
  }
  std::printf("    seen: %s\n", incident.value("evidence", "").c_str());
  for (const auto& step : incident.value("steps", json::array())) print_step(step);
  if (const std::string note = incident.value("note", ""); !note.empty()) std::printf("    waits: %s\n", note.c_str());
  print_next(incident);
}

// Groups without a majority, in words; empty: all have one.
std::string without_majority(const json& d) {
  std::string groups;
  std::int64_t longest = 0;
  for (const auto& group : d.value("without_majority", json::array())) {
    groups += (groups.empty() ? "" : ", ") + group.value("group", "");
    longest = std::max(longest, group.value("for_ms", std::int64_t{0}));
  }
  return groups.empty() ? "" : groups + ", for " + std::to_string(longest / 1000) + " s";
}

void print_status(const json& d) {
  const std::string lost = without_majority(d);
  const json controller = d.value("controller", json());
  if (controller.is_object()) {
    std::printf("controller %s, token %lld, %lld entries in the log\n", controller.value("node", "").c_str(),
                static_cast<long long>(controller.value("token", 0)), static_cast<long long>(d.value("logged", 0)));
  } else if (!lost.empty()) {
    std::printf(
        "no controller: the store reaches no majority (%s). Nothing can be decided or written until it does, and "
        "what follows is as it was known last. Traffic goes on by health checks alone; see 'evercert ctl "
        "status'\n",
        lost.c_str());
  } else {
    std::printf("no controller: none is elected. Traffic goes on by health checks alone; see 'evercert ctl status'\n");
  }
  const json asked = d.value("asked", json::object());
  if (const std::string refusal = asked.value("refusal", ""); asked.value("leads", false) && !refusal.empty())
    std::printf("it decides nothing at present: %s\n", refusal.c_str());
  if (const std::string trouble = d.value("trouble", ""); !trouble.empty()) std::printf("%s\n", trouble.c_str());
  std::printf("\n%-20s %7s\n", "REGION", "TRAFFIC");
  // Regions, and the nodes that have less than their usual part of their region's.
  for (const char* of : {"shares", "nodes"}) {
    const json shares = d.value(of, json::object());
    for (const auto& [name, share] : shares.items()) {
      const int percent = share.is_number() ? share.get<int>() : 100;
      std::printf("%-20s %5d %% %s\n", name.c_str(), percent,
                  std::string(static_cast<std::size_t>(percent / 5), '#').c_str());
    }
  }
  const json incidents = d.value("incidents", json::array());
  std::printf("\n");
  bool any = false;
  for (const auto& incident : incidents) {
    if (incident.value("phase", "") == "closed") continue;
    any = true;
    print_incident(incident);
  }
  if (!any && lost.empty()) std::printf("nothing is wrong ('evercert ctl failover log' has what was)\n");
}

// The last closed ones as well, the newest first.
void print_incidents(const json& d) {
  const json incidents = d.value("incidents", json::array());
  for (std::size_t i = incidents.size(); i > 0; --i) print_incident(incidents[i - 1]);
  if (incidents.empty()) std::printf("there has been none\n");
}

int incidents(const FailoverOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  return show(*options.ctl, ctl->call("GET", "/v1/failover"), print_incidents);
}

// 0: nothing is wrong; 1: an incident is open, the store reaches no majority, or nobody answers.
int status(const FailoverOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  auto response = ctl->call("GET", "/v1/failover");
  const auto document = response ? json::parse(response->body, nullptr, false) : json();
  bool open = false;
  if (document.is_object()) {
    for (const auto& incident : document.value("incidents", json::array()))
      open |= incident.value("phase", "") != "closed";
    open |= !without_majority(document).empty();
  }
  const int shown = show(*options.ctl, std::move(response), print_status);
  return shown != 0 ? shown : open ? 1 : 0;
}

void print_rehearsal(const json& d) {
  std::printf("to relieve %s, if it were done now (nothing is done):\n", d.value("region", "").c_str());
  if (d.contains("forbidden") && d["forbidden"].is_string())
    std::printf("  it would be refused: %s\n", d["forbidden"].get<std::string>().c_str());
  int number = 0;
  for (const auto& step : d.value("steps", json::array()))
    std::printf("  %2d. %-52s %s\n", ++number, step.value("what", "").c_str(), step.value("would", "").c_str());
  std::printf("next: evercert ctl failover plan %s --reason TEXT does it\n", d.value("region", "").c_str());
}

void told_ordered(const json&) { std::printf("ordered; 'evercert ctl failover status' shows what becomes of it\n"); }

int plan(const FailoverOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  if (ctl->cluster().region(options.region) == nullptr)
    return report(Error{Code::kInvalid, options.ctl->cluster_file + ": there is no region '" + options.region + "'"});
  json body{{"region", options.region}};
  if (!options.reason.empty()) body["reason"] = options.reason;
  if (options.dry_run) body["dry_run"] = true;
  return show(*options.ctl, ctl->call("POST", "/v1/failover/plans", body.dump()),
              options.dry_run ? print_rehearsal : told_ordered);
}

int order(const FailoverOptions& options, const std::string& verb) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  json said = json::object();
  if (!options.reason.empty()) said["reason"] = options.reason;
  if (options.at_once) said["at_once"] = true;
  const std::string body = said.empty() ? "" : said.dump();
  return show(*options.ctl, ctl->call("POST", "/v1/failover/incidents/" + options.incident + "/" + verb, body),
              told_ordered);
}

void print_entries(const std::vector<recovery::LogEntry>& entries) {
  for (const auto& entry : entries) {
    std::printf("%5llu %s %-14s %-6s %s\n", static_cast<unsigned long long>(entry.number), rfc3339(entry.at_ms).c_str(),
                entry.by.c_str(), entry.incident.c_str(), entry.text.c_str());
    if (!entry.evidence.empty()) std::printf("      %s\n", entry.evidence.c_str());
  }
}

// One page of the log as a node gives it, checked here: by the root certificate that lies beside the cluster file.
struct LogPage {
  std::vector<recovery::LogEntry> entries;
  std::optional<recovery::LogAnchor> anchor;
  std::map<std::string, std::string> signers;
};
Result<LogPage> read_page(const json& document) {
  LogPage page;
  for (const auto& entry : document.value("entries", json::array())) {
    EC_ASSIGN(auto read, recovery::parse_entry(entry.dump()));
    page.entries.push_back(std::move(read));
  }
  if (const auto anchor = document.find("anchor"); anchor != document.end() && anchor->is_object()) {
    EC_ASSIGN(page.anchor, recovery::parse_anchor(anchor->dump()));
  }
  const json signers = document.value("signers", json::object());
  for (const auto& [fingerprint, pem] : signers.items())
    page.signers[fingerprint] = pem.is_string() ? pem.get<std::string>() : "";
  return page;
}

Result<LogPage> fetch_page(Ctl& ctl, const std::string& query) {
  EC_ASSIGN(const auto response, ctl.call("GET", "/v1/failover/log?" + query));
  const auto document = json::parse(response.bytes(), nullptr, false);
  if (response.status != 200 || !document.is_object())
    return fail(Code::kUnavailable, "the log could not be read: status " + std::to_string(response.status) + " " +
                                        response.bytes().substr(0, 300));
  return read_page(document);
}

// All of it, from the first entry that is kept.
Result<LogPage> fetch_all(Ctl& ctl) {
  LogPage all;
  for (std::uint64_t from = 1;;) {
    EC_ASSIGN(auto page, fetch_page(ctl, "limit=1000&from=" + std::to_string(from)));
    all.anchor = std::move(page.anchor);
    all.signers.merge(page.signers);
    if (page.entries.empty()) return all;
    from = page.entries.back().number + 1;
    std::ranges::move(page.entries, std::back_inserter(all.entries));
  }
}

// 1: the log is not as it was written.
int log(const FailoverOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  const config::Paths paths(ctl->cluster().dir);
  const auto root = read_file(os::disk(), paths.root_certificate());
  if (!root) return report(root.error());
  const auto roots = pki::from_pem("CERTIFICATE", *root);
  if (!roots) return report(roots.error());
  auto page = options.all ? fetch_all(*ctl) : fetch_page(*ctl, "limit=" + std::to_string(options.limit));
  if (!page) return report(page.error());
  Status whole =
      api::check_log(page->entries, page->anchor, page->signers, node::log_trust(ctl->cluster(), roots->front()));
  const std::uint64_t removed = page->anchor ? page->anchor->last.number : 0;
  if (whole && options.all && !page->entries.empty() && page->entries.front().number > removed + 1)
    whole = fail(Code::kCorrupt, "entries before " + std::to_string(page->entries.front().number) +
                                     " of the failover log are missing, and the policy has not removed them");
  if (options.ctl->as_json) {
    json list = json::array();
    for (const auto& entry : page->entries) list.push_back(json::parse(recovery::to_json(entry)));
    const json out{{"entries", std::move(list)},
                   {"removed", removed},
                   {"whole", whole.has_value()},
                   {"trouble", whole ? json() : json(whole.error().message)}};
    std::cout << out.dump(2) << "\n";
  } else {
    if (page->anchor)
      std::printf("entries up to %llu were removed as the policy says, by %s at %s\n",
                  static_cast<unsigned long long>(page->anchor->last.number), page->anchor->by.c_str(),
                  rfc3339(page->anchor->at_ms).c_str());
    print_entries(page->entries);
  }
  if (whole) return 0;
  std::fprintf(stderr, "evercert: %s\n", whole.error().message.c_str());
  return 1;
}

int policy(const FailoverOptions& options) {
  auto ctl = Ctl::open(*options.ctl);
  if (!ctl) return report(ctl.error());
  const auto print = [](const json& d) { std::cout << d.dump(2) << "\n"; };
  if (options.file.empty()) return show(*options.ctl, ctl->call("GET", "/v1/failover/policy"), print);
  const auto text = read_file(os::disk(), options.file);
  if (!text) return report(text.error());
  if (json::parse(*text, nullptr, false).is_discarded())
    return report(
        Error{Code::kInvalid, options.file + ": it is no JSON: begin with what 'evercert ctl failover policy' prints"});
  return show(*options.ctl, ctl->call("PUT", "/v1/failover/policy", *text), print);
}

}  // namespace

void register_ctl_failover(CLI::App& ctl, std::shared_ptr<const CtlOptions> ctl_options, int& exit_code) {
  auto options = std::make_shared<FailoverOptions>();
  options->ctl = std::move(ctl_options);
  auto* failover = ctl.add_subcommand(
      "failover",
      "What the failover controller does, and orders to it (docs/failover.md)\nExample: evercert ctl failover status");
  failover->require_subcommand(1);
  failover
      ->add_subcommand(
          "status",
          "The controller, each region's share of its traffic, open incidents with their plans, and what to "
          "do next. Exit code 1: an incident is open")
      ->callback([=, &exit_code] { exit_code = status(*options); });
  failover
      ->add_subcommand("incidents",
                       "Open incidents and the last closed ones: when each began, and how long it took until it was "
                       "detected, its traffic was led away, and it was over")
      ->callback([=, &exit_code] { exit_code = incidents(*options); });
  auto* plan_command = failover->add_subcommand("plan", "Relieve a region: lead its traffic elsewhere, drain it");
  plan_command->add_option("region", options->region, "Name of the region")->required();
  plan_command->add_option("--reason", options->reason, "Why, for whoever looks later");
  plan_command->add_flag("--dry-run", options->dry_run, "Say what would be done, and do nothing");
  plan_command->callback([=, &exit_code] { exit_code = plan(*options); });
  const auto add = [&](const char* verb, const char* what) {
    auto* command = failover->add_subcommand(verb, what);
    command->add_option("incident", options->incident, "As F-3; F-3.2 means its plan 2 and no other")->required();
    command->add_option("--reason", options->reason, "Why, for whoever looks later");
    command->callback([=, &exit_code] { exit_code = order(*options, verb); });
    return command;
  };
  add("approve", "Let a plan begin, or go on after a step that failed");
  add("reject", "Nothing is done about it until it is well");
  add("abort", "Give back what was taken, in stages, whatever is seen")
      ->add_flag("--at-once", options->at_once, "All of its traffic, without stages and without a pause");
  auto* log_command = failover->add_subcommand(
      "log",
      "Every decision and step with its evidence, oldest first; the chain of hashes and each node's signature are "
      "checked. Exit code 1: it is not as it was written");
  log_command->add_option("--limit", options->limit, "The last so many")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  log_command->add_flag("--all", options->all, "All that is kept, however much it is");
  log_command->callback([=, &exit_code] { exit_code = log(*options); });
  auto* policy_command = failover->add_subcommand("policy", "What is done without a person, and the times");
  policy_command->callback([=, &exit_code] { exit_code = policy(*options); });
  auto* set = policy_command->add_subcommand("set", "Another one, from a file (JSON, as 'policy' prints it)");
  set->add_option("file", options->file, "File")->required();
}

}  // namespace evercert::apps
