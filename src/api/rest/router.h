// SPDX-License-Identifier: Apache-2.0
// Which handler a request goes to. Patterns are paths whose {parts} match one segment; a last {rest*} matches all of
// it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/http.h"

namespace evercert::api {

using RouteHandler = std::function<Task<net::HttpResponse>(net::HttpRequest request, std::vector<std::string> parts)>;

class Router {
 public:
  void add(std::string method, std::string pattern, RouteHandler handler);
  // 404 and 405 (with Allow) as problems when nothing fits.
  Task<net::HttpResponse> route(net::HttpRequest request) const;

 private:
  struct Route {
    std::string method, pattern;
    std::vector<std::string> segments;  // of the pattern
    RouteHandler handler;
  };
  std::vector<Route> routes_;
};

}  // namespace evercert::api
