// SPDX-License-Identifier: Apache-2.0
#include "net/peer_transport.h"

#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/encoding.h"
#include "base/log.h"
#include "base/os/system.h"
#include "net/peer.grpc.pb.h"
#include "net/peer_door.h"
#include "net/source_address.h"

namespace evercert::net {
namespace {

using Clock = std::chrono::steady_clock;

std::string identity_of(const std::string& cluster, NodeId node) {
  return "evercert://" + cluster + "/node/" + std::to_string(node.value);
}

// What a stream says of its sender before its first batch.
constexpr char kClusterId[] = "evercert-cluster-id", kStartId[] = "evercert-start-id";

// A cluster's id is 16 bytes, behind which a reformation puts text.
std::string to_hex_id(const std::string& id) {
  constexpr std::size_t kBytes = 16;
  return to_hex(id.substr(0, kBytes)) + (id.size() > kBytes ? id.substr(kBytes) : "");
}

Instant now() { return os::monotonic_clock().now(); }

// gRPC's server tells nobody of a handshake that failed but its own log, for debugging.
void tell_of_handshakes() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
    gpr_set_log_function([](gpr_log_func_args* line) {
      static std::mutex mutex;
      static RefusedHandshakes refused;
      const std::string_view words = line->message;
      if (words.starts_with("Handshaking failed")) {
        std::lock_guard lock(mutex);
        if (const auto told = refused.tell(words, now())) log_warning("peers: " + *told);
      } else if (line->severity == GPR_LOG_SEVERITY_ERROR) {
        log_warning("grpc: " + std::string(words));
      }
    });
  });
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
  Service(std::map<std::string, NodeId> members, std::string cluster_id, OnBatch on_batch)
      : members_(std::move(members)), on_batch_(std::move(on_batch)), door_(std::move(cluster_id)) {}

  v1::Peer::AsyncService& grpc_service() { return service_; }
  void admit(const std::string& identity, NodeId node) {
    std::lock_guard lock(mutex_);
    members_.emplace(identity, node);
  }
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
      std::string names;
      for (const auto& name : context_.auth_context()->FindPropertyValues("peer_uri")) {
        const std::string uri(name.data(), name.size());
        if (const auto member = service_.member(uri)) from_ = *member;
        names += (names.empty() ? "" : ", ") + uri;
      }
      if (from_ == NodeId{0}) {
        const std::string who = context_.peer() + " shows a certificate of " + (names.empty() ? "nobody" : names);
        if (service_.strangers_.tell(names, now()))
          log_warning("peers: refused: " + who +
                      ", which is no node of the cluster here: its file names others, and nobody added it (evercert "
                      "ctl node add)");
        return finish({grpc::StatusCode::PERMISSION_DENIED,
                       who + ", which is no node of the cluster file here: the files of the two nodes differ"});
      }
      start_id_ = std::strtoull(said(kStartId).c_str(), nullptr, 10);
      const auto refusal = service_.door_.knocks({from_, said(kClusterId), start_id_, context_.peer()}, now());
      if (refusal) return finish(refused(*refusal));
      inside_ = true;
      reader_.Read(&frame_, &read_);
    }
    void read(bool ok) {
      if (!ok) return finish(grpc::Status::OK);
      if (!service_.door_.heard(from_, start_id_, now()))
        return finish({grpc::StatusCode::ABORTED, "another process of this node has been let in"});
      service_.on_batch_(from_, std::move(*frame_.mutable_batch()));
      reader_.Read(&frame_, &read_);
    }
    std::string said(const char* key) const {
      const auto found = context_.client_metadata().find(key);
      if (found == context_.client_metadata().end()) return {};
      return std::string(found->second.data(), std::min<std::size_t>(found->second.size(), 256));
    }
    static grpc::Status refused(const PeerRefusal& refusal) {
      if (refusal.tell) log_warning("peers: refused: " + refusal.message);
      if (refusal.kind == PeerRefusal::Kind::kForeign) return {grpc::StatusCode::FAILED_PRECONDITION, refusal.message};
      return {grpc::StatusCode::ALREADY_EXISTS, refusal.message, std::to_string(refusal.running_since)};
    }
    void finish(const grpc::Status& status) {
      if (std::exchange(inside_, false)) service_.door_.leaves(from_, start_id_);
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
    std::uint64_t start_id_ = 0;
    bool inside_ = false;
    int endings_ = 0;
    Callback accepted_{[this](bool ok) { accept(ok); }}, read_{[this](bool ok) { read(ok); }};
    Callback finished_{[this](bool) { ended(); }}, cancelled_{[this](bool) { ended(); }};
  };

  std::optional<NodeId> member(const std::string& identity) {
    std::lock_guard lock(mutex_);
    const auto known = members_.find(identity);
    return known == members_.end() ? std::nullopt : std::optional(known->second);
  }

  void end(Reader* reader) {
    std::lock_guard lock(mutex_);
    readers_.erase(reader);
    delete reader;
    ended_.notify_all();
  }

  std::map<std::string, NodeId> members_;
  OnBatch on_batch_;
  PeerDoor door_;  // on the queue's thread alone
  OnceAMinute strangers_;
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
  // What the link tells of itself, on the queue's thread.
  struct Told {
    std::function<void(NodeId)> unreachable, let_in;
    std::function<void(NodeId, const std::string& why, std::uint64_t running_since)> duplicate;
  };

  Link(PeerAddress peer, std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue& queue,
       const PeerTransportOptions& options, Told told)
      : peer_(std::move(peer)),
        stub_(v1::Peer::NewStub(channel)),
        queue_(queue),
        queue_bytes_(options.queue_bytes),
        cluster_id_(to_hex_id(options.cluster_id)),
        start_id_(std::to_string(options.start_id)),
        told_(std::move(told)) {}

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
    stream_->context.AddMetadata(kClusterId, cluster_id_);
    stream_->context.AddMetadata(kStartId, start_id_);
    stream_->writer = stub_->PrepareAsyncDeliver(&stream_->context, &stream_->done, &queue_);
    writing_ = true;  // until the call has begun
    failed_ = let_in_ = false;
    opened_at_ = Clock::now();
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
    pause_ = kShortPause;
    // A refusal comes at once; a write alone says nothing, since it may have gone no further than a buffer.
    if (!let_in_ && Clock::now() - opened_at_ > kRefusedBefore) {
      let_in_ = true;
      told_.let_in(peer_.node);
    }
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
      if (is_refusal(status)) pause_ = kLongPause;
      retry_at_ = Clock::now() + pause_;
      pause_ = std::min<Clock::duration>(pause_ * 2, kLongPause);
      if (!closed_) tell(status);
      ended_.notify_all();
      if (closed_) return;
    }
    told_.unreachable(peer_.node);
    if (status.error_code() == grpc::StatusCode::ALREADY_EXISTS)
      told_.duplicate(peer_.node, status.error_message(), std::strtoull(status.error_details().c_str(), nullptr, 10));
  }

  static bool is_refusal(const grpc::Status& status) {
    return status.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
           status.error_code() == grpc::StatusCode::PERMISSION_DENIED ||
           status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
  }

  // An operator hears of a refusal, once a minute; that a peer is away, its region's state shows.
  void tell(const grpc::Status& status) {
    const std::string who = "peer " + std::to_string(peer_.node.value) + " at " + peer_.address;
    const std::string handshake = explain_handshake(status.error_message());
    const bool duplicate = status.error_code() == grpc::StatusCode::ALREADY_EXISTS;
    if (!duplicate) refused_since_ = Clock::time_point::max();
    if (duplicate && refused_since_ == Clock::time_point::max()) refused_since_ = Clock::now();
    // After a quick restart a peer may not have seen yet that the life before has ended.
    const bool too_early = duplicate && Clock::now() - refused_since_ < kRefusedBefore;
    if ((handshake.empty() && !is_refusal(status)) || too_early || Clock::now() < tell_again_) {
      log_debug(who + " unreachable: " + status.error_message());
      return;
    }
    tell_again_ = Clock::now() + 60s;
    if (handshake.empty()) {
      log_warning(who + " refuses this node: " + status.error_message());
    } else {
      log_warning(who + " and this node refuse each other: " + handshake + " (" + status.error_message() + ")");
    }
  }

  PeerAddress peer_;
  std::unique_ptr<v1::Peer::Stub> stub_;
  grpc::CompletionQueue& queue_;
  std::size_t queue_bytes_;
  std::string cluster_id_, start_id_;
  Told told_;
  Clock::time_point tell_again_{};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::unique_ptr<Stream> stream_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool writing_ = false, failed_ = false, closed_ = false, let_in_ = false;
  std::atomic<bool> connected_{false};
  Clock::time_point retry_at_{}, opened_at_{}, refused_since_ = Clock::time_point::max();
  static constexpr Clock::duration kShortPause = 50ms, kLongPause = 500ms, kRefusedBefore = 1s;
  Clock::duration pause_ = kShortPause;
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
      : options_(std::move(options)),
        host_(host),
        random_(random),
        service_(members(), to_hex_id(options_.cluster_id), std::move(on_batch)),
        duplicates_(options_.start_id) {}

  Status open(const std::function<void(NodeId)>& on_unreachable, const std::function<void(Error)>& on_duplicate) {
    tell_of_handshakes();
    EC_ASSIGN(const auto pem, read_tls(options_.tls));
    EC_TRY(host_.listen({options_.listen_address, options_.listen_port, options_.tls, true, "peers"}));
    host_.serve(service_.grpc_service());
    told_.unreachable = on_unreachable;
    told_.let_in = [this](NodeId peer) { duplicates_.let_in(peer); };
    told_.duplicate = [this, on_duplicate](NodeId peer, const std::string& why, std::uint64_t running_since) {
      if (!duplicates_.refused(peer, running_since, now())) return;
      on_duplicate({Code::kConflict, "peer " + std::to_string(peer.value) + " refuses this node: " + why});
    };
    pem_ = pem;
    add(options_.peers);
    delays_ = std::make_unique<DelayLine>([this](NodeId to, std::string batch) { pass_on(to, std::move(batch)); });
    return {};
  }

  void add(const std::vector<PeerAddress>& peers) override {
    std::lock_guard lock(links_mutex_);
    for (const auto& peer : peers) {
      if (closed_ || peer.node == options_.self || links_.contains(peer.node)) continue;
      service_.admit(identity_of(options_.cluster, peer.node), peer.node);
      links_[peer.node] = std::make_shared<Link>(peer, channel(peer, pem_), *host_.queue().get(), options_, told_);
    }
  }

  void begin() override { service_.accept(*host_.queue().get()); }

  void close() override {
    delays_.reset();
    service_.stop();
    std::lock_guard lock(links_mutex_);
    closed_ = true;
    for (auto& [node, link] : links_) link->close();
  }
  void wait_ended() override { service_.wait_ended(); }

  void send(NodeId to, std::string batch) override {
    const Duration delay = sample_round_trip(options_.delays, region_of(options_.self), region_of(to), random_) / 2;
    if (options_.delays.empty()) return pass_on(to, std::move(batch));
    delays_->send(to, std::move(batch), delay);
  }

  bool connected(NodeId node) const override {
    const auto link = link_to(node);
    return link != nullptr && link->connected();
  }
  std::uint64_t dropped() const override { return dropped_; }

 private:
  std::map<std::string, NodeId> members() const {
    std::map<std::string, NodeId> members;
    for (const auto& peer : options_.peers) members[identity_of(options_.cluster, peer.node)] = peer.node;
    return members;
  }

  std::shared_ptr<Link> link_to(NodeId node) const {
    std::lock_guard lock(links_mutex_);
    const auto found = links_.find(node);
    return found == links_.end() ? nullptr : found->second;
  }

  void pass_on(NodeId to, std::string batch) {
    if (const auto link = link_to(to)) link->send(std::move(batch), dropped_);
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
  DuplicateWatch duplicates_;  // on the queue's thread alone
  TlsPem pem_;
  Link::Told told_;
  mutable std::mutex links_mutex_;
  std::map<NodeId, std::shared_ptr<Link>> links_;
  bool closed_ = false;
  std::unique_ptr<DelayLine> delays_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace

Result<std::unique_ptr<PeerTransport>> PeerTransport::create(PeerTransportOptions options, GrpcHost& host,
                                                             Random& random, OnBatch on_batch,
                                                             const std::function<void(NodeId)>& on_unreachable,
                                                             const std::function<void(Error)>& on_duplicate) {
  auto transport = std::make_unique<TransportImpl>(std::move(options), host, random, std::move(on_batch));
  EC_TRY(transport->open(on_unreachable, on_duplicate));
  return transport;
}

}  // namespace evercert::net
