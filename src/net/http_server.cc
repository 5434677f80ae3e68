// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "net/handover.h"
#include "net/http_connection.h"
#include "net/http_metrics.h"

namespace evercert::net {
namespace {

class ServerImpl : public HttpServer {
 public:
  ServerImpl(HttpServerOptions options, HttpHandler handler) {
    shared_.options = std::move(options);
    shared_.handler = std::move(handler);
  }

  ~ServerImpl() override { end(); }

  Status open() {
    if (!shared_.options.access_log.empty()) {
      EC_ASSIGN(shared_.access_log, AccessLog::open(shared_.options.access_log));
    }
    for (int t = 0; t < shared_.options.threads; ++t) workers_.push_back(std::make_unique<HttpWorker>(shared_));
    Takeover old;
    if (!shared_.options.handover.empty()) {
      EC_ASSIGN(old, Takeover::from(shared_.options.handover));
    }
    std::vector<NamedSocket> sockets;
    for (const HttpListener& listener : std::as_const(shared_.options.listeners)) {
      std::shared_ptr<ServerTls> tls;
      if (listener.tls) {
        EC_ASSIGN(tls, ServerTls::load({listener.files, listener.client_certificates, listener.ticket_secret,
                                        listener.named_certificate, listener.address, listener.proofs}));
        tls_.push_back(tls);
      }
      // Those of any free port are told apart by their place.
      std::string name = listener.address + " " + std::to_string(listener.port);
      if (listener.port == 0) name += " " + std::to_string(ports_.size());
      EC_ASSIGN(const auto port, listen(listener, old.take(name), tls));
      ports_.push_back(port);
      for (auto& worker : workers_) {
        for (; named_[worker.get()] < worker->sockets().size(); ++named_[worker.get()])
          sockets.push_back({name, worker->sockets()[named_[worker.get()]]});
      }
    }
    for (auto& worker : workers_) worker->start();
    if (!shared_.options.handover.empty()) {
      if (old.found()) log_info("http: took over from the server behind " + shared_.options.handover);
      // The sockets are here, whatever became of the old one.
      if (const Status heard = old.ready(); !heard) log_warning("http: " + heard.error().message);
      EC_ASSIGN(handover_, Handover::wait(shared_.options.handover, std::move(sockets), [this] {
                  for (auto& worker : workers_) worker->stop_listening();
                  handed_over_ = true;
                }));
    }
    if (!tls_.empty()) refresher_ = std::jthread([this](const std::stop_token& stop) { refresh(stop); });
    return {};
  }

  std::uint16_t port(std::size_t listener) const override { return ports_.at(listener); }

  void reload() override {
    if (shared_.access_log) shared_.access_log->reopen();
    reload_certificates();
  }

  void reload_certificates() override {
    std::lock_guard lock(mutex_);
    asked_ = true;
    changed_.notify_all();
  }

  bool handed_over() const override { return handed_over_; }

  std::string metrics() const override { return http_metrics(shared_, tls_); }

  void drain(Duration patience) override {
    shared_.draining = true;
    for (auto& worker : workers_) worker->stop_listening();
    const auto end = std::chrono::steady_clock::now() + patience;
    while ((busy() || shared_.connections > 0) && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(2ms);
  }

  void stop(Duration patience) override {
    drain(patience);
    end();
  }

 private:
  // Every thread has one of those that were handed over, or one of its own; none is left without a thread.
  Result<std::uint16_t> listen(const HttpListener& listener, const std::vector<int>& taken,
                               const std::shared_ptr<ServerTls>& tls) {
    std::uint16_t port = listener.port;
    for (std::size_t i = 0; i < std::max(taken.size(), workers_.size()); ++i) {
      HttpWorker& worker = *workers_[i % workers_.size()];
      EC_ASSIGN(port, i < taken.size() ? worker.adopt(listener, taken[i], tls) : worker.listen(listener, port, tls));
    }
    return port;
  }

  void end() {
    handover_.reset();
    shared_.draining = true;
    // All threads end before the first connection is destroyed: handlers may know of each other.
    for (auto& worker : workers_) worker->stop();
    for (auto& worker : workers_) worker->cut();
  }

  // Not on a thread that serves: a disk may be slow.
  void refresh(const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "http-files");
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      changed_.wait_for(lock, stop, shared_.options.reload_interval, [this] { return asked_; });
      asked_ = false;
      if (stop.stop_requested()) return;
      lock.unlock();
      for (const auto& tls : tls_) tls->refresh();
      lock.lock();
    }
  }

  bool busy() const {
    for (const auto& worker : workers_) {
      if (worker->busy() > 0) return true;
    }
    return false;
  }

  HttpShared shared_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::shared_ptr<ServerTls>> tls_;
  std::vector<std::unique_ptr<HttpWorker>> workers_;
  std::unordered_map<HttpWorker*, std::size_t> named_;  // how many of its sockets
  std::atomic<bool> handed_over_{false};
  std::unique_ptr<Handover> handover_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asked_ = false;
  std::jthread refresher_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(handler));
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::net
