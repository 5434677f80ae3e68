// SPDX-License-Identifier: Apache-2.0
// OCSP over HTTP (RFC 6960 appendix A): POST and GET; caching headers by RFC 5019. And what edges need in order to
// answer from copies of their own (net/ocsp_news.proto).
#pragma once

#include <mutex>
#include <optional>
#include <unordered_map>

#include "api/rest/router.h"
#include "base/task_scope.h"
#include "ca/ocsp_responder.h"
#include "ca/shared_freshness.h"

namespace evercert::api {

struct OcspApiOptions {
  std::size_t regions = 0;
  std::string region_name;
  Duration check_timeout = 300ms;  // an edge's check waits so long for freshness; its clients wait with it
  std::size_t quick_entries = 16384;
  bool several_zones = false;  // a read asks its neighbours in the region
};

class Ocsp {
 public:
  Ocsp(OcspApiOptions options, ca::OcspResponder& responder, store::Store& store, WallClock& wall)
      : options_(std::move(options)),
        responder_(responder),
        store_(store),
        wall_(wall),
        freshness_(store, options_.check_timeout) {}
  void mount(Router& router);
  // The whole answer to a GET that was answered before and is still right; nullopt: route it. For clients that come by
  // plain HTTP.
  std::optional<net::HttpResponse> quick(const net::HttpRequest& request);
  // The same where freshness has to be asked for: all that come meanwhile ask together. Only if may_be_quick().
  bool may_be_quick(const net::HttpRequest& request);
  Task<std::optional<net::HttpResponse>> quick_in_common(const net::HttpRequest& request);
  // An edge's OcspCheck in the body, OcspNews back.
  Task<net::HttpResponse> news(net::HttpRequest question);

 private:
  struct Quick {
    std::shared_ptr<const ca::OcspKept> kept;
    std::int64_t max_age = -1;
    std::shared_ptr<const std::string> prepared;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  static bool takes_quick(const net::HttpRequest& request) {
    return !request.tls && request.method == "GET" && request.path.starts_with("/ocsp/");
  }
  net::HttpResponse respond(Quick& quick) const;
  Task<net::HttpResponse> answer(net::HttpRequest request, std::string der, bool get);
  Task<std::uint64_t> fresh_groups(Executor& on);
  std::int64_t max_age(std::int64_t next_update) const;
  void add_stamp(const ca::OcspReply& reply, net::HttpResponse& response) const;

  OcspApiOptions options_;
  ca::OcspResponder& responder_;
  store::Store& store_;
  WallClock& wall_;
  ca::SharedFreshness freshness_;
  TaskScope freshening_;
  std::mutex quick_mutex_;
  std::unordered_map<std::string, Quick, Hash, std::equal_to<>> quick_;  // by path
};

}  // namespace evercert::api
