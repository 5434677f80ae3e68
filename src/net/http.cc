// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace evercert::net {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto differ = static_cast<unsigned char>(a[i] ^ b[i]);
    if (differ == 0) continue;
    const char lower = static_cast<char>(a[i] | 0x20);
    if (differ != 0x20 || lower < 'a' || lower > 'z') return false;
  }
  return true;
}

int status_of(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kUnsupported: return 400;
    case Code::kDenied: return 403;
    case Code::kNotFound: return 404;
    case Code::kConflict: return 409;
    case Code::kUnavailable:
    case Code::kExpired: return 503;
    case Code::kUnknownOutcome: return 504;
    case Code::kCorrupt:
    case Code::kIo:
    case Code::kInternal: return 500;
  }
  return 500;
}

}  // namespace

void Headers::add(std::string_view name, std::string_view value) {
  const auto own = [&](std::string_view text) {
    return text.data() >= text_.data() && text.data() < text_.data() + text_.size();
  };
  // A value that find() gave would not outlive the growth of the block that it lies in.
  if (own(name) || own(value)) return add(std::string(name), std::string(value));
  const auto at = static_cast<std::uint32_t>(text_.size());
  const auto name_size = static_cast<std::uint32_t>(name.size());
  text_.append(name);
  text_.append(value);
  places_.push_back({at, name_size, at + name_size, static_cast<std::uint32_t>(value.size())});
}

void Headers::remove(std::string_view name) {
  std::erase_if(places_, [&](const Place& place) { return same_name(field(place).first, name); });
}

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const Place& place : places_) {
    if (place.name_size == name.size() && same_name(field(place).first, name)) return field(place).second;
  }
  return std::nullopt;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
  }
}

HttpResponse problem(int status, std::string_view title, std::string_view detail, std::string_view type) {
  HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/problem+json");
  const nlohmann::json document{{"type", type}, {"title", title}, {"status", status}, {"detail", detail}};
  // Details may quote what a client sent: bytes that are no UTF-8 are replaced.
  response.body = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return response;
}

HttpResponse problem(const Error& error) {
  const int status = status_of(error.code);
  HttpResponse response = problem(status, reason_phrase(status), error.message);
  if (status == 503) response.headers.set("Retry-After", "1");
  return response;
}

HttpResponse json_response(int status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

}  // namespace evercert::net
