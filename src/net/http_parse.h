// SPDX-License-Identifier: Apache-2.0
// From bytes of a connection to an HttpRequest: what the server and the fuzz targets share. For .cc files only.
#pragma once

#include <boost/beast/http.hpp>

#include "net/http.h"
#include "net/http_server.h"

namespace evercert::net {

using RequestParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

void set_limits(RequestParser& parser, const HttpServerOptions& options);
// What the message says; the connection's own facts (peer, TLS, executor) are the caller's to add.
HttpRequest to_request(boost::beast::http::request<boost::beast::http::string_body> in);

}  // namespace evercert::net
