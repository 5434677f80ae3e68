// SPDX-License-Identifier: Apache-2.0
#include "api/rest/router.h"

#include <spdlog/spdlog.h>

namespace evercert::api {
namespace {

template <class Text>
std::vector<Text> split(std::string_view path) {
  std::vector<Text> segments;
  constexpr std::size_t kUsual = 4;
  segments.reserve(kUsual);
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const auto slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash);
  }
  return segments;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string_view>& path,
             std::vector<std::string>& parts) {
  parts.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i].ends_with("*}")) {
      std::string rest;
      for (std::size_t k = i; k < path.size(); ++k) rest.append(k > i ? "/" : "").append(path[k]);
      parts.push_back(std::move(rest));
      return i < path.size();
    }
    if (i >= path.size()) return false;
    if (pattern[i].starts_with('{')) {
      parts.emplace_back(path[i]);
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return pattern.size() == path.size();
}

}  // namespace

void Router::add(std::string method, std::string pattern, RouteHandler handler) {
  auto segments = split<std::string>(pattern);
  routes_.push_back({std::move(method), std::move(pattern), std::move(segments), std::move(handler)});
}

Task<net::HttpResponse> Router::route(net::HttpRequest request) const {
  const auto path = split<std::string_view>(request.path);  // of no use once a handler has the request
  std::vector<std::string> parts;
  std::string allowed;
  for (const Route& candidate : routes_) {
    if (!matches(candidate.segments, path, parts)) continue;
    if (candidate.method == request.method || (request.method == "HEAD" && candidate.method == "GET")) {
      try {
        co_return co_await candidate.handler(std::move(request), std::move(parts));
      } catch (const std::exception& e) {
        // A defect of ours or an input that no check foresaw: this request fails, the process goes on.
        spdlog::error("{} {}: {}", candidate.method, candidate.pattern, e.what());
      }
      co_return net::problem(500, "Internal Server Error", "the request could not be handled; the log has the reason");
    }
    allowed += (allowed.empty() ? "" : ", ") + candidate.method;
  }
  if (allowed.empty()) co_return net::problem(404, "Not Found", "there is nothing at " + request.path.substr(0, 200));
  auto response = net::problem(405, "Method Not Allowed", request.method + " is not offered here; use " + allowed);
  response.headers.set("Allow", allowed);
  co_return response;
}

}  // namespace evercert::api
