// SPDX-License-Identifier: Apache-2.0
// The end of a server while clients wait: each is told, and nothing of their calls is left.
#include "api/coordination/etcd_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "api/coordination/etcd_calls.h"
#include "base/check.h"
#include "base/encoding.h"
#include "base/os/system.h"
#include "net/http_test_client.h"
#include "testkit/memory_store.h"

namespace evercert::api {
namespace {

using namespace etcdserverpb;
using grpc::StatusCode;

constexpr const char* kToken = "does all";

// Waits without a limit: a test that hangs has failed, a slow machine has not.
void until(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::sleep_for(1ms);
}

std::unique_ptr<grpc::ClientContext> as_operator() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata("authorization", std::string("Bearer ") + kToken);
  return context;
}

class EtcdServerTest : public testing::Test {
 protected:
  EtcdServerTest() {
    store.on_coordination(
        [this](const coordination::Effects& effects) {
          hub.applied(effects);
          contenders.applied(effects);
        },
        [this] {
          hub.replaced();
          contenders.replaced();
        });
    store.before = [this](GroupId, const store::v1::Command&) { ++proposed; };
    EtcdServerOptions options;
    options.address = "127.0.0.1";
    options.tls = certificates.server();
    auto created = EtcdServer::create(std::move(options), *host);
    EC_CHECK(created.has_value(), "the server is made");
    server = std::move(*created);
    EC_CHECK(host->start().has_value(), "the server starts");
    std::map<std::string, std::pair<std::string, Role>> tokens{{sha256(kToken), {"operator", Role::kOperator}}};
    server->begin(Access("test", std::move(tokens)), coordinator, locks, hub, store);
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = net::read_tls(certificates.client())->ca;
    channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(host->port(0)), grpc::SslCredentials(tls));
  }
  ~EtcdServerTest() override { end(); }

  void end() {
    if (!host) return;
    host->shutdown();
    host->stop();
    left = host->queue().calls().size();
    host.reset();
  }
  grpc::Status put(const std::string& key, const std::string& value) {
    PutRequest request;
    request.set_key(key);
    request.set_value(value);
    PutResponse response;
    return KV::NewStub(channel)->Put(as_operator().get(), request, &response);
  }
  std::int64_t lease() {
    LeaseGrantRequest request;
    request.set_ttl(60);
    LeaseGrantResponse response;
    EXPECT_TRUE(etcdserverpb::Lease::NewStub(channel)->LeaseGrant(as_operator().get(), request, &response).ok());
    return response.id();
  }
  grpc::Status lock(std::int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name("job");
    request.set_lease(lease);
    v3lockpb::LockResponse response;
    return v3lockpb::Lock::NewStub(channel)->Lock(as_operator().get(), request, &response);
  }

  // A stream that its caller holds open.
  template <class Stream, class Response>
  std::future<grpc::Status> wait_on(std::shared_ptr<grpc::ClientContext> context, std::shared_ptr<Stream> stream) {
    return std::async(std::launch::async, [context, stream] {
      for (Response response; stream->Read(&response);) {
      }
      return stream->Finish();
    });
  }
  std::future<grpc::Status> watch() {
    auto stub = Watch::NewStub(channel);
    std::shared_ptr<grpc::ClientContext> context = as_operator();
    std::shared_ptr stream = stub->Watch(context.get());
    WatchRequest request;
    request.mutable_create_request()->set_key("watched");
    WatchResponse created;
    EXPECT_TRUE(stream->Write(request) && stream->Read(&created) && created.created());
    return wait_on<grpc::ClientReaderWriter<WatchRequest, WatchResponse>, WatchResponse>(context, stream);
  }
  std::future<grpc::Status> keep_alive(std::int64_t id) {
    auto stub = etcdserverpb::Lease::NewStub(channel);
    std::shared_ptr<grpc::ClientContext> context = as_operator();
    std::shared_ptr stream = stub->LeaseKeepAlive(context.get());
    LeaseKeepAliveRequest request;
    request.set_id(id);
    LeaseKeepAliveResponse renewed;
    EXPECT_TRUE(stream->Write(request) && stream->Read(&renewed) && renewed.ttl() == 60);
    return wait_on<grpc::ClientReaderWriter<LeaseKeepAliveRequest, LeaseKeepAliveResponse>, LeaseKeepAliveResponse>(
        context, stream);
  }
  std::future<grpc::Status> observe() {
    auto stub = v3electionpb::Election::NewStub(channel);
    std::shared_ptr<grpc::ClientContext> context = as_operator();
    v3electionpb::LeaderRequest request;
    request.set_name("nobody leads");
    std::shared_ptr stream = stub->Observe(context.get(), request);
    return wait_on<grpc::ClientReader<v3electionpb::LeaderResponse>, v3electionpb::LeaderResponse>(context, stream);
  }

