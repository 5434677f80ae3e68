// SPDX-License-Identifier: Apache-2.0
#include "net/peer_transport.h"

#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/log.h"
#include "net/peer.grpc.pb.h"
#include "net/source_address.h"

namespace evercert::net {
namespace {

using Clock = std::chrono::steady_clock;

std::string identity_of(const std::string& cluster, NodeId node) {
  return "evercert://" + cluster + "/node/" + std::to_string(node.value);
}

// One kind of completion of an object that lives while it is outstanding.
class Callback : public Completion {
 public:
  explicit Callback(std::function<void(bool)> then) : then_(std::move(then)) {}
  void happened(bool ok) override {
    const auto then = then_;  // may end this object
    then(ok);
  }

 private:
  std::function<void(bool)> then_;
};

// ------------------------------------------------------------------------------------------------------ receiving

class Service {
 public:
  Service(std::map<std::string, NodeId> members, OnBatch on_batch)
      : members_(std::move(members)), on_batch_(std::move(on_batch)) {}

  v1::Peer::AsyncService& grpc_service() { return service_; }
  void accept(grpc::ServerCompletionQueue& queue) {
    std::lock_guard lock(mutex_);
    if (!stopping_) readers_.insert(new Reader(*this, queue));
  }
  // Before the server is shut down: no more streams.
  void stop() {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  // After it: until the last stream has ended, so that nothing is begun on the queue any more.
  void wait_ended() {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, 2s, [&] { return readers_.empty(); });
  }

 private:
  // The stream of one peer; owns itself.
  class Reader {
   public:
    Reader(Service& service, grpc::ServerCompletionQueue& queue) : service_(service), queue_(queue) {
      context_.AsyncNotifyWhenDone(&cancelled_);
      service_.service_.RequestDeliver(&context_, &reader_, &queue_, &queue_, &accepted_);
    }

   private:
    void accept(bool ok) {
      if (!ok) return service_.end(this);  // shutting down: nothing was begun, so nothing else will come
      service_.accept(queue_);
      for (const auto& name : context_.auth_context()->FindPropertyValues("peer_uri")) {
        const auto member = service_.members_.find(std::string(name.data(), name.size()));
        if (member != service_.members_.end()) from_ = member->second;
      }
      if (from_ == NodeId{0}) {
        finish({grpc::StatusCode::PERMISSION_DENIED, "this certificate names no member of the cluster"});
      } else {
        reader_.Read(&frame_, &read_);
      }
    }
    void read(bool ok) {
      if (!ok) return finish(grpc::Status::OK);
      service_.on_batch_(from_, std::move(*frame_.mutable_batch()));
      reader_.Read(&frame_, &read_);
    }
    void finish(const grpc::Status& status) {
      if (status.ok()) {
        reader_.Finish(v1::Done{}, status, &finished_);
      } else {
        reader_.FinishWithError(status, &finished_);
      }
    }
    void ended() {
      if (++endings_ == 2) service_.end(this);
    }

    Service& service_;
    grpc::ServerCompletionQueue& queue_;
    grpc::ServerContext context_;
    grpc::ServerAsyncReader<v1::Done, v1::Frame> reader_{&context_};
    v1::Frame frame_;
    NodeId from_;
    int endings_ = 0;
    Callback accepted_{[this](bool ok) { accept(ok); }}, read_{[this](bool ok) { read(ok); }};
    Callback finished_{[this](bool) { ended(); }}, cancelled_{[this](bool) { ended(); }};
  };

  void end(Reader* reader) {
    std::lock_guard lock(mutex_);
    readers_.erase(reader);
    delete reader;
    ended_.notify_all();
  }

