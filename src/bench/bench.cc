// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/encoding.h"
#include "bench/peers.h"
#include "bench/tools.h"
#include "demo/load.h"
#include "keys/software_signer.h"
#include "node/signers.h"
#include "pki/ocsp.h"
#include "pki/pem.h"

namespace evercert::bench {
namespace {

using demo::LocalCluster;
using nlohmann::json;

Instant now() { return os::monotonic_clock().now(); }
double seconds_since(Instant begun) { return static_cast<double>((now() - begun).count()) / 1e6; }

class Bench {
 public:
  Bench(const BenchOptions& options, const std::function<bool()>& interrupted)
      : options_(options), interrupted_(interrupted) {}

  static const std::vector<std::pair<std::string, Status (Bench::*)()>>& all() {
    static const std::vector<std::pair<std::string, Status (Bench::*)()>> known{{"sign-limit", &Bench::sign_limit},
                                                                                {"commit-limit", &Bench::commit_limit},
                                                                                {"start", &Bench::start},
                                                                                {"issue", &Bench::issue},
                                                                                {"acme", &Bench::acme},
                                                                                {"ocsp", &Bench::ocsp},
                                                                                {"region-kill", &Bench::region_kill},
                                                                                {"memory", &Bench::memory}};
    return known;
  }

  Result<int> run() {
    EC_TRY(check_names());
    dir_ = options_.dir;
    char temporary[] = "/tmp/evercert-bench-XXXXXX";
    if (dir_.empty()) {
      if (mkdtemp(temporary) == nullptr) return fail(Code::kIo, "no temporary folder can be made");
      dir_ = temporary;
    }
    dir_ = std::filesystem::absolute(dir_).lexically_normal().string();
    Status status;
    for (const auto& [name, measure] : all()) {
      if (!wanted(name)) continue;
      std::printf("%s\n", name.c_str());
      std::fflush(stdout);
      status = apart(name, measure);
      if (!status || interrupted_()) break;
    }
    std::error_code ignored;
    if (options_.dir.empty()) std::filesystem::remove_all(dir_, ignored);
    // What was measured is kept, also when a later benchmark failed.
    if (!options_.json_file.empty()) {
      std::ofstream file(options_.json_file);
      file << results_.dump(2) << "\n";
      if (!file) return fail(Code::kIo, options_.json_file + ": cannot be written");
    }
    EC_TRY(status);
    return interrupted_() ? 1 : 0;
  }

 private:
  // In a process of its own: the token library is set up once in the life of a process, each cluster has its own.
  Status apart(const std::string& name, Status (Bench::*measure)()) {
    const std::string file = dir_ + "/" + name + ".json";
    EC_TRY(os::disk().make_dirs(dir_));
    const pid_t child = fork();
    if (child < 0) return fail(Code::kIo, "no process can be started");
    if (child == 0) {
      const Status status = (this->*measure)();
      cluster_.reset();
      if (!status) std::fprintf(stderr, "evercert: %s: %s\n", name.c_str(), status.error().message.c_str());
      std::ofstream(file) << results_.dump();
      std::fflush(nullptr);
      _exit(status ? 0 : 1);
    }
    int ended = 0;
    while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0) return fail(Code::kUnavailable, name + " could not be measured");
    EC_ASSIGN(const auto text, read_file(os::disk(), file));
    const auto measured = json::parse(text, nullptr, false);
    if (measured.is_object()) results_.update(measured);
    return {};
  }

  bool wanted(const std::string& name) const {
    return options_.names.empty() ||
           std::find(options_.names.begin(), options_.names.end(), name) != options_.names.end();
  }

  Status check_names() const {
    std::string known;
    for (const auto& [name, measure] : all()) known += (known.empty() ? "" : ", ") + name;
    for (const auto& name : options_.names) {
      if (std::none_of(all().begin(), all().end(), [&](const auto& one) { return one.first == name; }))
        return fail(Code::kInvalid, "there is no benchmark '" + name + "'; there are " + known);
    }
    return {};
  }

