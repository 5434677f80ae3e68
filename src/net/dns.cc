// SPDX-License-Identifier: Apache-2.0
#include "net/dns.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/os/system.h"

namespace evercert::net {
namespace {

template <class T, auto Free>
using Owned = std::unique_ptr<T, decltype([](T* p) { Free(p); })>;
using PacketPtr = Owned<ldns_pkt, ldns_pkt_free>;
using NamePtr = Owned<ldns_rdf, ldns_rdf_deep_free>;
using ResolverPtr = Owned<ldns_resolver, ldns_resolver_deep_free>;

std::string text_of(const ldns_rdf* data) {
  char* raw = ldns_rdf2str(data);
  std::string text = raw == nullptr ? "" : raw;
  free(raw);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return text;
}

ldns_rr_type wire_type(DnsType type) {
  switch (type) {
    case DnsType::kA: return LDNS_RR_TYPE_A;
    case DnsType::kAaaa: return LDNS_RR_TYPE_AAAA;
    case DnsType::kTxt: return LDNS_RR_TYPE_TXT;
    case DnsType::kNs: return LDNS_RR_TYPE_NS;
    case DnsType::kCaa: break;
  }
  return LDNS_RR_TYPE_CAA;
}

class ResolverImpl : public DnsResolver {
 public:
  ResolverImpl(std::string server, std::string local, int at_once)
      : server_(std::move(server)), local_(std::move(local)), workers_(os::WorkerPool::start("dns", at_once)) {}

  Task<Result<std::vector<std::string>>> lookup(Executor& on, std::string name, DnsType type) override {
    auto start = [this, &name, type](auto resolve) {
      workers_->post([this, name, type, resolve]() mutable { resolve(ask(name, type)); });
    };
    auto answered = suspend_on<Result<std::vector<std::string>>>(on, start);
    co_return co_await answered;
  }

 private:
  Result<std::vector<std::string>> ask(const std::string& name, DnsType type) const {
    ldns_resolver* made = nullptr;
    if (server_.empty()) {  // the machine's own
      if (ldns_resolver_new_frm_file(&made, nullptr) != LDNS_STATUS_OK)
        return fail(Code::kUnavailable, "/etc/resolv.conf cannot be used");
    } else {
      made = ldns_resolver_new();
    }
    const ResolverPtr resolver(made);
    if (!server_.empty()) {
      const auto colon = server_.rfind(':');
      const NamePtr address(ldns_rdf_new_frm_str(LDNS_RDF_TYPE_A, server_.substr(0, colon).c_str()));
      if (!address || colon == std::string::npos)
        return fail(Code::kInvalid, "the resolver must be given as address:port");
      ldns_resolver_push_nameserver(resolver.get(), address.get());
      ldns_resolver_set_port(resolver.get(),
                             static_cast<uint16_t>(std::strtoul(server_.c_str() + colon + 1, nullptr, 10)));
    }
    ldns_resolver_set_timeout(resolver.get(), timeval{1, 0});
    ldns_resolver_set_retry(resolver.get(), 2);
    ldns_resolver_set_recursive(resolver.get(), true);
    if (!local_.empty())
      ldns_resolver_set_source(resolver.get(), ldns_rdf_new_frm_str(LDNS_RDF_TYPE_A, local_.c_str()));
    const NamePtr owner(ldns_dname_new_frm_str(name.c_str()));
    if (!owner) return fail(Code::kInvalid, "'" + name + "' is not a DNS name");
    ldns_pkt* raw = nullptr;
    const auto status =
        ldns_resolver_query_status(&raw, resolver.get(), owner.get(), wire_type(type), LDNS_RR_CLASS_IN, LDNS_RD);
    const PacketPtr packet(raw);
    if (status != LDNS_STATUS_OK || !packet) {
      return fail(Code::kUnavailable, "no DNS answer for " + name + ": " + ldns_get_errorstr_by_id(status));
    }
    const auto code = ldns_pkt_get_rcode(packet.get());
    if (code != LDNS_RCODE_NOERROR && code != LDNS_RCODE_NXDOMAIN) {
      return fail(Code::kUnavailable,
                  "the DNS answer for " + name + " is an error (rcode " + std::to_string(code) + ")");
    }
    std::vector<std::string> found;
    const ldns_rr_list* answers = ldns_pkt_answer(packet.get());
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(answers) && i < 64; ++i) {
      const ldns_rr* rr = ldns_rr_list_rr(answers, i);
      if (ldns_rr_get_type(rr) != wire_type(type)) continue;
      std::string value;
      for (std::size_t k = 0; k < ldns_rr_rd_count(rr); ++k) {
        value += (type == DnsType::kCaa && k > 0 ? " " : "") + text_of(ldns_rr_rdf(rr, k));
      }
      found.push_back(std::move(value));
    }
    return found;
  }

