// SPDX-License-Identifier: Apache-2.0
// What a message between nodes costs: two nodes on one core, a batch of the first answered by a word of the second.
//   peer_transport_bench [BYTES [SECONDS]]
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/os/system.h"
#include "bench/workbench.h"
#include "ceremony/ceremony.h"
#include "config/paths.h"
#include "net/grpc_host.h"
#include "net/peer_transport.h"

namespace evercert::bench {
namespace {

constexpr std::size_t kWordBytes = 60;

// A node with a store's thread: it answers each batch with `says`.
class Node {
 public:
  Status start(const config::ClusterConfig& config, std::size_t n, std::string says) {
    says_ = std::move(says);
    net::PeerTransportOptions options;
    for (std::size_t r = 0; r < 2; ++r) {
      const auto& node = config.regions[r].nodes.front();
      options.peers.push_back({node.id, node.address, node.peer_port});
    }
    options.self = options.peers[n].node;
    options.cluster = config.name;
    options.listen_address = options.peers[n].address;
    options.listen_port = options.peers[n].port;
    const config::Paths paths(config.dir);
    const std::string base = paths.node(config.regions[n].name, config.regions[n].nodes.front().zone);
    options.tls = {base + ".pem", base + ".key", paths.root_certificate()};
    other_ = options.peers[1 - n].node;
    const auto heard = [this](NodeId, const std::string&) {
      ++heard_;
      say();
    };
    EC_ASSIGN(transport_, net::PeerTransport::create(
                              std::move(options), host_, os::secure_random(), heard, [](NodeId) {}, [](Error) {}));
    EC_TRY(host_.start());
    transport_->begin();
    return {};
  }
  ~Node() {
    store_->stop();
    if (!transport_) return;
    transport_->close();
    host_.shutdown();
    transport_->wait_ended();
    host_.stop();
  }
  void say() {
    store_->post([this] { transport_->send(other_, says_); });
  }
  std::uint64_t heard() const { return heard_; }

 private:
  std::string says_;
  NodeId other_;
  std::atomic<std::uint64_t> heard_{0};
  std::unique_ptr<os::ThreadExecutor> store_ = os::ThreadExecutor::start("store");
  net::GrpcHost host_;
  std::unique_ptr<net::PeerTransport> transport_;
};

Status measure(const std::string& dir, std::size_t bytes, double seconds) {
  ceremony::CeremonyOptions ceremony;
  ceremony.dir = dir;
  ceremony.hsm = false;
  EC_TRY(ceremony::run(ceremony, [](const std::string&) {}));
  EC_ASSIGN(const auto config, config::load_cluster(dir + "/cluster.yaml"));
  const OnCore one(kServerCore);
  os::run_in_batches();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Node second;
    if (!second.start(config, 1, std::string(kWordBytes, 'w'))) _exit(1);
    for (;;) ::pause();
  }
  Node first;
  EC_TRY(first.start(config, 0, std::string(bytes, 'b')));
  for (int tries = 0; first.heard() == 0 && tries < 100; ++tries) {
    first.say();
    pause_for(100ms);
  }
  const auto used = [&] { return cpu_seconds(getpid()) + cpu_seconds(child); };
  const Instant begun = now();
  const double used_before = used();
  const std::uint64_t heard_before = first.heard();
  while (seconds_since(begun) < seconds) pause_for(10ms);
  const auto done = static_cast<double>(first.heard() - heard_before);
  line(std::to_string(bytes) + " bytes there and a word back", done / seconds_since(begun), "a second");
  line("CPU time of one such exchange", (used() - used_before) / done * 1e6, "us");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return {};
}

}  // namespace
}  // namespace evercert::bench

int main(int argc, char** argv) {
  char dir[] = "/tmp/evercert-peers-XXXXXX";
  if (mkdtemp(dir) == nullptr) return 1;
  const auto status =
      evercert::bench::measure(std::string(dir) + "/cluster", argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 15'000,
                               argc > 2 ? std::strtod(argv[2], nullptr) : 3);
  std::error_code ignored;
  std::filesystem::remove_all(dir, ignored);
  if (status) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}
