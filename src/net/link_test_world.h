// SPDX-License-Identifier: Apache-2.0
// For the tests of links: identities made on the spot, a relay that can fail, a server with a handler for each thing
// that may happen, and a thread that calls it.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>

#include "base/os/system.h"
#include "net/asio_runtime.h"
#include "net/body.h"
#include "net/link_client.h"
#include "net/link_server.h"

namespace evercert::net {

// A CA and the identities that it has given out, as PEM files in a folder of its own.
class LinkIdentities {
 public:
  LinkIdentities() {
    char path[] = "/tmp/evercert-link-XXXXXX";
    dir_ = mkdtemp(path);
    ca_key_ = EVP_EC_gen("P-256");
    ca_ = make(ca_key_, "");
    write(dir_ + "/ca.pem", ca_, nullptr);
  }
  ~LinkIdentities() {
    X509_free(ca_);
    EVP_PKEY_free(ca_key_);
    std::filesystem::remove_all(dir_);
  }

  TlsFiles of(const std::string& uri) {
    const std::string base = dir_ + "/" + std::to_string(++made_);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = make(key, "URI:" + uri + ",IP:127.0.0.1");
    write(base + ".pem", certificate, nullptr);
    write(base + ".key", nullptr, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return {base + ".pem", base + ".key", dir_ + "/ca.pem"};
  }

 private:
  X509* make(EVP_PKEY* key, const std::string& san) {
    X509* out = X509_new();
    X509_set_version(out, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(out), ++made_);
    X509_gmtime_adj(X509_getm_notBefore(out), -60);
    X509_gmtime_adj(X509_getm_notAfter(out), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(out), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(san.empty() ? "ca" : "leaf"), -1, -1, 0);
    X509_set_issuer_name(out, X509_get_subject_name(ca_ == nullptr ? out : ca_));
    X509_set_pubkey(out, key);
    X509_EXTENSION* extension = san.empty()
                                    ? X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE")
                                    : X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, san.c_str());
    X509_add_ext(out, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(out, ca_key_, EVP_sha256());
    return out;
  }
  static void write(const std::string& path, X509* certificate, EVP_PKEY* key) {
    FILE* file = fopen(path.c_str(), "w");
    if (certificate != nullptr) PEM_write_X509(file, certificate);
    if (key != nullptr) PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
  }

  std::string dir_;
  EVP_PKEY* ca_key_ = nullptr;
  X509* ca_ = nullptr;
  int made_ = 0;
};

// Forwards bytes of one connection at a time; can stop doing so, or break.
class LinkRelay {
 public:
  explicit LinkRelay(std::uint16_t to) : to_(to), acceptor_(io_.context, {asio::ip::make_address("127.0.0.1"), 0}) {
    accept();
  }
  ~LinkRelay() { io_.stop(); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void go_silent() { silent_ = true; }
  void break_connections() {
    std::promise<void> done;
    asio::post(io_.context, [&] {
      for (auto& socket : sockets_) socket->close();
      sockets_.clear();
      done.set_value();
    });
    done.get_future().get();
  }

 private:
  using Socket = std::shared_ptr<tcp::socket>;
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (error) return;
      auto a = std::make_shared<tcp::socket>(std::move(socket)), b = std::make_shared<tcp::socket>(io_.context);
      boost::system::error_code refused;
      b->connect({asio::ip::make_address("127.0.0.1"), to_}, refused);
      if (!refused) {
        sockets_.insert(sockets_.end(), {a, b});
        copy(a, b);
        copy(b, a);
      }
      accept();
    });
  }
  void copy(Socket from, Socket to) {
    auto buffer = std::make_shared<std::string>(65536, '\0');
    from->async_read_some(asio::buffer(*buffer), [=, this](boost::system::error_code error, std::size_t n) {
      boost::system::error_code ignored;
      if (error) {
        to->close(ignored);
        return;
      }
      if (!silent_) asio::write(*to, asio::buffer(*buffer, n), ignored);
      copy(from, to);
    });
  }

  std::uint16_t to_;
  std::atomic<bool> silent_{false};
  AsioThread io_{"relay"};
  std::vector<Socket> sockets_;
  tcp::acceptor acceptor_;
};

