// SPDX-License-Identifier: Apache-2.0
// How far a witness may cut its log. It keeps no records, so its log is all that it can ever give to anybody: what a
// region that stores may lack stays in it, and what all of them have goes at once. While such a region is gone, the
// log of the witness is the second copy of what is written meanwhile. One instance per group. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "base/result.h"
#include "store/layout.h"

namespace evercert::store {

class WitnessLog {
 public:
  // A quorum of the region's logs has reached `position`, as it says when it asks for promises.
  void reached(RegionId region, Position position);
  // A node of it has started anew, perhaps without its log.
  void forget(RegionId region) { reached_.erase(region); }

  // Entries up to here may go. The log begins at `first`; `applied`: settled, so that a region that stores has it.
  // `storing`: regions whose replicas keep records. `most`: of entries that are kept for one that lags. `term_of`: of
  // an entry in the log, or of the one just before it.
  LogIndex may_cut(RegionSet storing, LogIndex first, LogIndex applied, std::uint64_t most,
                   const std::function<Result<Term>(LogIndex)>& term_of) const;

 private:
  std::map<RegionId, Position> reached_;
};

// Which regions are witnesses is laid down when a cluster begins. kInvalid: the cluster file says otherwise.
Status same_witnesses(RegionSet of_cluster, RegionSet of_file);

// Of a layout: regions with a replica that keeps records.
RegionSet storing_regions(const Layout& layout);

}  // namespace evercert::store
