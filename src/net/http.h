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

// In order; names compare without regard to case. All of it lies in two blocks of memory, however many there are.
class Headers {
 public:
  using Field = std::pair<std::string_view, std::string_view>;  // name, value
  class All;

  void set(std::string_view name, std::string_view value);  // replaces
  void add(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  // What these return lives until the next change.
  std::optional<std::string_view> find(std::string_view name) const;
  std::string get(std::string_view name) const { return std::string(find(name).value_or("")); }
  All all() const;

 private:
  struct Place {
    std::uint32_t name, name_size, value, value_size;
  };
  Field field(const Place& place) const {
    return {{text_.data() + place.name, place.name_size}, {text_.data() + place.value, place.value_size}};
  }
  std::string text_;
  std::vector<Place> places_;
};

// The fields one after another, for a range-based for.
class Headers::All {
 public:
  class Iterator {
   public:
    Iterator(const Headers& headers, std::size_t at) : headers_(&headers), at_(at) {}
    Field operator*() const { return headers_->field(headers_->places_[at_]); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const Headers* headers_;
    std::size_t at_;
  };
  explicit All(const Headers& headers) : headers_(&headers) {}
  Iterator begin() const { return {*headers_, 0}; }
  Iterator end() const { return {*headers_, size()}; }
  std::size_t size() const { return headers_->places_.size(); }
  bool empty() const { return size() == 0; }

 private:
  const Headers* headers_;
};
inline Headers::All Headers::all() const { return All(*this); }

class BodySource;  // net/body.h

struct HttpRequest {
  std::string method, target, path, query;  // target as sent; path up to '?'
  Headers headers;
  std::string body;
  // Instead of `body`, of a request that is larger than HttpServerOptions::max_body_bytes: it comes in pieces. Its
  // length when the client has said it. Lives on the thread of `executor`.
  std::shared_ptr<BodySource> source;
  std::optional<std::uint64_t> length;
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
  // Instead of all of the above: a complete answer, as prepare() makes it, sent as it is. `status` and `headers` are
  // then for those who count and look only.
  std::shared_ptr<const std::string> prepared;
  // Instead of the bodies above: it comes in pieces, of this length in all when that is known. What breaks off, or has
  // another length, ends the connection (HTTP/2: the stream) so that no client takes it for the whole.
  std::shared_ptr<BodySource> source;
  std::optional<std::uint64_t> length;

  const std::string& bytes() const { return shared_body ? *shared_body : body; }
};

using HttpHandler = std::function<Task<HttpResponse>(HttpRequest)>;

// The whole answer to a GET on a connection that is kept: status line to body, without a Connection header. The server
// itself makes of it the answer to HEAD, to HTTP/1.0 and on a connection that must close.
std::shared_ptr<const std::string> prepare(const HttpResponse& response);

std::string_view reason_phrase(int status);
// RFC 7807. `type` is a URI; "about:blank" when the status says all.
HttpResponse problem(int status, std::string_view title, std::string_view detail,
                     std::string_view type = "about:blank");
// What an error of ours is to an HTTP client. kUnavailable: 503 with Retry-After, nothing was done; kUnknownOutcome:
// 504.
HttpResponse problem(const Error& error);
HttpResponse json_response(int status, std::string body);

}  // namespace evercert::net
