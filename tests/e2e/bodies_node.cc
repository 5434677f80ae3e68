// SPDX-License-Identifier: Apache-2.0
// Stands in for a node, for the test of large bodies: bodies_node ADDRESS PORT CERTIFICATE KEY CA CLUSTER. It has
// bodies of any size, and takes them, on the link that nodes have.
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>

#include "base/encoding.h"
#include "net/body.h"
#include "net/link_server.h"

namespace evercert {
namespace {

std::atomic<int> alive{0};
std::atomic<std::uint64_t> given{0};

// The same bytes at the same place whoever asks: a piece that is lost, doubled or changed shows.
class Pattern : public net::BodySource {
 public:
  explicit Pattern(std::uint64_t size) : size_(size) { ++alive; }
  ~Pattern() override { --alive; }
  Task<Result<std::string>> next(Executor&) override {
    std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(size_ - at_, 50'000)), '\0');
    for (std::size_t i = 0; i < piece.size(); i += 8) {
      const std::uint64_t word = (at_ + i) / 8 * 0x9e3779b97f4a7c15;
      for (std::size_t j = i; j < std::min(i + 8, piece.size()); ++j)
        piece[j] = static_cast<char>(word >> (8 * (j - i)));
    }
    at_ += piece.size();
    given += piece.size();
    co_return piece;
  }
  void give_up() override {}

 private:
  std::uint64_t at_ = 0;
  const std::uint64_t size_;
};

Task<net::HttpResponse> take(net::HttpRequest request) {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_DigestInit_ex(digest, EVP_sha256(), nullptr);
  EVP_DigestUpdate(digest, request.body.data(), request.body.size());
  std::uint64_t size = request.body.size();
  net::HttpResponse response;
  while (request.source) {
    auto piece = co_await request.source->next(*request.executor);
    if (!piece) {
      response = net::problem(400, "Bad Request", piece.error().message);
      break;
    }
    if (piece->empty()) break;
    size += piece->size();
    EVP_DigestUpdate(digest, piece->data(), piece->size());
  }
  std::array<std::uint8_t, 32> out{};
  EVP_DigestFinal_ex(digest, out.data(), nullptr);
  EVP_MD_CTX_free(digest);
  if (response.status == 200)
    response.body = std::to_string(size) + " " + to_hex({reinterpret_cast<const char*>(out.data()), out.size()}) +
                    (request.source ? " pieces\n" : " whole\n");
  co_return response;
}

Task<net::HttpResponse> answer(net::HttpRequest request) {
  net::HttpResponse response;
  if (request.path == "/readyz") co_return response;
  if (request.path == "/v1/alive") {
    response.body = std::to_string(alive) + " " + std::to_string(given) + "\n";
    co_return response;
  }
  if (request.method == "POST" && request.path == "/v1/bodies") {
    auto taking = take(std::move(request));
    co_return co_await std::move(taking);
  }
  constexpr std::string_view kBodies = "/v1/bodies/";
  std::uint64_t size = 0;
  if (!request.path.starts_with(kBodies)) co_return net::problem(404, "Not Found", request.path);
  std::from_chars(request.path.data() + kBodies.size(), request.path.data() + request.path.size(), size);
  response.source = std::make_shared<Pattern>(size);
  if (request.query != "chunked") response.length = size;
  co_return response;
}

}  // namespace
}  // namespace evercert

int main(int count, char** arguments) {
  using namespace evercert;
  if (count != 7) {
    std::fprintf(stderr, "bodies_node ADDRESS PORT CERTIFICATE KEY CA CLUSTER\n");
    return 2;
  }
  net::LinkServerOptions options;
  options.address = arguments[1];
  options.port = static_cast<std::uint16_t>(std::stoi(arguments[2]));
  options.tls = {arguments[3], arguments[4], arguments[5]};
  options.admitted = std::string("evercert://") + arguments[6] + "/edge/";
  auto server = net::LinkServer::start(options, answer, [](net::HttpRequest) -> Task<net::HttpResponse> {
    co_return net::problem(404, "Not Found", "");
  });
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  for (;;) ::pause();
}
