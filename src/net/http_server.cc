// SPDX-License-Identifier: Apache-2.0
#include "net/http_server.h"

#include <thread>

#include "net/http_connection.h"

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
    for (int t = 0; t < shared_.options.threads; ++t) workers_.push_back(std::make_unique<HttpWorker>(shared_));
    for (const HttpListener& listener : shared_.options.listeners) {
      std::shared_ptr<asio::ssl::context> tls;
      if (listener.tls) {
        EC_ASSIGN(tls, server_tls(listener.files, listener.client_certificates));
        speak_http(*tls);
      }
      std::uint16_t port = listener.port;
      for (auto& worker : workers_) {
        EC_ASSIGN(port, worker->listen(listener.address, port, tls));
      }
      ports_.push_back(port);
    }
    for (auto& worker : workers_) worker->start();
    return {};
  }

  std::uint16_t port(std::size_t listener) const override { return ports_.at(listener); }

  void drain(Duration patience) override {
    shared_.draining = true;
    for (auto& worker : workers_) worker->stop_listening();
    const auto end = std::chrono::steady_clock::now() + patience;
    while ((busy() || shared_.connections > 0) && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(2ms);
  }

  void stop(Duration patience) override {
    drain(patience);
    end();
  }

 private:
  void end() {
    shared_.draining = true;
    // All threads end before the first connection is destroyed: handlers may know of each other.
    for (auto& worker : workers_) worker->stop();
    for (auto& worker : workers_) worker->cut();
  }

  bool busy() const {
    for (const auto& worker : workers_) {
      if (worker->busy() > 0) return true;
    }
    return false;
  }

  HttpShared shared_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::unique_ptr<HttpWorker>> workers_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, HttpHandler handler) {
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(handler));
  EC_TRY(server->open());
  return server;
}

}  // namespace evercert::net
