// SPDX-License-Identifier: Apache-2.0
#include "net/peer_transport.h"

#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "net/peer.grpc.pb.h"
#include "net/source_address.h"

namespace evercert::net {
namespace {

using Clock = std::chrono::steady_clock;

Result<std::string> read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(Code::kInvalid, path + ": cannot be read");
  return text.str();
}

std::string identity_of(const std::string& cluster, NodeId node) {
  return "evercert://" + cluster + "/node/" + std::to_string(node.value);
}

// ------------------------------------------------------------------------------------------------------ receiving

class Service : public v1::Peer::CallbackService {
 public:
  Service(std::map<std::string, NodeId> members, OnBatch on_batch)
      : members_(std::move(members)), on_batch_(std::move(on_batch)) {}

  grpc::ServerReadReactor<v1::Frame>* Deliver(grpc::CallbackServerContext* context, v1::Done*) override {
    NodeId from;
    for (const auto& name : context->auth_context()->FindPropertyValues("peer_uri")) {
      const auto member = members_.find(std::string(name.data(), name.size()));
      if (member != members_.end()) from = member->second;
    }
    return new Reader(*this, from);
  }

 private:
  class Reader : public grpc::ServerReadReactor<v1::Frame> {
   public:
    Reader(Service& service, NodeId from) : service_(service), from_(from) {
      if (from_ == NodeId{0}) {
        Finish({grpc::StatusCode::PERMISSION_DENIED, "this certificate names no member of the cluster"});
      } else {
        StartRead(&frame_);
      }
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      service_.on_batch_(from_, std::move(*frame_.mutable_batch()));
      StartRead(&frame_);
    }
    void OnDone() override { delete this; }

   private:
    Service& service_;
    NodeId from_;
    v1::Frame frame_;
  };
  std::map<std::string, NodeId> members_;
  OnBatch on_batch_;
};

// -------------------------------------------------------------------------------------------------------- sending

// The stream to one peer: opened again, with a growing pause, whenever it breaks.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(PeerAddress peer, std::shared_ptr<grpc::Channel> channel, std::size_t queue_bytes,
       std::function<void(NodeId)> on_unreachable)
      : peer_(std::move(peer)),
        stub_(v1::Peer::NewStub(channel)),
        queue_bytes_(queue_bytes),
        on_unreachable_(std::move(on_unreachable)) {}

  void send(std::string batch, std::atomic<std::uint64_t>& dropped) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    if (waiting_bytes_ + batch.size() > queue_bytes_ || (!stream_ && Clock::now() < retry_at_)) {
      ++dropped;
      return;
    }
    waiting_bytes_ += batch.size();
    waiting_.push_back(std::move(batch));
    if (!stream_) open();
    write_next();
  }

  bool connected() const { return connected_; }

  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    if (stream_) stream_->context.TryCancel();
    ended_.wait_for(lock, 2s, [&] { return !stream_; });
  }

 private:
  struct Stream : grpc::ClientWriteReactor<v1::Frame> {
    explicit Stream(std::shared_ptr<Link> l) : link(std::move(l)) {}
    void OnWriteDone(bool ok) override { link->written(ok); }
    void OnDone(const grpc::Status& status) override {
      auto keep = link;
      keep->ended(status);
    }
    std::shared_ptr<Link> link;
    grpc::ClientContext context;
    v1::Done done;
    v1::Frame frame;
  };

  void open() {
    stream_ = std::make_unique<Stream>(shared_from_this());
    stub_->async()->Deliver(&stream_->context, &stream_->done, stream_.get());
    stream_->StartCall();
    writing_ = false;
    failed_ = false;
  }

  void write_next() {
    if (writing_ || failed_ || waiting_.empty()) return;
    writing_ = true;
    stream_->frame.set_batch(std::move(waiting_.front()));
    waiting_bytes_ -= stream_->frame.batch().size();
    waiting_.pop_front();
    stream_->StartWrite(&stream_->frame);
  }

  void written(bool ok) {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) {
      failed_ = true;  // OnDone follows
      return;
    }
    connected_ = true;
    pause_ = 50ms;
    write_next();
  }

  void ended(const grpc::Status& status) {
    std::unique_ptr<Stream> gone;
    {
      std::lock_guard lock(mutex_);
      gone = std::move(stream_);
      connected_ = false;
      waiting_.clear();  // too old to be of use: the protocols send again what matters
      waiting_bytes_ = 0;
      retry_at_ = Clock::now() + pause_;
      pause_ = std::min<Clock::duration>(pause_ * 2, 500ms);
      if (!closed_) log_debug("peer " + std::to_string(peer_.node.value) + " unreachable: " + status.error_message());
      ended_.notify_all();
      if (closed_) return;
    }
    on_unreachable_(peer_.node);
  }

  PeerAddress peer_;
  std::unique_ptr<v1::Peer::Stub> stub_;
  std::size_t queue_bytes_;
  std::function<void(NodeId)> on_unreachable_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::unique_ptr<Stream> stream_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool writing_ = false, failed_ = false, closed_ = false;
  std::atomic<bool> connected_{false};
  Clock::time_point retry_at_{};
  Clock::duration pause_ = 50ms;
};

