// SPDX-License-Identifier: Apache-2.0
// ctl: what an operator asks of a running cluster. Any region will do; when one does not answer, the next is asked.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "base/os/system.h"
#include "commands.h"
#include "config/paths.h"
#include "ctl_client.h"
#include "pki/ocsp.h"
#include "pki/pem.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct Options : CtlOptions {
  std::string csr_file, profile = "server", replaces, serial, reason = "unspecified", cursor, out;
  int limit = 100;
};

// The mode of a node, when it is not normal, since when and why; how many operations wait there.
std::int64_t describe_mode(const json& entry, std::string& state, std::string& why) {
  const json mode = entry.value("mode", json::object()), queue = entry.value("queue", json::object());
  const std::string name = mode.value("name", "normal");
  if (name != "normal" && !name.empty()) {
    if (name == "reconciling") state = name;
    why = name + " since " + mode.value("since", "") + ": " + mode.value("why", "");
    if (name != "reconciling") why += "; signed answers go on and may be stale, writes are queued or refused";
  }
  const std::int64_t waiting = queue.value("waiting", 0);
  if (waiting > 0) why += "; the oldest that is queued came " + queue.value("oldest", "");
  if (queue.contains("out_of_order") && queue["out_of_order"].is_string())
    why += (why.empty() ? "" : "; ") + std::string("the queue is out of order: ") +
           queue["out_of_order"].get<std::string>();
  return waiting;
}

int status(const Options& options) {
  auto ctl = Ctl::open(options);
  if (!ctl) return report(ctl.error());
  json all = json::array();
  int down = 0;
  for (const auto& region : ctl->cluster().regions) {
    if (region.removed) continue;
    for (const auto& node : region.nodes) {
      auto response = ctl->call_target({node.address, node.status_port, false, ""}, "GET", "/v1/status", "");
      json entry{{"region", region.name}, {"node", node.id.value}, {"state", "up"}};
      if (!response || response->status != 200) {
        entry["state"] = "down";
        entry["why"] = response ? "answers " + std::to_string(response->status) : response.error().message;
        ++down;
      } else {
        const auto document = json::parse(response->body, nullptr, false);
        if (document.is_object()) entry.update(document);
      }
      all.push_back(std::move(entry));
    }
  }
  if (options.as_json) {
    std::cout << all.dump(2) << "\n";
  } else {
    std::printf("%-14s %6s %-11s %6s %12s %8s %6s  %s\n", "REGION", "NODE", "STATE", "EPOCH", "CERTIFICATES", "LAG P99",
                "QUEUED", "LEADS");
    for (const auto& entry : all) {
      std::string leads, state = entry.value("state", ""), why = entry.value("why", "");
      std::int64_t lag = 0;
      const std::string membership = entry.value("regions", json::object()).value(entry.value("region", ""), "");
      if (membership == "fenced" || membership == "draining" || membership == "removed") state = membership;
      if (entry.value("recovering", false)) state = "recovering";
      for (const auto& g : entry.value("groups", json::array())) {
        if (g.value("leads_here", false)) leads += g.value("group", "") + " ";
        lag = std::max<std::int64_t>(lag, g.value("lag_p99_ms", 0));
        if (!g.contains("quorum_lost_ms") || g["quorum_lost_ms"].is_null()) continue;
        state = "no quorum";
      }
      const std::int64_t queued = describe_mode(entry, state, why);
      std::printf("%-14s %6d %-11s %6lld %12lld %6lldms %6lld  %s%s\n", entry.value("region", "").c_str(),
                  entry.value("node", 0), state.c_str(), static_cast<long long>(entry.value("epoch", 0)),
                  static_cast<long long>(entry.value("certificates", 0)), static_cast<long long>(lag),
                  static_cast<long long>(queued), leads.c_str(), why.c_str());
    }
  }
  return down == 0 ? 0 : 1;
}

int issue(const Options& options) {
  auto ctl = Ctl::open(options);
  if (!ctl) return report(ctl.error());
  const auto csr = read_file(os::disk(), options.csr_file);
  if (!csr) return report(csr.error());
  json body{{"csr", *csr}, {"profile", options.profile}};
  if (!options.replaces.empty()) body["replaces"] = options.replaces;
  return show(options, ctl->call("POST", "/v1/certificates", body.dump()), [](const json& d) {
    if (told_queued(d)) return;
    std::cerr << "serial " << d.value("serial", "") << ", issued in " << d.value("region", "") << "\n";
    std::cout << d.value("certificate", "");
  });
}

int ocsp(const Options& options) {
  auto ctl = Ctl::open(options);
  if (!ctl) return report(ctl.error());
  const auto serial = from_hex(options.serial);
  if (!serial) return report(serial.error());
  const config::Paths paths(ctl->cluster().dir);
  for (const auto& region : ctl->cluster().regions) {
    if (region.witness) continue;
    const auto pem = read_file(os::disk(), paths.issuer(region.name));
    if (!pem) return report(pem.error());
    const auto issuer = pki::from_pem("CERTIFICATE", *pem).value_or(std::vector<std::string>{""}).front();
    const auto request = pki::make_ocsp_request(issuer, *serial);
    if (!request) return report(request.error());
    auto response = ctl->call("POST", "/ocsp", *request);
    if (!response) return report(response.error());
    const auto result = pki::read_ocsp_response(response->body, issuer, *serial);
    if (!result || result->status == pki::CertStatus::kUnknown) continue;  // another region's CA issued it
    std::printf("%s (issuer %s)\n", result->status == pki::CertStatus::kGood ? "good" : "revoked", region.name.c_str());
    return 0;
  }
  std::fprintf(stderr, "evercert: no issuer of this cluster knows the serial number\n");
  return 2;
}