  net::TestCertificates certificates;
  testkit::MemoryStore store{1};
  std::atomic<int> proposed{0};
  std::size_t left = 0;
  coordination::WatchHub hub{[this] { return store.coordination_view(); }};
  Coordinator coordinator{{NodeId{257}, 1, 7, 7s, 2}, store, store, os::secure_random()};
  coordination::LockTable contenders{[this] { return store.coordination_view(); }};
  Locks locks{coordinator, contenders};
  std::unique_ptr<EtcdServer> server;
  std::unique_ptr<net::GrpcHost> host = std::make_unique<net::GrpcHost>();
  std::shared_ptr<grpc::Channel> channel;
};

TEST_F(EtcdServerTest, ADrainEndsWhatWaitsForOthersAndLetsTheRestFinish) {
  const auto mine = lease(), theirs = lease();
  ASSERT_TRUE(lock(mine).ok());
  auto watching = watch();
  auto observing = observe();
  auto renewing = keep_alive(mine);
  auto waiting = std::async(std::launch::async, [&] { return lock(theirs); });
  until([&] { return hub.size() == 2 && contenders.contenders() == 1; });
  const int before = proposed;
  store.next(testkit::MemoryStore::Fate::kHeld);
  auto held = std::async(std::launch::async, [&] { return put("a", "1"); });
  until([&] { return proposed > before; });

  host->drain(1ms);
  for (auto* one : {&watching, &observing, &renewing, &waiting}) {
    const auto status = one->get();
    EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE) << status.error_message();
    EXPECT_EQ(status.error_message(), "etcdserver: server stopped");
  }
  EXPECT_EQ(hub.size() + contenders.contenders(), 0u);
  EXPECT_EQ(put("b", "1").error_message(), "etcdserver: server stopped");
  host->queue().post([this] { store.release(testkit::MemoryStore::Fate::kDone); });
  EXPECT_TRUE(held.get().ok());
  end();
  EXPECT_EQ(left, 0u);
}

TEST_F(EtcdServerTest, AnEndWithoutADrainTellsEveryCaller) {
  const auto mine = lease(), theirs = lease();
  ASSERT_TRUE(lock(mine).ok());
  auto watching = watch();
  auto renewing = keep_alive(mine);
  auto waiting = std::async(std::launch::async, [&] { return lock(theirs); });
  until([&] { return hub.size() == 1 && contenders.contenders() == 1; });
  const int before = proposed;
  store.next(testkit::MemoryStore::Fate::kHeld);  // for ever: its leader is gone
  auto held = std::async(std::launch::async, [&] { return put("a", "1"); });
  until([&] { return proposed > before; });
  end();
  for (auto* one : {&watching, &renewing, &waiting, &held}) EXPECT_EQ(one->get().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(hub.size() + contenders.contenders(), 0u);
}

TEST_F(EtcdServerTest, ACallerWhoTakesNothingDoesNotHoldUpTheEnd) {
  auto stub = Watch::NewStub(channel);
  const auto context = as_operator();
  const auto stream = stub->Watch(context.get());
  WatchRequest request;
  request.mutable_create_request()->set_key("large");
  WatchResponse created;
  ASSERT_TRUE(stream->Write(request) && stream->Read(&created));
  // More than the windows of a connection and the server's own patience with a slow caller hold.
  for (int i = 0; i < 24; ++i) ASSERT_TRUE(put("large", std::string(1 << 20, 'v')).ok());
  end();
  EXPECT_EQ(left, 0u);
  EXPECT_EQ(hub.size(), 0u);
  while (stream->Read(&created)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
}

TEST_F(EtcdServerTest, WhoGoesWhileHeWaitsForALockGivesUpHisPlace) {
  const auto mine = lease(), theirs = lease();
  ASSERT_TRUE(lock(mine).ok());
  const auto context = as_operator();
  auto waiting = std::async(std::launch::async, [&] {
    v3lockpb::LockRequest request;
    request.set_name("job");
    request.set_lease(theirs);
    v3lockpb::LockResponse response;
    return v3lockpb::Lock::NewStub(channel)->Lock(context.get(), request, &response);
  });
  until([&] { return contenders.contenders() == 1; });
  context->TryCancel();
  EXPECT_EQ(waiting.get().error_code(), StatusCode::CANCELLED);
  until([&] { return contenders.contenders() == 0; });
  RangeRequest below;
  below.set_key("job/");
  below.set_range_end("job0");
  RangeResponse response;
  until([&] {
    EXPECT_TRUE(KV::NewStub(channel)->Range(as_operator().get(), below, &response).ok());
    return response.count() == 1;
  });
}

}  // namespace
}  // namespace evercert::api