// ------------------------------------------------------------------------------------------------- the emulated WAN

// Holds batches back for the time a long way takes, in order per link.
class DelayLine {
 public:
  using Deliver = std::function<void(NodeId, std::string)>;
  explicit DelayLine(Deliver deliver)
      : deliver_(std::move(deliver)), thread_([this] {
          pthread_setname_np(pthread_self(), "wan");
          run();
        }) {}
  ~DelayLine() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void send(NodeId to, std::string batch, Duration delay) {
    std::lock_guard lock(mutex_);
    auto& last = last_[to];
    last = std::max(last, Clock::now() + delay);  // no overtaking, as on one TCP connection
    queue_.emplace(last, std::pair(to, std::move(batch)));
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (queue_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto due = queue_.begin()->first;
      if (Clock::now() < due) {
        wake_.wait_until(lock, due);
        continue;
      }
      auto item = queue_.extract(queue_.begin());
      lock.unlock();
      deliver_(item.mapped().first, std::move(item.mapped().second));
      lock.lock();
    }
  }

  Deliver deliver_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<Clock::time_point, std::pair<NodeId, std::string>> queue_;
  std::map<NodeId, Clock::time_point> last_;
  bool stopping_ = false;
  std::thread thread_;
};

class TransportImpl : public PeerTransport {
 public:
  TransportImpl(PeerTransportOptions options, Random& random) : options_(std::move(options)), random_(random) {}

  ~TransportImpl() override {
    delays_.reset();
    for (auto& [node, link] : links_) link->close();
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
  }

  Status open(OnBatch on_batch, std::function<void(NodeId)> on_unreachable) {
    EC_ASSIGN(const auto ca, read_text(options_.tls.ca_bundle));
    EC_ASSIGN(const auto certificate, read_text(options_.tls.certificate_chain));
    EC_ASSIGN(const auto key, read_text(options_.tls.private_key));
    std::map<std::string, NodeId> members;
    for (const auto& peer : options_.peers) members[identity_of(options_.cluster, peer.node)] = peer.node;
    service_ = std::make_unique<Service>(std::move(members), std::move(on_batch));
    grpc::SslServerCredentialsOptions server_tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    server_tls.pem_root_certs = ca;
    server_tls.pem_key_cert_pairs.push_back({key, certificate});
    grpc::ServerBuilder builder;
    const std::string where = options_.listen_address + ":" + std::to_string(options_.listen_port);
    int bound = 0;
    builder.AddListeningPort(where, grpc::SslServerCredentials(server_tls), &bound);
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 200);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    if (!server_ || bound == 0)
      return fail(Code::kIo, "cannot listen for peers on " + where + ": the port is taken or TLS files are damaged");
    for (const auto& peer : options_.peers) {
      if (peer.node == options_.self) continue;
      links_[peer.node] =
          std::make_shared<Link>(peer, channel(peer, ca, key, certificate), options_.queue_bytes, on_unreachable);
    }
    delays_ = std::make_unique<DelayLine>([this](NodeId to, std::string batch) { pass_on(to, std::move(batch)); });
    return {};
  }

  void send(NodeId to, std::string batch) override {
    const Duration delay = sample_round_trip(options_.delays, region_of(options_.self), region_of(to), random_) / 2;
    if (options_.delays.empty()) return pass_on(to, std::move(batch));
    delays_->send(to, std::move(batch), delay);
  }

  bool connected(NodeId node) const override {
    const auto found = links_.find(node);
    return found != links_.end() && found->second->connected();
  }
  std::uint64_t dropped() const override { return dropped_; }

 private:
  void pass_on(NodeId to, std::string batch) {
    const auto found = links_.find(to);
    if (found != links_.end()) found->second->send(std::move(batch), dropped_);
  }

  std::shared_ptr<grpc::Channel> channel(const PeerAddress& peer, const std::string& ca, const std::string& key,
                                         const std::string& certificate) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = ca;
    tls.pem_private_key = key;
    tls.pem_cert_chain = certificate;
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("node-" + std::to_string(peer.node.value) + "." + options_.cluster +
                                       ".internal");
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 200);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1000);  // a silent link is noticed in about two seconds
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1000);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(64 << 20);
    bind_source_address(arguments, options_.listen_address);
    return grpc::CreateCustomChannel("ipv4:" + peer.address + ":" + std::to_string(peer.port),
                                     grpc::SslCredentials(tls), arguments);
  }

  PeerTransportOptions options_;
  Random& random_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::map<NodeId, std::shared_ptr<Link>> links_;
  std::unique_ptr<DelayLine> delays_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace

Result<std::unique_ptr<PeerTransport>> PeerTransport::start(PeerTransportOptions options, Random& random,
                                                            OnBatch on_batch,
                                                            std::function<void(NodeId)> on_unreachable) {
  auto transport = std::make_unique<TransportImpl>(std::move(options), random);
  EC_TRY(transport->open(std::move(on_batch), std::move(on_unreachable)));
  return transport;
}

}  // namespace evercert::net
