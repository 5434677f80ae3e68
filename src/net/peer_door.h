// SPDX-License-Identifier: Apache-2.0
// Who may deliver to this node. A certificate says which node a caller is; that alone does not say that it belongs to
// the same cluster (its file may be another's, or the cluster was made anew without it), nor that it is the only
// process with that identity: two of them, as a copied machine makes, would vote twice. Pure: time comes in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"

namespace evercert::net {

struct PeerCaller {
  NodeId node;             // as its certificate says
  std::string cluster_id;  // in hexadecimal digits, with what a reformation put behind it
  std::uint64_t start_id = 0;
  std::string address;
};

struct PeerRefusal {
  enum class Kind { kForeign, kDuplicate } kind;
  std::string message;              // for both logs
  std::uint64_t running_since = 0;  // kDuplicate: the start id of the process that is let in
  bool tell = false;                // for the own log: not at each of its attempts
};

class PeerDoor {
 public:
  // `cluster_id`: see PeerCaller. A process that was heard within `alive` runs.
  explicit PeerDoor(std::string cluster_id, Duration alive = 2s) : cluster_id_(std::move(cluster_id)), alive_(alive) {}

  // nullopt: let in. A process takes the place of another one of the same node when that one has left or is silent.
  std::optional<PeerRefusal> knocks(const PeerCaller& caller, Instant now);
  // A batch of one that was let in. False: another process has taken its place; it must not be heard.
  bool heard(NodeId node, std::uint64_t start_id, Instant now);
  // A stream of one that was let in has ended.
  void leaves(NodeId node, std::uint64_t start_id);

 private:
  struct Inside {
    std::uint64_t start_id = 0;
    std::string address;
    int streams = 0;
    Instant heard;
  };
  struct Refused {
    Instant since, told;
    bool ever_told = false;
  };
  bool worth_telling(const PeerCaller& caller, Duration patience, Instant now);

  std::string cluster_id_;
  Duration alive_;
  std::map<NodeId, Inside> inside_;
  std::map<std::pair<NodeId, std::uint64_t>, Refused> refused_;
};

// The other side of it: a node that is refused as a duplicate must not go on trying for ever.
class DuplicateWatch {
 public:
  explicit DuplicateWatch(std::uint64_t start_id, Duration patience = 5s) : start_id_(start_id), patience_(patience) {}

  // `peer` has refused this process because one that was started at `running_since` runs. True: stop. Only the one that
  // was started later stops, and only when refusals went on for the patience: after a quick restart a peer may need a
  // moment to see that the life before has ended.
  bool refused(NodeId peer, std::uint64_t running_since, Instant now);
  void let_in(NodeId peer);

 private:
  std::uint64_t start_id_;
  Duration patience_;
  std::map<NodeId, Instant> refused_since_;
};

// What a person should make of a TLS handshake that failed, in OpenSSL's words; empty when they speak of something else
// than certificates.
std::string explain_handshake(std::string_view openssl_words);

// What is worth a line a minute.
class OnceAMinute {
 public:
  bool tell(const std::string& about, Instant now);

 private:
  std::map<std::string, Instant> told_;
};

// Connections whose handshake failed, as gRPC's server words it: what an operator should be told, once a minute for
// each address. nullopt: nothing, or nothing again.
class RefusedHandshakes {
 public:
  std::optional<std::string> tell(std::string_view grpc_words, Instant now);

 private:
  OnceAMinute told_;
};

}  // namespace evercert::net
