// SPDX-License-Identifier: Apache-2.0
#include "net/peer_door.h"

#include <algorithm>
#include <array>

#include "base/rfc3339.h"

namespace evercert::net {
namespace {

constexpr Duration kTellAgain = 60s;
constexpr Duration kRestart = 1s;  // a process that was killed and started again may come before its last stream ends
constexpr std::size_t kMostRefused = 64;

std::string name_of(NodeId node) {
  return "node " + std::to_string(node.value) + " (region " + std::to_string(region_of(node).value) + ", zone " +
         std::to_string(node.value % 256) + ")";
}

std::string foreign(const PeerCaller& caller, const std::string& own_id) {
  const bool reformed = caller.cluster_id.starts_with(own_id + "/") || own_id.starts_with(caller.cluster_id + "/");
  std::string text = name_of(caller.node) + " at " + caller.address + " belongs to cluster " +
                     (caller.cluster_id.empty() ? "(it does not say which)" : caller.cluster_id) +
                     ", and this node to cluster " + own_id + ": ";
  if (reformed)
    return text +
           "the quorum was made anew by 'evercert recover' on one of them and not on the other. A node that was left "
           "out must not run again on its old data folder; with an empty one it joins by 'evercert recover --join'";
  return text +
         "it was started with another cluster's file, or an old one. Start it with this cluster's file and a data "
         "folder of this cluster";
}

}  // namespace

bool PeerDoor::worth_telling(const PeerCaller& caller, Duration patience, Instant now) {
  if (refused_.size() >= kMostRefused) refused_.clear();
  auto [found, fresh] = refused_.try_emplace({caller.node, caller.start_id}, Refused{now, now, false});
  Refused& refused = found->second;
  if (now - refused.since < patience || (refused.ever_told && now - refused.told < kTellAgain)) return false;
  refused.told = now;
  refused.ever_told = true;
  return true;
}

std::optional<PeerRefusal> PeerDoor::knocks(const PeerCaller& caller, Instant now) {
  if (caller.cluster_id != cluster_id_) {
    const bool tell = worth_telling(caller, Duration{0}, now);
    return PeerRefusal{PeerRefusal::Kind::kForeign, foreign(caller, cluster_id_), 0, tell};
  }
  Inside& inside = inside_[caller.node];
  const bool runs = inside.streams > 0 && now - inside.heard < alive_;
  if (inside.start_id != caller.start_id && runs) {
    const bool tell = worth_telling(caller, kRestart, now);
    return PeerRefusal{PeerRefusal::Kind::kDuplicate,
                       name_of(caller.node) + " runs already, at " + inside.address + " since " +
                           rfc3339(static_cast<std::int64_t>(inside.start_id)) + ", and another process, at " +
                           caller.address + " since " + rfc3339(static_cast<std::int64_t>(caller.start_id)) +
                           ", has the same identity: two would vote twice. End one of them; a copied machine needs a "
                           "node of its own in the cluster file",
                       inside.start_id, tell};
  }
  if (inside.start_id != caller.start_id) inside = {caller.start_id, caller.address, 0, now};
  inside.heard = now;
  ++inside.streams;
  refused_.erase({caller.node, caller.start_id});
  return std::nullopt;
}

bool PeerDoor::heard(NodeId node, std::uint64_t start_id, Instant now) {
  Inside& inside = inside_[node];
  if (inside.start_id != start_id) return false;
  inside.heard = now;
  return true;
}

void PeerDoor::leaves(NodeId node, std::uint64_t start_id) {
  Inside& inside = inside_[node];
  if (inside.start_id == start_id && inside.streams > 0) --inside.streams;
}

bool DuplicateWatch::refused(NodeId peer, std::uint64_t running_since, Instant now) {
  const auto since = refused_since_.try_emplace(peer, now).first->second;
  return running_since < start_id_ && now - since >= patience_;
}

void DuplicateWatch::let_in(NodeId peer) { refused_since_.erase(peer); }

std::string explain_handshake(std::string_view openssl_words) {
  constexpr std::array kOtherRoot = {"certificate verify failed", "unknown ca", "CERTIFICATE_VERIFY_FAILED"};
  constexpr std::array kNoCertificate = {"peer did not return a certificate", "certificate required"};
  const auto speaks_of = [&](const auto& words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const char* word) { return openssl_words.find(word) != std::string_view::npos; });
  };
  if (speaks_of(kOtherRoot))
    return "its certificates and ours do not come from the same root: one of the two is a node of another cluster, or "
           "has "
           "keys from before this cluster was made anew, or a certificate that has expired. Compare public/root.pem "
           "beside the cluster files of both";
  if (speaks_of(kNoCertificate)) return "it shows no certificate: whatever it is, it is no node of this cluster";
  return {};
}

bool OnceAMinute::tell(const std::string& about, Instant now) {
  if (told_.size() >= kMostRefused) told_.clear();
  const auto [told, fresh] = told_.try_emplace(about, now);
  if (!fresh && now - told->second < kTellAgain) return false;
  told->second = now;
  return true;
}

std::optional<std::string> RefusedHandshakes::tell(std::string_view words, Instant now) {
  std::string why = explain_handshake(words);
  // A client says nothing when it does not like our certificate: it hangs up.
  if (why.empty() && words.find("Handshake read failed") != std::string_view::npos)
    why =
        "the other side ended the TLS handshake. As a rule it does not accept our certificate: it is a node of another "
        "cluster, or has keys from before this cluster was made anew. Compare public/root.pem beside the cluster "
        "files of both";
  if (why.empty()) return std::nullopt;
  constexpr std::string_view kAddress = "target_address:\"";
  std::string address = "an unknown address";
  if (const auto begin = words.find(kAddress); begin != std::string_view::npos) {
    address = words.substr(begin + kAddress.size());
    address.resize(std::min(address.find('"'), address.size()));
    address.resize(std::min(address.rfind(':'), address.size()));  // another port each time
  }
  if (!told_.tell(address, now)) return std::nullopt;
  return "a connection from " + address + " was refused: " + why;
}

}  // namespace evercert::net