  std::string server_, local_;
  std::unique_ptr<os::WorkerPool> workers_;
};

class DemoDnsImpl : public DemoDns {
 public:
  explicit DemoDnsImpl(std::string answer) : answer_(std::move(answer)) {}
  ~DemoDnsImpl() override {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    if (socket_ >= 0) ::close(socket_);
  }

  Status open(const std::string& address, std::uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &here.sin_addr);
    if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0) {
      return fail(Code::kIo, "the demo's resolver cannot listen on " + address + ":" + std::to_string(port) + ": " +
                                 std::strerror(errno));
    }
    thread_ = std::thread([this] { serve(); });
    return {};
  }

 private:
  void serve() {
    while (!stopping_) {
      pollfd waiting{socket_, POLLIN, 0};
      if (::poll(&waiting, 1, 200) <= 0) continue;
      std::uint8_t query[1500];
      sockaddr_in from{};
      socklen_t length = sizeof from;
      const ssize_t n = ::recvfrom(socket_, query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (n <= 0) continue;
      const std::string reply = answer(query, static_cast<std::size_t>(n));
      if (!reply.empty()) ::sendto(socket_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  // Empty: not a question that could be answered.
  std::string answer(const std::uint8_t* query, std::size_t n) const {
    ldns_pkt* raw = nullptr;
    if (ldns_wire2pkt(&raw, query, n) != LDNS_STATUS_OK) return {};
    const PacketPtr packet(raw);
    if (ldns_pkt_qr(packet.get()) || ldns_rr_list_rr_count(ldns_pkt_question(packet.get())) != 1) return {};
    const ldns_rr* question = ldns_rr_list_rr(ldns_pkt_question(packet.get()), 0);
    const NamePtr zone(ldns_dname_new_frm_str("test."));
    ldns_pkt_set_qr(packet.get(), true);
    ldns_pkt_set_aa(packet.get(), true);
    const bool inside = ldns_dname_is_subdomain(ldns_rr_owner(question), zone.get()) ||
                        ldns_dname_compare(ldns_rr_owner(question), zone.get()) == 0;
    const NamePtr root(ldns_dname_new_frm_str("."));
    if (ldns_dname_compare(ldns_rr_owner(question), root.get()) == 0) {
      ldns_pkt_set_rcode(packet.get(), LDNS_RCODE_NOERROR);
    } else if (!inside) {
      ldns_pkt_set_rcode(packet.get(), LDNS_RCODE_REFUSED);
    } else if (ldns_rr_get_type(question) == LDNS_RR_TYPE_A) {
      ldns_rr* rr = ldns_rr_new();
      ldns_rr_set_owner(rr, ldns_rdf_clone(ldns_rr_owner(question)));
      ldns_rr_set_type(rr, LDNS_RR_TYPE_A);
      ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
      ldns_rr_set_ttl(rr, 5);
      ldns_rr_push_rdf(rr, ldns_rdf_new_frm_str(LDNS_RDF_TYPE_A, answer_.c_str()));
      ldns_pkt_push_rr(packet.get(), LDNS_SECTION_ANSWER, rr);
    }
    std::uint8_t* wire = nullptr;
    std::size_t size = 0;
    if (ldns_pkt2wire(&wire, packet.get(), &size) != LDNS_STATUS_OK) return {};
    std::string out(reinterpret_cast<char*>(wire), size);
    free(wire);
    return out;
  }

  std::string answer_;
  int socket_ = -1;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

std::unique_ptr<DnsResolver> DnsResolver::create(std::string server, std::string local_address, int at_once) {
  return std::make_unique<ResolverImpl>(std::move(server), std::move(local_address), at_once);
}

Result<std::unique_ptr<DemoDns>> DemoDns::start(const std::string& address, std::uint16_t port, std::string answer) {
  auto dns = std::make_unique<DemoDnsImpl>(std::move(answer));
  EC_TRY(dns->open(address, port));
  return dns;
}

}  // namespace evercert::net