  std::map<std::string, NodeId> members_;
  OnBatch on_batch_;
  v1::Peer::AsyncService service_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::set<Reader*> readers_;
  bool stopping_ = false;
};

// -------------------------------------------------------------------------------------------------------- sending

// The stream to one peer: opened again, with a growing pause, whenever it breaks.
class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(PeerAddress peer, std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue& queue, std::size_t queue_bytes,
       std::function<void(NodeId)> on_unreachable)
      : peer_(std::move(peer)),
        stub_(v1::Peer::NewStub(channel)),
        queue_(queue),
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
  struct Stream {
    explicit Stream(std::shared_ptr<Link> l) : link(std::move(l)) {}
    std::shared_ptr<Link> link;
    grpc::ClientContext context;
    v1::Done done;
    v1::Frame frame;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncWriter<v1::Frame>> writer;
    Callback written{[this](bool ok) { link->written(ok); }};
    Callback finished{[this](bool) {
      const auto keep = link;  // ended() destroys the stream
      keep->ended(status);
    }};
  };

  void open() {
    stream_ = std::make_unique<Stream>(shared_from_this());
    stream_->writer = stub_->PrepareAsyncDeliver(&stream_->context, &stream_->done, &queue_);
    writing_ = true;  // until the call has begun
    failed_ = false;
    stream_->writer->StartCall(&stream_->written);
  }

  void write_next() {
    if (writing_ || failed_ || waiting_.empty()) return;
    writing_ = true;
    stream_->frame.set_batch(std::move(waiting_.front()));
    waiting_bytes_ -= stream_->frame.batch().size();
    waiting_.pop_front();
    stream_->writer->Write(stream_->frame, &stream_->written);
  }

  void written(bool ok) {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) {
      failed_ = true;
      stream_->writer->Finish(&stream_->status, &stream_->finished);
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
  grpc::CompletionQueue& queue_;
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
  TransportImpl(PeerTransportOptions options, GrpcHost& host, Random& random, OnBatch on_batch)
      : options_(std::move(options)), host_(host), random_(random), service_(members(), std::move(on_batch)) {}

  Status open(const std::function<void(NodeId)>& on_unreachable) {
    EC_ASSIGN(const auto pem, read_tls(options_.tls));
    EC_TRY(host_.listen({options_.listen_address, options_.listen_port, options_.tls, true, "peers"}));
    host_.serve(service_.grpc_service());
    for (const auto& peer : options_.peers) {
      if (peer.node == options_.self) continue;
      links_[peer.node] =
          std::make_shared<Link>(peer, channel(peer, pem), *host_.queue().get(), options_.queue_bytes, on_unreachable);
    }
    delays_ = std::make_unique<DelayLine>([this](NodeId to, std::string batch) { pass_on(to, std::move(batch)); });
    return {};
  }

  void begin() override { service_.accept(*host_.queue().get()); }

  void close() override {
    delays_.reset();
    service_.stop();
    for (auto& [node, link] : links_) link->close();
  }
  void wait_ended() override { service_.wait_ended(); }

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
  std::map<std::string, NodeId> members() const {
    std::map<std::string, NodeId> members;
    for (const auto& peer : options_.peers) members[identity_of(options_.cluster, peer.node)] = peer.node;
    return members;
  }

  void pass_on(NodeId to, std::string batch) {
    const auto found = links_.find(to);
    if (found != links_.end()) found->second->send(std::move(batch), dropped_);
  }

  std::shared_ptr<grpc::Channel> channel(const PeerAddress& peer, const TlsPem& pem) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = pem.ca;
    tls.pem_private_key = pem.key;
    tls.pem_cert_chain = pem.certificate;
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
    set_windows([&](const char* name, int value) { arguments.SetInt(name, value); });
    bind_source_address(arguments, options_.listen_address);
    return grpc::CreateCustomChannel("ipv4:" + peer.address + ":" + std::to_string(peer.port),
                                     grpc::SslCredentials(tls), arguments);
  }

  PeerTransportOptions options_;
  GrpcHost& host_;
  Random& random_;
  Service service_;
  std::map<NodeId, std::shared_ptr<Link>> links_;
  std::unique_ptr<DelayLine> delays_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace

Result<std::unique_ptr<PeerTransport>> PeerTransport::create(PeerTransportOptions options, GrpcHost& host,
                                                             Random& random, OnBatch on_batch,
                                                             const std::function<void(NodeId)>& on_unreachable) {
  auto transport = std::make_unique<TransportImpl>(std::move(options), host, random, std::move(on_batch));
  EC_TRY(transport->open(on_unreachable));
  return transport;
}

}  // namespace evercert::net
