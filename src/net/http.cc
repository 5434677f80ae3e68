// SPDX-License-Identifier: Apache-2.0
#include "net/http.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace evercert::net {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
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

void Headers::remove(std::string_view name) {
  std::erase_if(all_, [&](const auto& header) { return same_name(header.first, name); });
}

void Headers::set(std::string_view name, std::string value) {
  remove(name);
  all_.emplace_back(std::string(name), std::move(value));
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [known, value] : all_) {
    if (same_name(known, name)) return value;
  }
  return std::nullopt;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
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
