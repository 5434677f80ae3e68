// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <deque>
#include <map>
#include <mutex>

#include "net/asio_runtime.h"

namespace evercert::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
// Named types all the way down: with asio's any_io_executor each operation of each layer would allocate and go through
// tables of functions.
template <class T>
using Awaitable = asio::awaitable<T, IoExecutor>;
constexpr asio::as_tuple_t<asio::use_awaitable_t<IoExecutor>> kTuple;

using TcpStream = beast::basic_stream<tcp, IoExecutor>;
using TlsStream = beast::ssl_stream<TcpStream>;

struct Connection {
  std::unique_ptr<TcpStream> plain;
  std::unique_ptr<TlsStream> tls;
  beast::flat_buffer buffer;
  std::chrono::steady_clock::time_point idle_since;
  bool used = false;

  TcpStream& lowest() { return tls ? beast::get_lowest_layer(*tls) : *plain; }
};

using PoolKey = std::tuple<asio::io_context*, std::string, std::uint16_t, bool>;

class ClientImpl : public HttpClient {
 public:
  ClientImpl(HttpClientOptions options, std::shared_ptr<asio::ssl::context> tls)
      : options_(std::move(options)), tls_(std::move(tls)) {}

  ~ClientImpl() override {
    std::lock_guard lock(mutex_);
    pools_.clear();
  }

  Task<Result<HttpResponse>> fetch(Executor& on, HttpCall call) override {
    auto* own = dynamic_cast<AsioExecutor*>(&on);
    asio::io_context& context = own ? own->context : thread_.context;
    auto start = [this, &context, &call](auto resolve) {
      asio::co_spawn(context, run(context, std::move(call), std::move(resolve)), asio::detached);
    };
    auto answered = suspend_on<Result<HttpResponse>>(on, std::move(start));
    co_return co_await answered;
  }

 private:
  template <class Resolve>
  Awaitable<void> run(asio::io_context& context, HttpCall call, Resolve resolve) {
    if (call.emulated_round_trip > 0us) {
      Timer wait(context, std::chrono::microseconds(call.emulated_round_trip));
      co_await wait.async_wait(kTuple);
    }
    const PoolKey key{&context, call.target.address, call.target.port, call.target.tls};
    const auto end = std::chrono::steady_clock::now() + call.timeout;
    // A kept connection may have been closed by the other side a moment ago. When it breaks before a byte of the answer
    // came, a safe request is sent once more on a fresh one, in what is left of its time.
    for (;;) {
      auto connection = take(key);
      if (!connection) {
        auto fresh = co_await connect(context, call);
        if (!fresh) {
          resolve(fail(std::move(fresh).error()));
          co_return;
        }
        connection = std::move(*fresh);
      }
      const bool reused = connection->used;
      auto result = co_await exchange(*connection, call);
      if (result) {
        // A connection to whoever answered is not for calls that care.
        put(key, std::move(connection), result->second && !call.target.any_certificate);
        resolve(std::move(result->first));
        co_return;
      }
      const bool safe = call.method == "GET" || call.method == "HEAD";
      call.timeout = std::chrono::duration_cast<Duration>(end - std::chrono::steady_clock::now());
      if (call.timeout > 0us && reused && (safe || result.error().code == Code::kUnavailable)) continue;
      resolve(fail(std::move(result).error()));
      co_return;
    }
  }

