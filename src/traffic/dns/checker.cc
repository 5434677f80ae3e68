// SPDX-License-Identifier: Apache-2.0
#include "traffic/dns/checker.h"

#include <algorithm>

#include "base/log.h"
#include "base/os/system.h"
#include "base/pause.h"
#include "base/task_scope.h"
#include "net/ready_check.h"
#include "traffic/dns/health_words.h"
#include "traffic/shares/agreement.h"

namespace evercert::traffic::dns {
namespace {

constexpr std::int64_t kResignSeconds = 3600;
constexpr Duration kSharesEvery = 1s, kHealthEvery = 2s;
constexpr std::size_t kLargestShares = 64 << 10;

std::vector<std::string> names_of(const View& view) {
  std::vector<std::string> names;
  for (const auto& region : view.facts()) names.push_back(region.name);
  return names;
}

class CheckerImpl : public Checker {
 public:
  CheckerImpl(CheckerOptions options, Brain brain, Hub& hub, MonotonicClock& clock, WallClock& wall)
      : options_(std::move(options)), brain_(std::move(brain)), hub_(hub), clock_(clock), wall_(wall) {
    for (const auto& region : options_.edges) reports_.emplace_back(region.size());
  }

  ~CheckerImpl() override {
    if (executor_) executor_->stop();
    watches_.cancel();
    client_.reset();
  }

  Status open() {
    EC_ASSIGN(client_, net::HttpClient::create({options_.local_address, options_.tls, 0, 1s}));
    publish();
    executor_ = os::ThreadExecutor::start("dns-checks");
    executor_->post([this] {
      for (std::size_t r = 0; r < options_.edges.size(); ++r) {
        for (std::size_t e = 0; e < options_.edges[r].size(); ++e) watches_.spawn(watch(r, e));
      }
      for (std::size_t r = 0; r < options_.edges.size(); ++r) {
        watches_.spawn(follow_shares(r));
        watches_.spawn(follow_health(r));
      }
      tick();
    });
    return {};
  }

  std::vector<std::vector<EdgeReport>> reports() const override {
    const std::lock_guard lock(mutex_);
    return reports_;
  }

 private:
  Task<void> watch(std::size_t region, std::size_t edge) {
    for (;;) {
      const Instant begun = clock_.now();
      const auto answered = co_await net::ready_check(*client_, *executor_, watches_, options_.edges[region][edge],
                                                      options_.plan.timeout);
      const Instant now = clock_.now();
      const CheckResult result = judge_check(answered, now - begun);
      note(region, edge, result);
      tell(brain_.checked(region, edge, result, now));
      const Instant next = next_check(options_.plan, begun, now, !result.passed || brain_.watched_closely(region));
      auto wait = [this, left = std::max<Duration>(1ms, next - clock_.now())](auto resolve) {
        executor_->post_after(left, [resolve = std::move(resolve)]() mutable { resolve(true); });
      };
      auto waited = suspend_on<bool>(*executor_, std::move(wait));
      co_await waited;
    }
  }

  // What the region's nodes say of the shares, and of who is out, through one of its edges after the other. Nobody is
  // waited for: who does not answer says nothing.
  Task<void> follow_shares(std::size_t region) {
    for (std::size_t turn = 0;; ++turn) {
      auto asking = ask(region, turn, "/v1/failover/shares", kLargestShares);
      const auto document = co_await asking;
      if (document && agreement_.said(region, *document)) lead();
      auto waiting = pause(*executor_, kSharesEvery);
      co_await waiting;
    }
  }

  Task<void> follow_health(std::size_t region) {
    for (std::size_t turn = 0;; ++turn) {
      auto asking = ask(region, turn, "/v1/health", kLargestHealth);
      const auto document = co_await asking;
      if (document) words_.said(region, *document, clock_.now());
      auto waiting = pause(*executor_, kHealthEvery);
      co_await waiting;
    }
  }

  Task<std::optional<std::string>> ask(std::size_t region, std::size_t turn, std::string path, std::size_t most) {
    const auto& edges = options_.edges[region];
    net::HttpCall call;
    call.target = edges[turn % edges.size()];
    call.path = std::move(path);
    call.connect_timeout = call.timeout = options_.plan.timeout;
    call.max_response_bytes = most;
    auto fetching = client_->fetch(*executor_, std::move(call));
    const auto answer = co_await fetching;
    // An edge whose own nodes are gone asks another region: that is no second word.
    const bool its_own = answer && answer->status == 200 && answer->headers.find("Evercert-Region") == names_[region];
    co_return its_own ? std::optional(answer->bytes()) : std::nullopt;
  }

  // Whoever is out by the word of two regions gets nothing, as with a share of 0; both only narrow.
  void lead() {
    std::vector<int> percent;
    std::string by = net::printable(agreement_.shares().by);
    const auto& out = words_.review(clock_.now());
    for (std::size_t r = 0; r < names_.size(); ++r) {
      percent.push_back(out[r].empty() ? agreement_.shares().of(names_[r]) : 0);
      if (!out[r].empty()) by += (by.empty() ? "" : "; ") + names_[r] + " is out by the word of " + out[r];
    }
    if (by.empty()) by = "no two regions say that it is out";
    tell(brain_.set_shares(percent, by, clock_.now()));
  }

  void note(std::size_t region, std::size_t edge, const CheckResult& result) {
    const std::lock_guard lock(mutex_);
    EdgeReport& report = reports_[region][edge];
    report.checked = true;
    report.passed = result.passed;
    report.took = result.took;
    report.evidence = result.evidence;
    ++report.checks;
    if (!result.passed) ++report.failures;
  }

  void tell(const std::vector<BrainEvent>& events) {
    for (const BrainEvent& event : events) {
      log_line(event.warning ? LogLevel::kWarning : LogLevel::kInfo, "dns: " + event.text);
    }
    if (brain_.view() != published_) publish();
  }

  void publish() {
    published_ = brain_.view();
    published_at_ = wall_.now();
    hub_.publish(published_, published_at_);
  }

  void tick() {
    lead();  // words grow old
    tell(brain_.tick(clock_.now()));
    // Signatures end: those that are kept are made anew every hour.
    if (wall_.now().seconds() / kResignSeconds != published_at_.seconds() / kResignSeconds) publish();
    executor_->post_after(1s, [this] { tick(); });
  }

  const CheckerOptions options_;
  Brain brain_;  // of the executor's thread
  Hub& hub_;
  MonotonicClock& clock_;
  WallClock& wall_;
  const std::vector<std::string> names_ = names_of(*brain_.view());
  SharesAgreement agreement_{options_.edges.size()};
  HealthWords words_{names_};
  std::shared_ptr<const View> published_;
  WallTime published_at_;
  mutable std::mutex mutex_;
  std::vector<std::vector<EdgeReport>> reports_;
  std::unique_ptr<net::HttpClient> client_;
  std::unique_ptr<os::ThreadExecutor> executor_;
  TaskScope watches_;
};

}  // namespace

CheckResult judge_check(const Result<net::HttpResponse>& result, Duration took) {
  CheckResult judged;
  judged.took = took;
  judged.evidence = net::ready_fault(result);
  judged.passed = judged.evidence.empty();
  return judged;
}

Result<std::unique_ptr<Checker>> Checker::start(CheckerOptions options, Brain brain, Hub& hub, MonotonicClock& clock,
                                                WallClock& wall) {
  auto checker = std::make_unique<CheckerImpl>(std::move(options), std::move(brain), hub, clock, wall);
  EC_TRY(checker->open());
  return checker;
}

}  // namespace evercert::traffic::dns