  void line(const std::string& what, const Rate& rate) {
    std::printf("  %-44s %9.0f a second   p50 %7.2f ms   p99 %7.2f ms   failed %llu\n", what.c_str(), rate.per_second,
                rate.p50_ms, rate.p99_ms, static_cast<unsigned long long>(rate.failed));
    std::fflush(stdout);
  }
  void line(const std::string& what, double value, const char* unit) {
    std::printf("  %-44s %9.2f %s\n", what.c_str(), value, unit);
    std::fflush(stdout);
  }
  void ratio(json& out, const std::string& name, double ours, double theirs) {
    if (theirs <= 0) {
      std::printf("  %-44s nothing to compare with\n", name.c_str());
      return;
    }
    out[name] = ours / theirs;
    line(name, out[name].get<double>(), "times");
  }

  // Three regions, every server process on the server core, timing of loopback.
  Status start_cluster(const std::string& name, bool hsm) {
    demo::LocalClusterOptions local;
    local.dir = dir_ + "/" + name;
    local.wan = false;
    local.hsm = hsm;
    local.progress = [](const std::string&) {};
    local.interrupted = interrupted_;
    EC_ASSIGN(cluster_, LocalCluster::create(std::move(local)));
    const OnCore server(kServerCore);
    return cluster_->start();
  }

  HttpLoad issue_load(int connections) const {
    const auto& edge = cluster_->config().regions.front().edges.front();
    return {"https://" + edge.address + ":" + std::to_string(edge.https_port) + "/v1/certificates",
            connections,
            options_.seconds,
            cluster_->dir() + "/bodies",
            cluster_->token(),
            201};
  }

  // ------------------------------------------------------------------------------------------------------ the limits

  Status sign_limit() {
    EC_TRY(start_cluster("sign", true));
    const auto rate = [&](const pki::Signer& signer) -> Result<double> {
      const OnCore here(kServerCore);
      const std::string data(600, 'x');
      const Instant begun = now();
      int n = 0;
      for (; seconds_since(begun) < options_.seconds / 3.0; ++n) EC_TRY(signer.sign(data));
      return n / seconds_since(begun);
    };
    EC_ASSIGN(const auto pem, keys::generate_key_pem(pki::KeyKind::kP256));
    EC_ASSIGN(const auto software, keys::software_signer(pem));
    EC_ASSIGN(const double in_file, rate(*software));
    const auto& config = cluster_->config();
    EC_ASSIGN(const auto token, node::open_signer(config.regions.front(), config::Paths(config.dir), "issuing"));
    EC_ASSIGN(const double in_token, rate(*token));
    line("P-256 signatures, key in a file, one core", in_file, "a second");
    line("P-256 signatures, SoftHSM2, one core", in_token, "a second");
    results_["sign-limit"] = {{"file_per_second", in_file}, {"softhsm_per_second", in_token}};
    return {};
  }

  Status commit_limit() {
    EC_TRY(os::disk().make_dirs(dir_));
    EC_ASSIGN(const auto file, os::disk().open_append(dir_ + "/commits"));
    const std::string record(1024, 'x');
    std::vector<double> times;
    const Instant begun = now();
    while (seconds_since(begun) < options_.seconds / 2.0) {
      const Instant one = now();
      EC_TRY(file->append(record));
      EC_TRY(file->sync());
      times.push_back(seconds_since(one) * 1000);
    }
    const Rate rate{static_cast<double>(times.size()) / seconds_since(begun), demo::quantile_ms(times, 0.5),
                    demo::quantile_ms(times, 0.99), times.size(), 0};
    line("1 KiB appended and synced, one after another", rate);
    results_["commit-limit"] = to_json(rate);
    return {};
  }

  Status start() {
    EC_TRY(start_cluster("start", true));
    line("processes started to ready, all on one core", cluster_->start_ms(), "ms");
    results_["start"] = {{"ready_ms", cluster_->start_ms()}};
    return {};
  }

  // ------------------------------------------------------------------------------------------------------ the service

