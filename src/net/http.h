// SPDX-License-Identifier: Apache-2.0
// HTTP messages as the handlers see them, free of any library's types.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/result.h"
#include "base/task.h"

namespace evercert::net {

// In order; names compare without regard to case.
class Headers {
 public:
  void set(std::string_view name, std::string value);  // replaces
  void add(std::string name, std::string value) { all_.emplace_back(std::move(name), std::move(value)); }
  void remove(std::string_view name);
  std::optional<std::string_view> find(std::string_view name) const;
  std::string get(std::string_view name) const { return std::string(find(name).value_or("")); }
  const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

struct HttpRequest {
  std::string method, target, path, query;  // target as sent; path up to '?'
  Headers headers;
  std::string body;
  std::string peer_address;
  bool tls = false;
  // The URI name (evercert://...) of a verified client certificate, else empty.
  std::string client_identity;
  // Where the connection lives: handlers come back to it with suspend_on().
  Executor* executor = nullptr;
};

struct HttpResponse {
  int status = 200;
  Headers headers;
  std::string body;
  // Instead of `body`: bytes that many answers share, sent without a copy.
  std::shared_ptr<const std::string> shared_body;

  const std::string& bytes() const { return shared_body ? *shared_body : body; }
};

using HttpHandler = std::function<Task<HttpResponse>(HttpRequest)>;

std::string_view reason_phrase(int status);
// RFC 7807. `type` is a URI; "about:blank" when the status says all.
HttpResponse problem(int status, std::string_view title, std::string_view detail,
                     std::string_view type = "about:blank");
// What an error of ours is to an HTTP client. kUnavailable: 503 with Retry-After, nothing was done; kUnknownOutcome:
// 504.
HttpResponse problem(const Error& error);
HttpResponse json_response(int status, std::string body);

}  // namespace evercert::net