class Link : public ::testing::Test {
 protected:
  static constexpr const char* kEdge = "evercert://test/edge/r/1";
  static constexpr const char* kNode = "evercert://test/node/257";

  Link() { serve(kNode); }
  ~Link() override {
    caller_.reset();  // first the threads that call, as an edge does
    if (server_) server_->drain(5s);
    server_.reset();
  }

  void serve(const std::string& identity) {
    LinkServerOptions options;
    options.address = "127.0.0.1";
    options.tls = identities_.of(identity);
    options.admitted = "evercert://test/edge/";
    options.port = port_;
    auto started = LinkServer::start(
        options, [this](HttpRequest request) { return answer(std::move(request)); },
        [](HttpRequest request) -> Task<HttpResponse> {
          HttpResponse response;
          response.body = "asked for " + request.target;
          co_return response;
        });
    ASSERT_TRUE(started.has_value()) << started.error().message;
    server_ = std::move(*started);
    port_ = server_->port();
  }

  Task<HttpResponse> answer(HttpRequest request) {
    ++served_;
    if (request.path == "/slow") {
      auto later = [&](auto resolve) {
        request.executor->post_after(std::chrono::milliseconds(std::stoi(request.query)),
                                     [resolve = std::move(resolve)]() mutable { resolve(0); });
      };
      auto waiting = suspend_on<int>(*request.executor, std::move(later));
      co_await waiting;
    }
    if (request.path == "/held") {
      const std::shared_ptr<void> guard(nullptr, [this](void*) { ++held_destroyed_; });
      auto hold = [this](auto resolve) {
        const std::lock_guard lock(mutex_);
        resolves_.push_back(std::move(resolve));
        ++held_;
      };
      auto held = suspend_on<int>(*request.executor, hold);
      co_await held;
    }
    HttpResponse response;
    response.status = request.path == "/missing" ? 404 : 200;
    response.headers.set("X-From", request.client_identity);
    response.body = request.path == "/large" ? std::string(3 << 20, 'l') : request.target + request.body;
    co_return response;
  }

  // Answers what "/held" waits for.
  void let_go() {
    const std::lock_guard lock(mutex_);
    for (auto& resolve : resolves_) resolve(0);
  }

  LinkClientOptions client_options(std::uint16_t port) {
    LinkClientOptions options;
    options.tls = identities_.of(kEdge);
    options.expected = "evercert://test/node/";
    options.targets = {{"127.0.0.1", port}};
    options.ping_after = 100ms;
    options.silence = 400ms;
    return options;
  }
  void connect(LinkClientOptions options) {
    auto made = LinkClient::create(std::move(options));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    clients_.push_back(std::move(*made));
    client_ = clients_.back().get();
  }

  std::future<Result<HttpResponse>> begin(std::string target, std::string body = "", Duration timeout = 5s) {
    auto promise = std::make_shared<std::promise<Result<HttpResponse>>>();
    asio::post(caller_->context, [=, this] {
      auto call = std::make_shared<LinkCall>();
      call->target = target;
      call->body = body;
      spawn(whole(*call, timeout),
            [promise, call](Result<HttpResponse> result) { promise->set_value(std::move(result)); });
    });
    return promise->get_future();
  }
  Task<Result<HttpResponse>> whole(const LinkCall& call, Duration timeout) {
    auto result = co_await client_->call(caller_->executor, 0, call, timeout);
    if (!result || !result->source) co_return result;
    auto body = co_await collect(caller_->executor, *result->source, 100 << 20);
    if (!body) co_return fail(body.error());
    result->body = std::move(*body);
    co_return result;
  }
  Result<HttpResponse> ask(std::string target, std::string body = "", Duration timeout = 5s) {
    return begin(std::move(target), std::move(body), timeout).get();
  }

  LinkIdentities identities_;
  std::uint16_t port_ = 0;
  std::atomic<int> served_{0}, held_{0}, held_destroyed_{0};
  std::mutex mutex_;
  std::vector<std::function<void(int)>> resolves_;
  std::unique_ptr<LinkServer> server_;
  std::vector<std::unique_ptr<LinkClient>> clients_;  // channels on the caller's thread refer to them
  LinkClient* client_ = nullptr;
  std::unique_ptr<AsioThread> caller_ = std::make_unique<AsioThread>("caller");
};

}  // namespace evercert::net