  Status issue() {
    json out;
    double best = 0;
    for (const bool hsm : {false, true}) {
      EC_TRY(start_cluster(hsm ? "issue-hsm" : "issue", hsm));
      EC_TRY(write_bodies(cluster_->dir() + "/bodies", false));
      for (const int connections : {16, 32, 64, 128}) {
        EC_ASSIGN(const Rate rate, run_wrk(issue_load(connections), dir_));
        const std::string name = std::string(hsm ? "evercert_softhsm_" : "evercert_") + std::to_string(connections);
        line(std::string("Evercert, 3 regions durable, ") + (hsm ? "SoftHSM2, " : "key files, ") +
                 std::to_string(connections) + " at once",
             rate);
        out[name] = to_json(rate);
        if (!hsm) best = std::max(best, rate.per_second);
      }
      cluster_.reset();
    }
    {
      EC_ASSIGN(auto step, start_step_ca(options_.peers, dir_ + "/step-ca", 5 * options_.seconds));
      if (step) EC_TRY(beside(out, *step, "step_ca", "step-ca, 1 node", 201, best));
    }
    {
      EC_ASSIGN(auto cfssl, start_cfssl(options_.peers, dir_ + "/cfssl"));
      if (cfssl) EC_TRY(beside(out, *cfssl, "cfssl", "cfssl, stores nothing, plain HTTP", 200, best));
    }
    if (!out.contains("evercert_to_step_ca") || !out.contains("evercert_to_cfssl")) note_missing_peers();
    results_["issue"] = out;
    return {};
  }

  Status beside(json& out, const Peer& peer, const std::string& name, const std::string& words, int expected,
                double ours) {
    double theirs = 0;
    for (const int connections : {16, 32, 64, 128}) {
      EC_ASSIGN(const Rate rate,
                run_wrk({peer.sign_url, connections, options_.seconds, peer.bodies, "", expected}, dir_));
      line(words + ", " + std::to_string(connections) + " at once", rate);
      out[name + "_" + std::to_string(connections)] = to_json(rate);
      if (rate.failed > rate.requests / 100)
        return fail(Code::kUnavailable, words + " fails too often to be compared with");
      theirs = std::max(theirs, rate.per_second);
      // A token is taken once: the next run gets the rest.
      if (peer.bodies_used_up) EC_TRY(drop_lines(peer.bodies, rate.requests + 64));
    }
    ratio(out, "evercert_to_" + name, ours, theirs);
    return {};
  }

  static Status drop_lines(const std::string& path, std::uint64_t count) {
    std::ifstream in(path);
    std::ofstream out(path + ".rest");
    std::string text;
    for (std::uint64_t n = 0; std::getline(in, text); ++n) {
      if (n >= count) out << text << "\n";
    }
    out.close();
    return os::disk().rename(path + ".rest", path);
  }

  void note_missing_peers() {
    std::printf("  (no peers in '%s': bench/build_peers.sh builds them)\n", options_.peers.c_str());
  }

  Result<Rate> run_acmeload(const std::string& tool, const std::string& directory, int orders, const char* domain) {
    const OnCore client(kClientCore);
    EC_ASSIGN(const auto text, run_tool({tool, "-directory", directory, "-c", std::to_string(orders), "-d",
                                         std::to_string(options_.seconds) + "s", "-domain", domain},
                                        dir_ + "/acmeload.log", (options_.seconds + 60) * 1s));
    const auto document = json::parse(text, nullptr, false);
    if (!document.is_object()) return fail(Code::kInternal, "acmeload gave no result: " + text.substr(0, 300));
    if (document.value("failed", 0) > 0)
      std::printf("  first failure: %s\n", document.value("first_failure", "").c_str());
    return Rate{document.value("per_second", 0.0), document.value("p50_ms", 0.0), document.value("p99_ms", 0.0),
                document.value("requests", std::uint64_t{0}), document.value("failed", std::uint64_t{0})};
  }

