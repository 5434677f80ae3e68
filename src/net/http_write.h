// SPDX-License-Identifier: Apache-2.0
// From a handler's HttpResponse to the bytes on the connection.
#pragma once

#include "net/http.h"
#include "net/outbox.h"

namespace evercert::net {

struct AnswerForm {
  bool keep_alive = true;  // else the answer says that the connection ends
  bool http_1_0 = false;   // the client must be told when the connection is kept
  bool head = false;       // the answer to HEAD: no body
};

// Adds the answer to `out`. Bodies shorter than `copied_below` are copied beside the header, so that both leave in one
// piece; others are kept where they are. Length and connection are the server's to say: what a handler set of them is
// left out, as is a header whose value would break the message.
void write_answer(Outbox& out, HttpResponse response, AnswerForm form, std::size_t copied_below);
// Of an answer in pieces: its header, with the length or in chunks (HTTP/1.0: neither). False: it has no body.
bool write_header(Outbox& out, const HttpResponse& response, AnswerForm form);
void write_piece(Outbox& out, std::string bytes, bool chunked, std::size_t copied_below);

}  // namespace evercert::net
