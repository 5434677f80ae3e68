// SPDX-License-Identifier: Apache-2.0
// What an issuance costs a node's request thread, from the edge's frame to the answer's, without store and sockets:
// taskset -c 0 build/issue_bench
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>

#include "api/rest/rest.h"
#include "base/check.h"
#include "base/encoding.h"
#include "base/fake_disk.h"
#include "base/os/system.h"
#include "ca/ca.h"
#include "keys/software_signer.h"
#include "net/link_frames.h"
#include "pki/pem.h"
#include "pki/serial.h"
#include "testkit/fakes.h"
#include "testkit/memory_store.h"

namespace {

using namespace evercert;

constexpr char kEdge[] = "evercert://bench/edge/here/1";

// Takes the command as the runtime does and answers at once.
class Acknowledges : public testkit::MemoryStore {
 public:
  Acknowledges() : MemoryStore(1) {}
  Task<Result<store::v1::Outcome>> submit(Executor& on, GroupId, store::v1::Command command, Duration) override {
    auto start = [bytes = command.SerializeAsString()](auto resolve) mutable {
      benchmark::DoNotOptimize(bytes.data());
      resolve(true);
    };
    auto taken = suspend_on<bool>(on, std::move(start));
    co_await taken;
    co_return store::v1::Outcome{};
  }
};

class Node {
 public:
  Node() {
    const auto make_signer = [] { return keys::software_signer(*keys::generate_key_pem(pki::KeyKind::kP256)).value(); };
    const auto now = os::wall_clock().now().seconds();
    const auto serial = [] { return pki::make_serial(RegionId{1}, os::secure_random()); };
    const auto signer = make_signer();
    const auto issuer = pki::make_root("Bench CA", serial(), now, *signer).value();
    const auto urls = [](const char* what) {
      std::vector<std::string> all;
      for (const char* region : {"1", "2", "3"})
        all.push_back(std::string("http://127.") + region + ".0.1:8080/" + what);
      return all;
    };
    std::shared_ptr<pki::CertificateFactory> factory =
        pki::CertificateFactory::create({issuer, urls("ocsp"), urls("ca/us-east-1.crt"), urls("crl/us-east-1.crl")},
                                        signer)
            .value();
    EC_CHECK(disk_.make_dirs("/node").has_value(), "a fresh disk takes a folder");
    intents_ = ca::Intents::open(disk_, "/node/intents", executor_).value();
    ca::CaOptions options;
    options.region = RegionId{1};
    options.regions = 1;
    options.profiles["server"] = {"server", pki::Usage::kServer, 90 * 86400, {pki::NameKind::kDns}};
    options.issuers[1] = {"us-east-1", pki::to_pem("CERTIFICATE", issuer)};
    ca_ = std::make_unique<ca::CertificateAuthority>(std::move(options), store_, factory, *intents_, os::wall_clock(),
                                                     os::secure_random());
    api::RestOptions rest;
    rest.region = "us-east-1";
    rest.cluster = "bench";
    rest.tokens[sha256(kToken)] = {"bench", api::Role::kIssuer};
    rest_ = std::make_unique<api::Rest>(std::move(rest), *ca_, store_);
    rest_->mount(router_);
    const auto csr =
        keys::make_csr_pem(*keys::generate_key_pem(pki::KeyKind::kP256), {{pki::NameKind::kDns, "host1.load.test"}})
            .value();
    body_ = nlohmann::json{{"csr", csr}, {"profile", "server"}}.dump();
  }

  // As the edge sends it.
  std::string frame() {
    net::LinkCall call;
    call.method = "POST";
    call.target = "/v1/certificates";
    call.headers.add("Content-Type", "application/json");
    call.headers.add("Authorization", std::string("Bearer ") + kToken);
    call.headers.add("User-Agent", "bench");
    call.headers.add("X-Forwarded-For", "127.0.0.1");
    call.headers.add("X-Forwarded-Host", "127.1.0.1:8443");
    call.headers.add("X-Forwarded-Proto", "https");
    call.headers.add("Evercert-Request-Id", to_hex(os::secure_random().bytes(pki::kSerialRandomBytes)));
    call.headers.add("Evercert-Attempt", "1");
    call.body = body_;
    EC_CHECK(edge_.request(1, call), "it fits");
    std::string out;
    edge_.take(out);
    return out;
  }

  std::size_t serve(const std::string& frame) {
    const auto space = reader_.space(frame.size());
    std::copy(frame.begin(), frame.end(), space.begin());
    reader_.filled(frame.size());
    auto* parsed = reader_.next().value();
    for (auto& in : *parsed->mutable_requests()) {
      net::HttpRequest request = net::take_request(in);
      request.tls = true;
      request.client_identity = kEdge;
      request.executor = &executor_;
      const auto response = testkit::finish(executor_, router_.route(std::move(request)));
      EC_CHECK(response.status == 201 && answers_.answer(in.id(), response), "it is issued");
    }
    answers_.take(out_);
    return out_.size();
  }

 private:
  static constexpr char kToken[] = "0123456789abcdef0123456789abcdef";
  testkit::ManualExecutor executor_;
  FakeDisk disk_;
  Acknowledges store_;
  std::unique_ptr<ca::Intents> intents_;
  std::unique_ptr<ca::CertificateAuthority> ca_;
  std::unique_ptr<api::Rest> rest_;
  api::Router router_;
  std::string body_, out_;
  net::FrameWriter edge_, answers_;
  net::FrameReader reader_{net::kMaxRequestFrameBytes};
};

void issuance(benchmark::State& state) {
  static Node node;
  for (auto _ : state) benchmark::DoNotOptimize(node.serve(node.frame()));
}
BENCHMARK(issuance);

}  // namespace

BENCHMARK_MAIN();
