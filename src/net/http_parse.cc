// SPDX-License-Identifier: Apache-2.0
#include "net/http_parse.h"

namespace evercert::net {

namespace http = boost::beast::http;

void set_limits(RequestParser& parser, const HttpServerOptions& options) {
  parser.body_limit(options.max_body_bytes);
  parser.header_limit(options.max_header_bytes);
}

HttpRequest to_request(http::request<http::string_body> in) {
  HttpRequest request;
  request.method = std::string(in.method_string());
  request.target = std::string(in.target());
  const auto question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  for (const auto& field : in) request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(in.body());
  return request;
}

}  // namespace evercert::net