  Status acme() {
    const std::string tool = find_program("acmeload", options_.peers);
    if (tool.empty()) {
      note_missing_peers();
      return {};
    }
    json out;
    EC_TRY(start_cluster("acme", false));
    double ours = 0, theirs = 0;
    const auto& edge = cluster_->config().regions.front().edges.front();
    const std::string directory = "https://" + edge.address + ":" + std::to_string(edge.https_port) + "/acme/directory";
    for (const int orders : {1, 16, 32, 64}) {
      EC_ASSIGN(const Rate rate, run_acmeload(tool, directory, orders, "load.test"));
      line("Evercert, full orders, 3 regions, " + std::to_string(orders) + " at once", rate);
      out["evercert_" + std::to_string(orders)] = to_json(rate);
      ours = std::max(ours, rate.per_second);
    }
    // The cluster's resolver answers for both; its servers must not take the core from the peer.
    for (std::size_t r = 0; r < cluster_->config().regions.size(); ++r) cluster_->kill_region(r);
    EC_ASSIGN(auto step, start_step_ca(options_.peers, dir_ + "/step-ca-acme", 1));
    for (const int orders : {1, 16, 32, 64}) {
      if (!step) break;
      EC_ASSIGN(const Rate rate, run_acmeload(tool, step->acme_directory, orders, "load.test"));
      line("step-ca, full orders, 1 node, " + std::to_string(orders) + " at once", rate);
      out["step_ca_" + std::to_string(orders)] = to_json(rate);
      theirs = std::max(theirs, rate.per_second);
    }
    if (step) ratio(out, "evercert_to_step_ca", ours, theirs);
    results_["acme"] = out;
    return {};
  }

  Result<std::string> issue_one() {
    EC_TRY(write_bodies(cluster_->dir() + "/bodies", false));
    auto load = issue_load(1);
    load.seconds = 1;
    EC_TRY(run_wrk(load, dir_));
    EC_ASSIGN(const auto listed, cluster_->client().ask_edge(0, "/v1/certificates?limit=1"));
    const auto document = json::parse(listed.body, nullptr, false);
    if (!document.is_object() || document.value("certificates", json::array()).empty())
      return fail(Code::kInternal, "no certificate to ask about: " + listed.body.substr(0, 200));
    EC_ASSIGN(auto serial, from_hex(document["certificates"][0].value("serial", "")));
    return serial;
  }

  Status ocsp() {
    json out;
    EC_TRY(start_cluster("ocsp", false));
    const auto& config = cluster_->config();
    const auto& region = config.regions.front();
    EC_ASSIGN(const auto serial, issue_one());
    EC_ASSIGN(const auto pem, read_file(os::disk(), config::Paths(config.dir).issuer(region.name)));
    EC_ASSIGN(const auto ders, pki::from_pem("CERTIFICATE", pem));
    EC_ASSIGN(const auto request, pki::make_ocsp_request(ders.front(), serial));
    std::string path = "/ocsp/";
    for (const char c : to_base64(request))
      path += c == '+' ? "%2B" : c == '/' ? "%2F" : c == '=' ? "%3D" : std::string(1, c);
    EC_ASSIGN(const auto response, cluster_->client().ask_node(0, 0, path));
    EC_TRY(pki::read_ocsp_response(response.body, ders.front(), serial));
    const auto& node = region.nodes.front();
    const auto& edge = region.edges.front();
    const std::pair<const char*, std::string> places[] = {
        {"node", "http://" + node.address + ":" + std::to_string(node.status_port)},
        {"edge", "http://" + edge.address + ":" + std::to_string(edge.http_port)}};
    double at_node = 0, at_edge = 0;
    for (const auto& [place, base] : places) {
      EC_ASSIGN(const Rate rate, run_wrk({base + path, 64, options_.seconds, "", "", 200}, dir_));
      line(std::string("Evercert, GET at the ") + place + ", 64 at once", rate);
      out[std::string("evercert_") + place] = to_json(rate);
      (std::string_view(place) == "node" ? at_node : at_edge) = rate.per_second;
    }
    for (std::size_t r = 0; r < config.regions.size(); ++r) cluster_->kill_region(r);
    EC_ASSIGN(auto nginx, start_nginx(dir_ + "/nginx", response.body));
    if (nginx) {
      EC_ASSIGN(const Rate rate, run_wrk({"http://127.0.0.1:9080/body", 64, options_.seconds, "", "", 200}, dir_));
      line("nginx, the same " + std::to_string(response.body.size()) + " bytes, 64 at once", rate);
      out["nginx"] = to_json(rate);
      ratio(out, "node_to_nginx", at_node, rate.per_second);
      ratio(out, "edge_to_nginx", at_edge, rate.per_second);
    }
    results_["ocsp"] = out;
    return {};
  }