  Awaitable<Result<std::unique_ptr<Connection>>> connect(asio::io_context& context, const HttpCall& call) {
    const std::string where = call.target.address + ":" + std::to_string(call.target.port);
    boost::system::error_code error;
    const auto address = asio::ip::make_address(call.target.address, error);
    if (error) co_return fail(Code::kInvalid, "'" + call.target.address + "' is not an address");
    auto connection = std::make_unique<Connection>();
    if (call.target.tls) {
      connection->tls = std::make_unique<TlsStream>(context, *tls_);
    } else {
      connection->plain = std::make_unique<TcpStream>(context);
    }
    TcpStream& stream = connection->lowest();
    stream.socket().open(address.is_v6() ? tcp::v6() : tcp::v4(), error);
    if (!error && !options_.local_address.empty()) {
      const auto local = asio::ip::make_address(options_.local_address, error);
      if (!error && local.is_v6() == address.is_v6()) stream.socket().bind({local, 0}, error);
    }
    if (error) co_return fail(Code::kUnavailable, "no connection to " + where + ": " + error.message());
    stream.expires_after(call.connect_timeout);
    auto [failed] = co_await stream.async_connect({address, call.target.port}, kTuple);
    if (failed) co_return fail(Code::kUnavailable, "no connection to " + where + ": " + failed.message());
    stream.socket().set_option(tcp::no_delay(true), error);
    if (connection->tls) {
      const std::string& name = call.target.server_name.empty() ? call.target.address : call.target.server_name;
      boost::system::error_code ignored;
      asio::ip::make_address(name, ignored);
      if (ignored) SSL_set_tlsext_host_name(connection->tls->native_handle(), name.c_str());
      if (call.target.any_certificate) {
        connection->tls->set_verify_mode(asio::ssl::verify_none);
      } else {
        connection->tls->set_verify_callback(asio::ssl::host_name_verification(name));
      }
      auto [refused] = co_await connection->tls->async_handshake(asio::ssl::stream_base::client, kTuple);
      if (refused) co_return fail(Code::kUnavailable, "no TLS connection to " + where + ": " + refused.message());
    }
    co_return connection;
  }

  Awaitable<Result<std::pair<HttpResponse, bool>>> exchange(Connection& connection, const HttpCall& call) {
    if (connection.tls) co_return co_await exchange_on(*connection.tls, connection, call);
    co_return co_await exchange_on(*connection.plain, connection, call);
  }

  // The response and whether the connection may be kept.
  template <class Stream>
  Awaitable<Result<std::pair<HttpResponse, bool>>> exchange_on(Stream& stream, Connection& connection,
                                                               const HttpCall& call) {
    http::request<http::span_body<const char>> out;
    out.version(11);
    out.method_string(call.method);
    out.target(call.path);
    for (const auto& [name, value] : call.headers.all()) out.insert(name, value);
    if (out.find(http::field::host) == out.end()) {
      out.set(http::field::host, call.target.server_name.empty()
                                     ? call.target.address + ":" + std::to_string(call.target.port)
                                     : call.target.server_name);
    }
    out.body() = {call.body.data(), call.body.size()};
    if (!call.body.empty() || call.method == "POST") out.content_length(call.body.size());
    connection.lowest().expires_after(call.timeout);
    connection.used = true;
    auto [write_error, sent] = co_await http::async_write(stream, out, kTuple);
    if (write_error) {
      // On a broken connection the kernel may still have taken bytes; only nothing at all is nothing.
      co_return fail(sent == 0 ? Code::kUnavailable : Code::kUnknownOutcome,
                     "the request could not be sent: " + write_error.message());
    }
    http::response_parser<http::string_body> parser;
    parser.body_limit(call.max_response_bytes);
    if (call.method == "HEAD") parser.skip(true);
    auto [read_error, got] = co_await http::async_read(stream, connection.buffer, parser, kTuple);
    if (read_error) co_return fail(Code::kUnknownOutcome, "no answer: " + read_error.message());
    const bool keep = parser.get().keep_alive();
    auto in = parser.release();
    HttpResponse response;
    response.status = static_cast<int>(in.result_int());
    for (const auto& field : in) response.headers.add(field.name_string(), field.value());
    response.body = std::move(in.body());
    co_return std::pair(std::move(response), keep);
  }

  std::unique_ptr<Connection> take(const PoolKey& key) {
    std::lock_guard lock(mutex_);
    auto& pool = pools_[key];
    const auto now = std::chrono::steady_clock::now();
    while (!pool.empty()) {
      auto connection = std::move(pool.back());
      pool.pop_back();
      if (now - connection->idle_since < options_.idle_timeout) return connection;
    }
    return nullptr;
  }

  void put(const PoolKey& key, std::unique_ptr<Connection> connection, bool keep) {
    if (!keep) return;
    connection->lowest().expires_never();
    connection->idle_since = std::chrono::steady_clock::now();
    std::lock_guard lock(mutex_);
    auto& pool = pools_[key];
    if (pool.size() < options_.idle_per_target) pool.push_back(std::move(connection));
  }

  HttpClientOptions options_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::mutex mutex_;
  std::map<PoolKey, std::deque<std::unique_ptr<Connection>>> pools_;
  AsioThread thread_{"http-client"};
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(HttpClientOptions options) {
  EC_ASSIGN(auto tls, client_tls(options.tls));
  return std::make_unique<ClientImpl>(std::move(options), std::move(tls));
}

}  // namespace evercert::net
