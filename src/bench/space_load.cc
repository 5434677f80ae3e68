// SPDX-License-Identifier: Apache-2.0
#include "bench/space_load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "bench/workbench.h"
#include "etcd/etcdserver/api/v3lock/v3lockpb/v3lock.grpc.pb.h"
#include "etcd/etcdserver/etcdserverpb/rpc.grpc.pb.h"

namespace evercert::bench {
namespace {

constexpr double kWarmUpSeconds = 1;

Result<std::vector<std::shared_ptr<grpc::Channel>>> connect(const SpaceTarget& target) {
  grpc::SslCredentialsOptions tls;
  EC_ASSIGN(tls.pem_root_certs, read_file(os::disk(), target.ca_file));
  EC_ASSIGN(tls.pem_cert_chain, read_file(os::disk(), target.certificate_file));
  EC_ASSIGN(tls.pem_private_key, read_file(os::disk(), target.key_file));
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const auto& endpoint : target.endpoints) {
    auto channel = grpc::CreateChannel("ipv4:" + endpoint, grpc::SslCredentials(tls));
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + 10s))
      return fail(Code::kUnavailable, endpoint + " does not answer");
    channels.push_back(std::move(channel));
  }
  return channels;
}

double quantile(std::vector<double>& sorted, double q) {
  return sorted.empty()
             ? 0
             : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(q * static_cast<double>(sorted.size())))];
}

Rate rate_of(std::vector<double> latencies_ms, std::uint64_t failed, double seconds) {
  std::sort(latencies_ms.begin(), latencies_ms.end());
  Rate rate;
  rate.requests = latencies_ms.size();
  rate.failed = failed;
  rate.per_second = static_cast<double>(latencies_ms.size()) / seconds;
  rate.p50_ms = quantile(latencies_ms, 0.5);
  rate.p99_ms = quantile(latencies_ms, 0.99);
  return rate;
}

// One client: it has one request under way.
class Client {
 public:
  virtual ~Client() = default;
  // Sends the next request; its completion comes up on the queue with `this` as tag.
  virtual void send(grpc::CompletionQueue& queue) = 0;
  // True when a whole operation has ended.
  virtual bool received() = 0;
  bool failed = false;
  Instant begun;
};

// All clients until the time is over; what began in the warm-up is not counted.
Rate run(std::vector<std::unique_ptr<Client>>& clients, int seconds) {
  grpc::CompletionQueue queue;
  const Instant counted = now() + Duration{static_cast<std::int64_t>(kWarmUpSeconds * 1e6)};
  const Instant end = counted + std::chrono::seconds(seconds);
  std::vector<double> latencies;
  std::uint64_t failed = 0;
  std::size_t under_way = 0;
  for (auto& client : clients) {
    client->begun = now();
    client->send(queue);
    ++under_way;
  }
  void* tag = nullptr;
  for (bool ok = false; under_way > 0 && queue.Next(&tag, &ok);) {
    auto* client = static_cast<Client*>(tag);
    const Instant at = now();
    const bool whole = client->received();
    if (whole || client->failed) {
      if (client->begun >= counted && at < end) {
        if (client->failed) {
          ++failed;
        } else {
          latencies.push_back(static_cast<double>((at - client->begun).count()) / 1000);
        }
      }
      client->failed = false;
      client->begun = at;
      if (at >= end) {
        --under_way;
        continue;
      }
    }
    client->send(queue);
  }
  queue.Shutdown();
  while (queue.Next(&tag, nullptr)) {
  }
  return rate_of(std::move(latencies), failed, seconds);
}

template <class Request, class Response>
struct Call {
  std::unique_ptr<grpc::ClientContext> context;
  Response response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
};

class PutClient : public Client {
 public:
  PutClient(const std::shared_ptr<grpc::Channel>& channel, int number, int value_bytes)
      : stub_(etcdserverpb::KV::NewStub(channel)), prefix_("bench/" + std::to_string(number) + "/") {
    request_.set_value(std::string(static_cast<std::size_t>(value_bytes), 'v'));
  }
  void send(grpc::CompletionQueue& queue) override {
    request_.set_key(prefix_ + std::to_string(next_++ % 1000));
    call_.context = std::make_unique<grpc::ClientContext>();
    call_.reader = stub_->AsyncPut(call_.context.get(), request_, &queue);
    call_.reader->Finish(&call_.response, &call_.status, static_cast<Client*>(this));
  }
  bool received() override {
    failed = !call_.status.ok();
    return true;
  }

 private:
  std::unique_ptr<etcdserverpb::KV::Stub> stub_;
  std::string prefix_;
  std::uint64_t next_ = 0;
  etcdserverpb::PutRequest request_;
  Call<etcdserverpb::PutRequest, etcdserverpb::PutResponse> call_;
};