int check_config(const std::string& file) {
  const auto document = config::load(file);
  if (!document) return report(document.error());
  std::cout << file << ": ok\n" << config::describe(*document);
  return 0;
}

}  // namespace

void register_ctl(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  auto* ctl = app.add_subcommand("ctl", "Ask a running cluster\nExample: evercert ctl --cluster cluster.yaml status");
  ctl->require_subcommand(1);
  ctl->add_option("--cluster", options->cluster_file, "Cluster file");
  ctl->add_option("--region", options->region, "Ask this region only");
  ctl->add_flag("--json", options->as_json, "Print JSON");
  ctl->add_subcommand("status", "State of all nodes")->callback([=, &exit_code] { exit_code = status(*options); });
  auto* issue_command = ctl->add_subcommand("issue", "Issue a certificate from a CSR");
  issue_command->add_option("csr", options->csr_file, "PEM file")->required();
  issue_command->add_option("--profile", options->profile, "server, client or both");
  issue_command->add_option("--replaces", options->replaces,
                            "Serial number of the certificate that it renews: goes before new ones where work waits");
  issue_command->callback([=, &exit_code] { exit_code = issue(*options); });
  auto* revoke = ctl->add_subcommand("revoke", "Revoke a certificate");
  revoke->add_option("serial", options->serial, "Serial number, hexadecimal")->required();
  revoke->add_option("--reason", options->reason, "RFC 5280 name, as keyCompromise");
  revoke->callback([=, &exit_code] {
    auto open = Ctl::open(*options);
    exit_code = !open ? report(open.error())
                      : show(*options,
                             open->call("POST", "/v1/certificates/" + options->serial + "/revoke",
                                        json{{"reason", options->reason}}.dump()),
                             [](const json& d) {
                               if (!told_queued(d)) std::cout << "revoked " << d.value("serial", "") << "\n";
                             });
  });
  auto* get = ctl->add_subcommand("get", "Show a certificate");
  get->add_option("serial", options->serial, "Serial number, hexadecimal")->required();
  get->callback([=, &exit_code] {
    auto open = Ctl::open(*options);
    exit_code = !open ? report(open.error())
                      : show(*options, open->call("GET", "/v1/certificates/" + options->serial), [](const json& d) {
                          std::cerr << d.value("status", "") << ", until " << d.value("not_after", "") << "\n";
                          std::cout << d.value("certificate", "");
                        });
  });
  auto* list = ctl->add_subcommand("list", "List certificates");
  list->add_option("--limit", options->limit, "At most so many")->check(CLI::Range(1, 1000));
  list->add_option("--cursor", options->cursor, "Where an earlier list ended");
  list->callback([=, &exit_code] {
    auto open = Ctl::open(*options);
    const std::string path = "/v1/certificates?limit=" + std::to_string(options->limit) +
                             (options->cursor.empty() ? "" : "&cursor=" + options->cursor);
    exit_code = !open ? report(open.error()) : show(*options, open->call("GET", path), [](const json& d) {
      for (const auto& c : d.value("certificates", json::array()))
        std::cout << c.value("serial", "") << "  " << c.value("status", "") << "  " << c.value("not_after", "") << "\n";
      if (d.contains("next_cursor") && d["next_cursor"].is_string())
        std::cerr << "more: --cursor " << d["next_cursor"].get<std::string>() << "\n";
    });
  });
  auto* ocsp_command = ctl->add_subcommand("ocsp", "Ask for the status by OCSP");
  ocsp_command->add_option("serial", options->serial, "Serial number, hexadecimal")->required();
  ocsp_command->callback([=, &exit_code] { exit_code = ocsp(*options); });
  auto* crl = ctl->add_subcommand("crl", "Fetch a region's CRL (DER)");
  crl->add_option("issuer", options->serial, "Region of the issuer")->required();
  crl->add_option("--out", options->out, "File to write")->required();
  crl->callback([=, &exit_code] {
    auto open = Ctl::open(*options);
    if (!open) {
      exit_code = report(open.error());
      return;
    }
    auto response = open->call("GET", "/crl/" + options->serial + ".crl");
    if (!response || response->status != 200) {
      exit_code = response ? complain(*response) : report(response.error());
      return;
    }
    std::ofstream file(options->out, std::ios::binary);
    file << response->body;
    if (!file) exit_code = report(Error{Code::kIo, options->out + ": cannot be written"});
  });
  register_ctl_space(*ctl, options, exit_code);
  register_ctl_region(*ctl, options, exit_code);
  register_ctl_health(*ctl, options, exit_code);
  register_ctl_capacity(*ctl, options, exit_code);
  register_ctl_failover(*ctl, options, exit_code);
  register_ctl_node(*ctl, options, exit_code);
  register_ctl_queue(*ctl, options, exit_code);
  auto* config_command = app.add_subcommand("config", "Look at configuration files");
  config_command->require_subcommand(1);
  auto* check = config_command->add_subcommand(
      "check", "Check a file and say what it means\nExample: evercert config check cluster.yaml");
  auto file = std::make_shared<std::string>();
  check->add_option("file", *file, "A whole configuration, or one document of the specification")->required();
  check->callback([=, &exit_code] { exit_code = check_config(*file); });
}

}  // namespace evercert::apps
