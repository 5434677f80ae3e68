// SPDX-License-Identifier: Apache-2.0
// A quorum that is lost for good is made anew, by a person, on the stopped replicas that are left: they become the only
// voters of every group. Their log says so from then on; they take no word from those that were left out, and give
// them none. See docs/cycles/membership.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/kv/kv.h"
#include "store/layout.h"
#include "store/log/log.h"
#include "store/proto/records.pb.h"

namespace evercert::store {

// How far a stopped replica has come in one group.
struct GroupEnd {
  GroupId group;
  Term term;
  LogIndex last;
  LogIndex committed;  // known to be; what follows may be committed or not
  NodeId vote;         // whom it voted for in that term: that one may lead, and know more; 0: nobody
};
std::vector<GroupEnd> ends_of(const Log& log, Kv& kv, const Layout& layout, Status& read);

// What may be lost when `voters` alone go on from there, one line each, for the person who decides. Never empty.
std::vector<std::string> losses(const std::vector<GroupEnd>& ends, const std::vector<NodeId>& voters);

// Makes `voters` the only ones, durably, in the log of one of them. To be done in the logs of all. kInvalid: no voter,
// or one that is no replica by now.
Result<v1::Reformation> reform(Log& log, const Layout& layout, std::vector<NodeId> voters, const std::string& by,
                               WallTime at, const std::string& losses);

// A new node is to be a part of what was made anew, and of nothing else: the log is empty, and says so from now on.
// kConflict: it is not empty. kInvalid: no reformation.
Status join(Log& log, const v1::Reformation& reformation);

// What a log says of it; nullopt: its groups are those of the cluster file. kCorrupt.
Result<std::optional<v1::Reformation>> load_reformation(const Log& log);
// The voters, and a cluster of which the others are no part.
void use(const v1::Reformation& reformation, Layout& layout, std::string& cluster_id);

}  // namespace evercert::store