class LockingClient : public Client {
 public:
  LockingClient(const std::shared_ptr<grpc::Channel>& channel, int number, std::int64_t lease)
      : stub_(v3lockpb::Lock::NewStub(channel)) {
    lock_.set_name("lock/" + std::to_string(number));
    lock_.set_lease(lease);
  }
  void send(grpc::CompletionQueue& queue) override {
    if (holds_) {
      unlock_.set_key(taken_.response.key());
      given_.context = std::make_unique<grpc::ClientContext>();
      given_.reader = stub_->AsyncUnlock(given_.context.get(), unlock_, &queue);
      given_.reader->Finish(&given_.response, &given_.status, static_cast<Client*>(this));
    } else {
      taken_.context = std::make_unique<grpc::ClientContext>();
      taken_.reader = stub_->AsyncLock(taken_.context.get(), lock_, &queue);
      taken_.reader->Finish(&taken_.response, &taken_.status, static_cast<Client*>(this));
    }
  }
  bool received() override {
    failed = !(holds_ ? given_.status : taken_.status).ok();
    holds_ = !failed && !holds_;
    return !holds_;
  }

 private:
  std::unique_ptr<v3lockpb::Lock::Stub> stub_;
  bool holds_ = false;
  v3lockpb::LockRequest lock_;
  v3lockpb::UnlockRequest unlock_;
  Call<v3lockpb::LockRequest, v3lockpb::LockResponse> taken_;
  Call<v3lockpb::UnlockRequest, v3lockpb::UnlockResponse> given_;
};

}  // namespace

Result<Rate> put_load(const SpaceTarget& target, int at_once, int seconds, int value_bytes) {
  EC_ASSIGN(const auto channels, connect(target));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < at_once; ++i)
    clients.push_back(
        std::make_unique<PutClient>(channels[static_cast<std::size_t>(i) % channels.size()], i, value_bytes));
  return run(clients, seconds);
}

Result<Rate> lock_load(const SpaceTarget& target, int at_once, int seconds) {
  EC_ASSIGN(const auto channels, connect(target));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < at_once; ++i) {
    const auto& channel = channels[static_cast<std::size_t>(i) % channels.size()];
    grpc::ClientContext context;
    etcdserverpb::LeaseGrantRequest wanted;
    wanted.set_ttl(300);
    etcdserverpb::LeaseGrantResponse granted;
    if (const auto status = etcdserverpb::Lease::NewStub(channel)->LeaseGrant(&context, wanted, &granted); !status.ok())
      return fail(Code::kUnavailable, "no lease: " + status.error_message());
    clients.push_back(std::make_unique<LockingClient>(channel, i, granted.id()));
  }
  return run(clients, seconds);
}

Result<WatchDelivery> watch_load(const SpaceTarget& target, int per_second, int seconds) {
  EC_ASSIGN(const auto channels, connect(target));
  const int count = per_second * seconds;
  std::vector<Instant> sent(static_cast<std::size_t>(count)), answered = sent, seen = sent;
  grpc::ClientContext watching;
  auto stream = etcdserverpb::Watch::NewStub(channels.back())->Watch(&watching);
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key("watched/");
  request.mutable_create_request()->set_range_end("watched0");
  etcdserverpb::WatchResponse response;
  if (!stream->Write(request) || !stream->Read(&response) || !response.created())
    return fail(Code::kUnavailable, "no watch");
  std::thread reader([&] {
    for (int left = count; left > 0 && stream->Read(&response);) {
      const Instant at = now();
      for (const auto& event : response.events()) {
        seen[static_cast<std::size_t>(std::stoi(event.kv().value()))] = at;
        --left;
      }
    }
  });
  const auto stub = etcdserverpb::KV::NewStub(channels.front());
  const Instant begun = now();
  std::uint64_t failed = 0;
  for (int i = 0; i < count; ++i) {
    while (now() < begun + Duration{i * 1'000'000ll / per_second}) std::this_thread::yield();
    grpc::ClientContext context;
    etcdserverpb::PutRequest put;
    put.set_key("watched/" + std::to_string(i % 10));
    put.set_value(std::to_string(i));
    etcdserverpb::PutResponse put_response;
    sent[static_cast<std::size_t>(i)] = now();
    if (!stub->Put(&context, put, &put_response).ok()) ++failed;
    answered[static_cast<std::size_t>(i)] = now();
  }
  if (failed > 0) watching.TryCancel();
  reader.join();
  watching.TryCancel();
  (void)stream->Finish();
  std::vector<double> from_answer, from_put;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    from_answer.push_back(std::max(0.0, static_cast<double>((seen[i] - answered[i]).count()) / 1000));
    from_put.push_back(static_cast<double>((seen[i] - sent[i]).count()) / 1000);
  }
  return WatchDelivery{rate_of(std::move(from_answer), failed, seconds), rate_of(std::move(from_put), failed, seconds)};
}

}  // namespace evercert::bench
