// SPDX-License-Identifier: Apache-2.0
#include "net/http_client.h"

#include <poll.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <tuple>

#include "net/asio_runtime.h"
#include "net/body.h"

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

using Rest = http::response_parser<http::buffer_body>;

// What came of an answer: all, or its header.
struct Exchanged {
  HttpResponse response;
  bool keep = false;
  std::unique_ptr<Rest> rest = nullptr;
};

// So that nothing is asked of a task before it is awaited, and its value comes back on this context.
template <class T>
Awaitable<T> value_of(asio::io_context& context, Task<T> task) {
  struct State {
    explicit State(asio::io_context& io) : wait(io, std::chrono::steady_clock::time_point::max()) {}
    std::optional<T> value;
    Timer wait;
  };
  auto state = std::make_shared<State>(context);
  spawn(std::move(task), [state](T value) {
    state->value.emplace(std::move(value));
    state->wait.cancel();
  });
  while (!state->value) co_await state->wait.async_wait(kTuple);
  co_return std::move(*state->value);
}

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
    if (own == nullptr) {
      call.whole_below = 0;
      if (call.source) co_return fail(Code::kInvalid, "a body in pieces cannot go from thread to thread");
    }
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
      auto result = co_await exchange(context, *connection, call);
      if (result) {
        // A connection to whoever answered is not for calls that care.
        const bool keep = result->keep && !call.target.any_certificate;
        if (result->rest) {
          result->response.source =
              std::make_shared<Body>(*this, key, std::move(connection), std::move(result->rest), keep, call.timeout);
        } else {
          put(key, std::move(connection), keep);
        }
        resolve(std::move(result->response));
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

  Awaitable<Result<Exchanged>> exchange(asio::io_context& context, Connection& connection, HttpCall& call) {
    if (connection.tls) co_return co_await exchange_on(context, *connection.tls, connection, call);
    co_return co_await exchange_on(context, *connection.plain, connection, call);
  }

  // The whole answer, or its header when the rest is to come in pieces.
  template <class Stream>
  Awaitable<Result<Exchanged>> exchange_on(asio::io_context& context, Stream& stream, Connection& connection,
                                           HttpCall& call) {
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
    if (call.source && !call.length) {
      out.set(http::field::transfer_encoding, "chunked");
    } else if (call.source) {
      out.content_length(*call.length);
    } else if (!call.body.empty() || call.method == "POST") {
      out.content_length(call.body.size());
    }
    connection.lowest().expires_after(call.timeout);
    connection.used = true;
    boost::system::error_code write_error;
    std::size_t sent = 0;
    if (call.source) {
      http::request_serializer<http::span_body<const char>> header(out);
      std::tie(write_error, sent) = co_await http::async_write_header(stream, header, kTuple);
    } else {
      std::tie(write_error, sent) = co_await http::async_write(stream, out, kTuple);
    }
    if (write_error) {
      // On a broken connection the kernel may still have taken bytes; only nothing at all is nothing.
      co_return fail(sent == 0 ? Code::kUnavailable : Code::kUnknownOutcome,
                     "the request could not be sent: " + write_error.message());
    }
    if (call.source) {
      const Status all = co_await send_pieces(context, stream, connection, call);
      if (!all) co_return fail(all.error());
    }
    http::response_parser<http::string_body> parser;
    parser.body_limit(call.max_response_bytes);
    if (call.method == "HEAD") parser.skip(true);
    connection.lowest().expires_after(call.timeout);
    if (call.whole_below > 0) {
      parser.body_limit(boost::none);
      auto [header_error, read] = co_await http::async_read_header(stream, connection.buffer, parser, kTuple);
      if (header_error) co_return fail(Code::kUnknownOutcome, "no answer: " + header_error.message());
      const auto length = parser.content_length();
      if (!parser.is_done() && (!length || *length > call.whole_below)) {
        Exchanged begun{head_of(parser.get()), parser.get().keep_alive(), std::make_unique<Rest>(std::move(parser))};
        if (length) begun.response.length = *length;
        co_return begun;
      }
    }
    if (!parser.is_done()) {
      auto [read_error, got] = co_await http::async_read(stream, connection.buffer, parser, kTuple);
      if (read_error) co_return fail(Code::kUnknownOutcome, "no answer: " + read_error.message());
    }
    Exchanged whole{head_of(parser.get()), parser.get().keep_alive()};
    whole.response.body = std::move(parser.get().body());
    co_return whole;
  }

  template <class Message>
  static HttpResponse head_of(const Message& in) {
    HttpResponse response;
    response.status = static_cast<int>(in.result_int());
    for (const auto& field : in) response.headers.add(field.name_string(), field.value());
    return response;
  }

  // A connection that breaks meanwhile may have brought an answer: whoever refuses a body need not read it. A body that
  // breaks off breaks the connection, so that nobody takes it for whole.
  template <class Stream>
  Awaitable<Status> send_pieces(asio::io_context& context, Stream& stream, Connection& connection, HttpCall& call) {
    AsioExecutor on(context);
    std::optional<std::uint64_t> left = call.length;
    for (;;) {
      auto piece = co_await value_of(context, call.source->next(on));
      if (!piece)
        co_return fail(piece.error().code == Code::kUnavailable ? Code::kUnknownOutcome : piece.error().code,
                       "the request's body breaks off: " + piece.error().message);
      const bool end = piece->empty();
      if ((end && left.value_or(0) > 0) || (left && piece->size() > *left))
        co_return fail(Code::kInvalid, "the request's body has not the length that was said");
      if (left) *left -= piece->size();
      if (end && left) co_return Status();
      std::array<char, 20> line{};
      const int size = std::snprintf(line.data(), line.size(), "%zx\r\n", piece->size());
      const std::string_view before =
          left ? std::string_view() : std::string_view(line.data(), static_cast<std::size_t>(size));
      const std::array<asio::const_buffer, 3> parts{asio::buffer(before), asio::buffer(*piece),
                                                    asio::buffer(left ? std::string_view() : std::string_view("\r\n"))};
      connection.lowest().expires_after(call.timeout);
      auto [error, sent] = co_await asio::async_write(stream, parts, kTuple);
      if (error || end) co_return Status();
    }
  }

  // The rest of an answer; has the connection until its end.
  class Body final : public BodySource, public std::enable_shared_from_this<Body> {
   public:
    Body(ClientImpl& client, PoolKey key, std::unique_ptr<Connection> connection, std::unique_ptr<Rest> rest, bool keep,
         Duration timeout)
        : client_(client),
          key_(std::move(key)),
          connection_(std::move(connection)),
          rest_(std::move(rest)),
          keep_(keep),
          timeout_(timeout) {}
    Task<Result<std::string>> next(Executor& on) override {
      auto start = [self = shared_from_this()](auto resolve) {
        asio::io_context& context = *std::get<0>(self->key_);
        asio::co_spawn(context, self->read(self, std::move(resolve)), asio::detached);
      };
      auto reading = suspend_on<Result<std::string>>(on, std::move(start));
      co_return co_await reading;
    }
    void give_up() override {
      keep_ = false;
      boost::system::error_code ignored;
      if (connection_) connection_->lowest().socket().close(ignored);
    }

   private:
    template <class Resolve>
    Awaitable<void> read([[maybe_unused]] std::shared_ptr<Body> keep, Resolve resolve) {
      std::string piece;
      boost::system::error_code error;
      while (connection_ && piece.empty() && !rest_->is_done() && !error) {
        piece.resize(kMostOfAPiece);
        auto& into = rest_->get().body();
        into.data = piece.data();
        into.size = piece.size();
        into.more = true;
        connection_->lowest().expires_after(timeout_);
        std::size_t got = 0;
        if (connection_->tls) {
          std::tie(error, got) = co_await http::async_read_some(*connection_->tls, connection_->buffer, *rest_, kTuple);
        } else {
          std::tie(error, got) =
              co_await http::async_read_some(*connection_->plain, connection_->buffer, *rest_, kTuple);
        }
        piece.resize(piece.size() - rest_->get().body().size);
        if (error == http::error::need_buffer) error = {};
      }
      if (error) {
        connection_.reset();
        resolve(fail(Code::kUnknownOutcome, "the answer breaks off: " + error.message()));
        co_return;
      }
      if (piece.empty() && !rest_->is_done()) {
        resolve(fail(Code::kUnknownOutcome, "the answer broke off"));
        co_return;
      }
      if (piece.empty() && connection_) client_.put(key_, std::move(connection_), keep_);
      resolve(std::move(piece));
    }

    ClientImpl& client_;
    const PoolKey key_;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<Rest> rest_;
    bool keep_;
    const Duration timeout_;
  };

  // What is sent on a connection that the other side has closed meanwhile is of unknown fate, though nobody reads it.
  static bool open(Connection& connection) {
    pollfd of{connection.lowest().socket().native_handle(), POLLRDHUP, 0};
    return poll(&of, 1, 0) == 0;
  }

  std::unique_ptr<Connection> take(const PoolKey& key) {
    std::lock_guard lock(mutex_);
    auto& pool = pools_[key];
    const auto now = std::chrono::steady_clock::now();
    while (!pool.empty()) {
      auto connection = std::move(pool.back());
      pool.pop_back();
      if (now - connection->idle_since < options_.idle_timeout && open(*connection)) return connection;
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
