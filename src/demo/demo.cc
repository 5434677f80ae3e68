// SPDX-License-Identifier: Apache-2.0
#include "demo/demo.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/os/system.h"
#include "demo/acme_load.h"
#include "demo/clock.h"
#include "demo/history.h"
#include "demo/lag_watch.h"
#include "demo/load.h"
#include "demo/local_cluster.h"

namespace evercert::demo {
namespace {

using nlohmann::json;

double ms(Duration d) { return static_cast<double>(d.count()) / 1000; }

class Demo {
 public:
  Demo(const DemoOptions& options, const std::function<bool()>& interrupted)
      : options_(options), interrupted_(interrupted) {}
  Result<int> run() {
    EC_TRY(prepare());
    EC_TRY(cluster_->start());
    char line[96];
    std::snprintf(line, sizeof line, "Ready to issue %.1f s after the processes started.", cluster_->start_ms() / 1000);
    say(line);
    print_urls();
    if (options_.keep) {
      EC_TRY(cluster_->describe());
      say("\nCluster is ready; details in " + cluster_->dir() +
          "/cluster.json. Ctrl-C ends it and leaves nothing running.");
      while (!interrupted_()) usleep(100'000);
      return 0;
    }
    return region_loss();
  }

 private:
  const config::ClusterConfig& config() const { return cluster_->config(); }
  void say(const std::string& line) const {
    if (options_.quiet) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }

  Status prepare() {
    if (options_.scenario != "region-loss")
      return fail(Code::kInvalid, "unknown scenario '" + options_.scenario + "': there is region-loss");
    if (options_.zones < 1 || options_.zones > 3) return fail(Code::kInvalid, "--zones must be 1 to 3");
    if (options_.duration_seconds < 15)
      return fail(Code::kInvalid, "--duration must be at least 15 seconds: less shows nothing");
    LocalClusterOptions local{options_.dir, options_.zones, options_.wan, true, {}, interrupted_};
    local.progress = [this](const std::string& line) { say(line); };
    EC_ASSIGN(cluster_, LocalCluster::create(std::move(local)));
    victim_ = -1;
    for (std::size_t r = 0; r < config().regions.size(); ++r) {
      if (config().regions[r].name == options_.kill) victim_ = static_cast<int>(r);
    }
    views_.resize(config().regions.size());
    if (victim_ < 0) return fail(Code::kInvalid, "--kill names no region: use us-east-1, us-west-2 or eu-central-1");
    return {};
  }

  void print_urls() const {
    say("");
    for (const auto& region : config().regions) {
      const auto& edge = region.edges.front();
      say("  " + region.name + "  https://" + edge.address + ":" + std::to_string(edge.https_port) +
          "/v1/certificates   OCSP http://" + edge.address + ":" + std::to_string(edge.http_port) + "/ocsp");
    }
    say("\nTry from another terminal:\n  evercert ctl --cluster " + config().path + " status\n  curl --cacert " +
        cluster_->dir() + "/public/root.pem -H \"Authorization: Bearer $(cat " + cluster_->dir() +
        "/operator/token)\" https://127.1.0.1:8443/v1/certificates");
  }

  // ---------------------------------------------------------------------------------------------------- the scenario

  Result<int> region_loss() {
    const Instant begun = now();
    const auto at = [&](double share) {
      return begun + Duration{static_cast<std::int64_t>(share * options_.duration_seconds * 1e6)};
    };
    EC_ASSIGN(load_, Load::create(config(), {}, history_));
    EC_ASSIGN(acme_, AcmeLoad::create(config(), cluster_->dir() + "/acme-clients", kHttp01Port, history_));
    if (!acme_->has_clients()) say("Neither lego nor certbot is installed: the load is without ACME.");
    load_->start();
    acme_->start();
    EC_TRY(watch_until(at(0.4)));
    say("\n>>> SIGKILL: every process of " + options_.kill + "\n");
    killed_ = now();
    cluster_->kill_region(index());
    EC_TRY(watch_until(at(0.75)));
    say("\n>>> restarting " + options_.kill + "\n");
    restarted_ = now();
    EC_TRY(cluster_->start_region(index()));
    EC_TRY(watch_until(at(1.0)));
    acme_->stop();
    load_->stop();
    ended_ = now();
    say("\nLoad has ended. Waiting until " + options_.kill +
        " has caught up, then comparing every region's store with what clients were told.");
    EC_TRY(cluster_->wait_ready(30s));
    EC_TRY(verify());
    return verdict();
  }

  std::size_t index() const { return static_cast<std::size_t>(victim_); }

  Status watch_until(Instant end) {
    while (now() < end) {
      if (interrupted_()) return fail(Code::kUnavailable, "interrupted");
      usleep(100'000);
      if (now() >= next_look_) {
        next_look_ = now() + 500ms;
        for (std::size_t r = 0; r < views_.size(); ++r) look_at(r);
        for (std::size_t r = 0; r < views_.size(); ++r) measure_lag(r);
      }
      if (now() < next_table_) continue;
      next_table_ = now() + (isatty(1) ? 1s : 2s);
      table();
    }
    return {};
  }

  // One region as its own nodes tell it.
  struct View {
    std::string state, leads;
    std::int64_t lag_ms = 0;
    bool answers = false, leased = false;                                 // every node; every group on every node
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> ends;  // of the logs, by group: lowest, highest
    LagWatch::Counts counts;
  };

  void look_at(std::size_t r) {
    View view;
    const bool running = cluster_->running(r);
    view.answers = view.leased = running;
    for (std::size_t n = 0; running && n < config().regions[r].nodes.size(); ++n) {
      const auto response = cluster_->client().ask_node(r, n, "/v1/status");
      const auto document = response ? json::parse(response->body, nullptr, false) : json();
      if (!document.is_object()) {
        view.answers = view.leased = false;
        continue;
      }
      for (const auto& group : document.value("groups", json::array())) {
        const std::string name = group.value("group", "");
        if (group.value("leads_here", false)) view.leads += name + " ";
        view.leased = view.leased && group.value("leased", false);
        view.lag_ms = std::max<std::int64_t>(view.lag_ms, group.value("lag_p99_ms", 0));
        view.counts[std::to_string(n) + "/" + name] = group.value("lag_counts", store::LagCounts{});
        const std::uint64_t end = group.value("last", std::uint64_t{0});
        auto& [lowest, highest] = view.ends.try_emplace(name, end, end).first->second;
        lowest = std::min(lowest, end);
        highest = std::max(highest, end);
      }
    }
    view.state = !running ? "killed" : view.leased ? "up" : "catching up";
    views_[r] = std::move(view);
  }

  // Which entries' lag counts: before the kill those of all regions; afterwards, in regions that stayed up, those that
  // come 3 s after it or later; in the region that was killed, those that come once it has caught up.
  void measure_lag(std::size_t r) {
    const bool before = killed_.us == 0;
    const bool counts = before || lag_after_.reads(r) || (r == index() ? caught_up() : now() >= killed_ + 3s);
    if (counts && views_[r].answers) (before ? lag_before_ : lag_after_).read(r, views_[r].counts);
  }

  // The region that was killed holds all leases, and every log of it has passed the marks: the ends of the others' logs
  // in the look after the one in which all its nodes answered again. What was proposed before they did lies below the
  // marks, what comes now was proposed afterwards.
  bool caught_up() {
    const View& back = views_[index()];
    if (restarted_.us == 0 || !back.answers) return false;
    if (!std::exchange(answered_again_, true)) return false;
    if (marks_.empty()) {
      for (std::size_t r = 0; r < views_.size(); ++r) {
        for (const auto& [group, ends] : views_[r].ends) marks_[group] = std::max(marks_[group], ends.second);
      }
    }
    return back.leased && std::all_of(marks_.begin(), marks_.end(), [&](const auto& mark) {
             const auto reached = back.ends.find(mark.first);
             return reached != back.ends.end() && reached->second.first >= mark.second;
           });
  }

  void table() {
    std::string out = "  REGION         STATE       REQUESTS  FAILED   ISSUE P50   ISSUE P99   REPL. LAG P99   LEADS\n";
    for (std::size_t r = 0; r < views_.size(); ++r) {
      const View& view = views_[r];
      const auto row = history_.row(static_cast<int>(r), now());
      char line[200];
      std::snprintf(line, sizeof line, "  %-14s %-11s %8llu %7llu %8.0f ms %8.0f ms %12lld ms   %s\n",
                    config().regions[r].name.c_str(), view.state.c_str(), static_cast<unsigned long long>(row.requests),
                    static_cast<unsigned long long>(row.failures), row.p50_ms, row.p99_ms,
                    static_cast<long long>(view.lag_ms), view.leads.c_str());
      out += line;
    }
    if (options_.quiet) return;
    if (isatty(1) && std::exchange(drawn_, true)) std::printf("\033[%zuA", config().regions.size() + 1);
    std::printf("%s", out.c_str());
    if (!isatty(1)) std::printf("\n");
    std::fflush(stdout);
  }

  // Everything acknowledged must be in every region's own store, as it was told. What is acknowledged is in their logs;
  // that it may be applied they hear from the leader, a trip later.
  Status verify() {
    constexpr Duration kPatience = 5s, kPause = 200ms;
    for (const auto begun = std::chrono::steady_clock::now();;) {
      EC_TRY(count_lost());
      if (lost_ == 0 || std::chrono::steady_clock::now() - begun > kPatience) return {};
      std::this_thread::sleep_for(kPause);
    }
  }

  Status count_lost() {
    lost_ = 0;
    const auto told = history_.certificates();
    for (std::size_t r = 0; r < config().regions.size(); ++r) {
      for (std::size_t n = 0; n < config().regions[r].nodes.size(); ++n) {
        EC_ASSIGN(const auto stored, cluster_->client().list_store(r, n));
        for (const auto& [serial, known] : told) {
          const auto found = stored.find(serial);
          if (found == stored.end() || (known.revoked && found->second != "revoked")) ++lost_;
        }
      }
    }
    return {};
  }

  struct Figures {
    std::vector<double> before, after;
    double first_write_ms = -1, longest_gap_ms = 0;
    std::uint64_t operations = 0, failed = 0, reads_failed = 0, acme_orders = 0;
  };

  Figures figures() const {
    Figures f;
    std::vector<Instant> writes;
    Instant first_after;
    auto operations = history_.operations();
    std::sort(operations.begin(), operations.end(), [](const auto& a, const auto& b) { return a.ended < b.ended; });
    for (const auto& o : operations) {
      ++f.operations;
      f.failed += o.ok ? 0 : 1;
      const bool write = o.kind == Kind::kIssue || o.kind == Kind::kRevoke;
      if (o.kind == Kind::kAcme) {
        ++f.acme_orders;
        continue;
      }
      if (!write && !o.ok && o.region != victim_) ++f.reads_failed;
      if (write && o.ok) {
        writes.push_back(o.ended);
        if (o.begun > killed_ && first_after.us == 0) first_after = o.ended;
      }
      if (o.kind != Kind::kIssue || !o.ok) continue;
      const double latency = ms(o.ended - o.begun);
      if (o.ended < killed_) f.before.push_back(latency);
      if (first_after.us != 0 && o.begun >= first_after && o.region != victim_) f.after.push_back(latency);
    }
    if (first_after.us != 0) f.first_write_ms = ms(first_after - killed_);
    for (std::size_t i = 1; i < writes.size(); ++i)
      f.longest_gap_ms = std::max(f.longest_gap_ms, ms(writes[i] - writes[i - 1]));
    return f;
  }

  Result<int> verdict() {
    const Figures f = figures();
    const auto wrong = history_.wrong_answers();
    const auto failures = history_.failures();
    const bool kept = f.failed == 0 && lost_ == 0 && wrong.empty() && history_.duplicates() == 0 &&
                      f.first_write_ms >= 0 && f.first_write_ms <= 3000;
    char text[1200];
    std::snprintf(text, sizeof text,
                  "\nVerdict: %s\n  operations %llu (%llu ACME orders by stock clients), failed %llu (reads in "
                  "surviving regions: %llu)\n  first write after the "
                  "kill %.0f ms, longest time without a write %.0f ms\n"
                  "  lost certificates or revocations %llu, wrong status answers %zu, duplicated serials %llu\n"
                  "  issue p50 %.0f ms, p99 %.0f ms before the kill; p99 %.0f ms from the first write after it (%s)\n  "
                  "replication lag p99 %.0f ms in every region\n",
                  kept ? "every promise was kept" : "A PROMISE WAS BROKEN",
                  static_cast<unsigned long long>(f.operations), static_cast<unsigned long long>(f.acme_orders),
                  static_cast<unsigned long long>(f.failed), static_cast<unsigned long long>(f.reads_failed),
                  f.first_write_ms, f.longest_gap_ms, static_cast<unsigned long long>(lost_), wrong.size(),
                  static_cast<unsigned long long>(history_.duplicates()), quantile_ms(f.before, 0.5),
                  quantile_ms(f.before, 0.99), quantile_ms(f.after, 0.99), options_.wan ? "emulated WAN" : "no WAN",
                  static_cast<double>(std::max(lag_before_.p99_ms(), lag_after_.p99_ms())));
    std::printf("%s", text);
    for (std::size_t i = 0; i < std::min<std::size_t>(5, wrong.size()); ++i)
      std::printf("  wrong: %s\n", wrong[i].c_str());
    for (std::size_t i = 0; i < std::min<std::size_t>(5, failures.size()); ++i)
      std::printf("  failed: %s\n", failures[i].c_str());
    const json out{{"operations", f.operations},
                   {"failed_operations", f.failed},
                   {"acme_orders", f.acme_orders},
                   {"lost_certificates", lost_},
                   {"wrong_status_answers", wrong.size()},
                   {"duplicate_serials", history_.duplicates()},
                   {"first_write_after_kill_ms", f.first_write_ms},
                   {"longest_write_gap_ms", f.longest_gap_ms},
                   {"issue_p50_ms", quantile_ms(f.before, 0.5)},
                   {"issue_p99_ms", quantile_ms(f.before, 0.99)},
                   {"issue_p99_after_ms", quantile_ms(f.after, 0.99)},
                   {"reads_failed", f.reads_failed},
                   {"replication_lag_p99_ms", std::max(lag_before_.p99_ms(), lag_after_.p99_ms())},
                   {"replication_lag_p99_before_ms", lag_before_.p99_ms()},
                   {"replication_lag_p99_after_ms", lag_after_.p99_ms()},
                   {"start_ms", cluster_->start_ms()},
                   {"wan", options_.wan},
                   {"zones", options_.zones},
                   {"killed_region", options_.kill},
                   {"promises_kept", kept}};
    if (!options_.json_file.empty()) {
      std::ofstream file(options_.json_file);
      file << out.dump(2) << "\n";
      if (!file) return fail(Code::kIo, options_.json_file + ": cannot be written");
    }
    return kept ? 0 : 1;
  }

  const DemoOptions& options_;
  const std::function<bool()>& interrupted_;
  std::unique_ptr<LocalCluster> cluster_;
  bool drawn_ = false;
  int victim_ = 0;
  History history_;
  std::unique_ptr<Load> load_;
  std::unique_ptr<AcmeLoad> acme_;
  Instant killed_, restarted_, ended_, next_table_, next_look_;
  std::vector<View> views_;
  LagWatch lag_before_, lag_after_;  // ... the kill
  bool answered_again_ = false;
  std::map<std::string, std::uint64_t> marks_;
  std::uint64_t lost_ = 0;
};

}  // namespace

Result<int> run_demo(const DemoOptions& options, const std::function<bool()>& interrupted) {
  return Demo(options, interrupted).run();
}

}  // namespace evercert::demo
