// SPDX-License-Identifier: Apache-2.0
#include "net/asio_runtime.h"

#include <openssl/x509v3.h>
#include <pthread.h>

#include "base/log.h"

namespace evercert::net {

namespace {

void run_busily(asio::io_context& context, std::chrono::microseconds busy_poll) {
  using Clock = std::chrono::steady_clock;
  for (auto last = Clock::now(); !context.stopped();) {
    if (context.poll() > 0) {
      last = Clock::now();
    } else if (Clock::now() - last >= busy_poll) {
      context.run_one();
      last = Clock::now();
    }
  }
}

}  // namespace

AsioThread::AsioThread(const char* name, Duration busy_poll)
    : thread_([this, name = std::string(name), busy_poll] {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        if (busy_poll > Duration{0}) {
          run_busily(context, busy_poll);
        } else {
          context.run();
        }
      }) {}

AsioThread::~AsioThread() { stop(); }

void AsioThread::stop() {
  context.stop();
  if (thread_.joinable()) thread_.join();
}

namespace {

Result<std::shared_ptr<asio::ssl::context>> make_context(asio::ssl::context::method method, const TlsFiles& files) {
  auto context = std::make_shared<asio::ssl::context>(method);
  boost::system::error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                       asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1 |
                       asio::ssl::context::no_compression);
  SSL_CTX* raw = context->native_handle();
  // Idle connections hold no buffers; a write may take what fits and go on later from another address.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A record comes in by one system call, not by one for its header and one for the rest.
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION);
  if (!files.certificate_chain.empty()) {
    context->use_certificate_chain_file(files.certificate_chain, error);
    if (error) return fail(Code::kInvalid, files.certificate_chain + ": no certificate chain: " + error.message());
    context->use_private_key_file(files.private_key, asio::ssl::context::pem, error);
    if (error)
      return fail(Code::kInvalid,
                  files.private_key + ": no private key for " + files.certificate_chain + ": " + error.message());
  }
  if (!files.ca_bundle.empty()) {
    context->load_verify_file(files.ca_bundle, error);
    if (error) return fail(Code::kInvalid, files.ca_bundle + ": no CA certificates: " + error.message());
  }
  return context;
}

}  // namespace

bool agreed_on_http2(const SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return size == 2 && name[0] == 'h' && name[1] == '2';
}

Result<std::shared_ptr<asio::ssl::context>> server_tls(const TlsFiles& files, ClientCertificates clients) {
  EC_ASSIGN(auto context, make_context(asio::ssl::context::tls_server, files));
  SSL_CTX* raw = context->native_handle();
  // Resumption: a new connection costs a signature and more, a resumed one does not.
  static constexpr unsigned char kContextId[] = "evercert";
  SSL_CTX_set_session_id_context(raw, kContextId, sizeof kContextId - 1);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_SERVER);
  SSL_CTX_set_num_tickets(raw, 1);
  if (clients != ClientCertificates::kNone) {
    context->set_verify_mode(asio::ssl::verify_peer |
                             (clients == ClientCertificates::kRequired ? asio::ssl::verify_fail_if_no_peer_cert : 0));
  }
  return context;
}

Result<std::shared_ptr<asio::ssl::context>> client_tls(const TlsFiles& files) {
  EC_ASSIGN(auto context, make_context(asio::ssl::context::tls_client, files));
  context->set_verify_mode(asio::ssl::verify_peer);
  return context;
}

std::string peer_identity(SSL* ssl) {
  X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return {};
  // A session that is resumed was verified when it began.
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) return {};
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  std::string found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && found.empty(); ++i) {
    int type = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    const std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                           static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (type == GEN_URI && text.starts_with("evercert://")) found = text;
  }
  GENERAL_NAMES_free(names);
  return found;
}

}  // namespace evercert::net