  // 50 issuances a second through the edges of two regions, by clients that do not try again; the third is killed.
  Status region_kill() {
    EC_TRY(start_cluster("kill", false));
    demo::History history;
    EC_ASSIGN(auto load, demo::Load::create(cluster_->config(), {25, 20, 0, 0, false}, history));
    load->start();
    sleep(static_cast<unsigned>(options_.seconds));
    const Instant killed = now();
    cluster_->kill_region(0);
    sleep(static_cast<unsigned>(std::max(6, options_.seconds)));
    load->stop();
    std::vector<Instant> writes;
    std::uint64_t failed = 0, total = 0;
    for (const auto& operation : history.operations()) {
      ++total;
      failed += operation.ok ? 0 : 1;
      if (operation.ok && operation.kind == demo::Kind::kIssue) writes.push_back(operation.ended);
    }
    std::sort(writes.begin(), writes.end());
    double gap = 0;
    for (std::size_t i = 1; i < writes.size(); ++i)
      gap = std::max(gap, static_cast<double>((writes[i] - writes[i - 1]).count()) / 1000);
    const bool went_on = !writes.empty() && writes.back() > killed + 1s;
    line("requests through the surviving edges", static_cast<double>(total), "");
    line("failed, by clients that do not try again", static_cast<double>(failed), "");
    line("longest time without an issuance", gap, "ms");
    for (const auto& what : history.failures()) std::printf("  %s\n", what.substr(0, 160).c_str());
    results_["region-kill"] = {{"requests", total}, {"failed", failed}, {"longest_gap_ms", gap}, {"went_on", went_on}};
    return {};
  }

  Status memory() {
    EC_TRY(start_cluster("memory", true));
    EC_TRY(write_bodies(cluster_->dir() + "/bodies", false));
    auto load = issue_load(64);
    load.seconds = 10;
    std::uint64_t issued = 0;
    while (issued < static_cast<std::uint64_t>(options_.certificates) && !interrupted_()) {
      EC_ASSIGN(const Rate rate, run_wrk(load, dir_));
      if (rate.requests == rate.failed) return fail(Code::kUnavailable, "nothing is issued");
      issued += rate.requests - rate.failed;
      std::printf("\r  %llu certificates", static_cast<unsigned long long>(issued));
      std::fflush(stdout);
    }
    std::printf("\n");
    json out{{"certificates", issued}, {"nodes_mb", json::array()}};
    double total = 0;
    for (std::size_t r = 0; r < cluster_->config().regions.size(); ++r) {
      const double node = resident_mb(cluster_->node_pid(r, 0));
      total += node + resident_mb(cluster_->edge_pid(r));
      line("node of " + cluster_->config().regions[r].name, node, "MB resident");
      out["nodes_mb"].push_back(node);
    }
    line("all server processes", total, "MB resident");
    out["total_mb"] = total;
    results_["memory"] = out;
    return {};
  }

  const BenchOptions& options_;
  const std::function<bool()>& interrupted_;
  std::string dir_;
  std::unique_ptr<LocalCluster> cluster_;
  json results_;
};

}  // namespace

std::vector<std::string> benchmark_names() {
  std::vector<std::string> names;
  for (const auto& [name, measure] : Bench::all()) names.push_back(name);
  return names;
}

Result<int> run_bench(const BenchOptions& options, const std::function<bool()>& interrupted) {
  return Bench(options, interrupted).run();
}

}  // namespace evercert::bench
