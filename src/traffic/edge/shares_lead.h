// SPDX-License-Identifier: Apache-2.0
// Where the failover controller's shares lead a request (traffic/shares): a client beyond its region's share goes to
// the other regions' edges first, one beyond a node's share to the other nodes first. Shares only say who is asked
// first: whoever cannot be served there is served here. The newest document that two regions tell alike counts; without
// an answer the last one stays, and an edge that never had one leads nobody anywhere. Thread-safe; without a share
// below 100 it costs a request one atomic load.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "traffic/edge/backends.h"
#include "traffic/policy/criticality.h"
#include "traffic/shares/agreement.h"

namespace evercert::traffic {

inline constexpr std::string_view kSharesPath = "/v1/failover/shares";

// What a region says of itself, or is told, is asked of itself, whatever its share; of which of its nodes, shares say.
bool may_be_led_away(Criticality of, std::string_view path);

class SharesLead {
 public:
  // After all endpoints were added.
  SharesLead(const Backends& backends, std::string region);

  // Whom to ask what the shares are: for each region one of its endpoints, another one each time.
  struct Question {
    std::size_t region = 0;  // among these
    std::size_t endpoint = 0;
    std::string name;  // of the region: only its own word counts as its word
  };
  std::vector<Question> questions();
  void said(const Question& question, std::string_view document);

  struct Way {
    Backends::Tried elsewhere;  // not these, while one of the others stands well
    Backends::Tried avoid;      // these not, while another node of this region stands well
  };
  // `client`: its address; `may_leave`: the request may be passed on to another region.
  Way way(std::string_view client, bool may_leave);

  int share() const;  // of this region
  // A gauge for this region and each of its nodes, and how many requests were led elsewhere.
  std::string metrics() const;

 private:
  struct Place {
    std::size_t endpoint = 0;
    bool remote = false;
    std::string name;  // in the document
    int share = 100;
  };
  struct Table {
    int own = 100;
    std::vector<Place> places;  // all endpoints
  };
  struct Region {
    std::string name;
    std::vector<std::size_t> endpoints;
    std::size_t turn = 0;
  };
  std::shared_ptr<const Table> table() const;

  const std::string region_;
  mutable std::mutex mutex_;
  std::vector<Region> regions_;
  SharesAgreement agreement_;
  std::shared_ptr<const Table> table_;
  std::atomic<bool> narrowed_{false};
  std::atomic<std::uint64_t> led_{0};
};

}  // namespace evercert::traffic
