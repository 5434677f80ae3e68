// SPDX-License-Identifier: Apache-2.0
#include "net/tls_probe.h"

#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>

#include "net/asio_runtime.h"

namespace evercert::net {
namespace {

namespace beast = boost::beast;
template <class T>
using Awaitable = asio::awaitable<T, IoExecutor>;
constexpr asio::as_tuple_t<asio::use_awaitable_t<IoExecutor>> kTuple;
using TlsStream = beast::ssl_stream<beast::basic_stream<tcp, IoExecutor>>;

std::string certificate_of(SSL* ssl) {
  X509* shown = SSL_get0_peer_certificate(ssl);
  unsigned char* der = nullptr;
  const int size = shown == nullptr ? 0 : i2d_X509(shown, &der);
  std::string out;
  if (size > 0) out.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

class ProbeImpl final : public TlsProbe {
 public:
  explicit ProbeImpl(std::string local_address) : local_address_(std::move(local_address)) {
    SSL_CTX_set_min_proto_version(tls_.native_handle(), TLS1_2_VERSION);
    tls_.set_verify_mode(asio::ssl::verify_none);
  }

  Task<Result<TlsShown>> ask(Executor& on, TlsQuestion question) override {
    auto start = [this, &question](auto resolve) {
      asio::co_spawn(thread_.context, run(std::move(question), std::move(resolve)), asio::detached);
    };
    auto asking = suspend_on<Result<TlsShown>>(on, std::move(start));
    co_return co_await asking;
  }

 private:
  template <class Resolve>
  Awaitable<void> run(TlsQuestion question, Resolve resolve) {
    resolve(co_await look(question));
  }

  Awaitable<Result<TlsShown>> look(const TlsQuestion& question) {
    const std::string where = question.address + ":" + std::to_string(question.port);
    boost::system::error_code error;
    const auto address = asio::ip::make_address(question.address, error);
    if (error) co_return fail(Code::kInvalid, "'" + question.address + "' is not an address");
    TlsStream stream(thread_.context, tls_);
    auto& lowest = beast::get_lowest_layer(stream);
    lowest.socket().open(address.is_v6() ? tcp::v6() : tcp::v4(), error);
    if (!error && !local_address_.empty()) {
      const auto local = asio::ip::make_address(local_address_, error);
      if (!error && local.is_v6() == address.is_v6()) lowest.socket().bind({local, 0}, error);
    }
    if (error) co_return fail(Code::kUnavailable, "no connection to " + where + ": " + error.message());
    lowest.expires_after(question.connect_timeout);
    auto [failed] = co_await lowest.async_connect({address, question.port}, kTuple);
    if (failed) co_return fail(Code::kUnavailable, "no connection to " + where + ": " + failed.message());
    SSL* ssl = stream.native_handle();
    SSL_set_tlsext_host_name(ssl, question.server_name.c_str());
    const std::string offered = static_cast<char>(question.protocol.size()) + question.protocol;
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(offered.data()),
                        static_cast<unsigned int>(offered.size()));
    lowest.expires_after(question.timeout);
    auto [refused] = co_await stream.async_handshake(asio::ssl::stream_base::client, kTuple);
    if (refused) co_return fail(Code::kDenied, "no TLS with " + where + ": " + refused.message());
    TlsShown shown;
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &size);
    if (size > 0) shown.protocol.assign(reinterpret_cast<const char*>(chosen), size);
    shown.certificate = certificate_of(ssl);
    co_return shown;
  }

  std::string local_address_;
  asio::ssl::context tls_{asio::ssl::context::tls_client};
  AsioThread thread_{"tls-probe"};
};

}  // namespace

std::unique_ptr<TlsProbe> TlsProbe::create(std::string local_address) {
  return std::make_unique<ProbeImpl>(std::move(local_address));
}

}  // namespace evercert::net
