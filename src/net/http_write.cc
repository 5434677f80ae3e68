// SPDX-License-Identifier: Apache-2.0
#include "net/http_write.h"

#include <array>
#include <charconv>

namespace evercert::net {
namespace {

constexpr std::string_view kClose = "Connection: close\r\n", kKeep = "Connection: keep-alive\r\n";

std::string_view connection_line(AnswerForm form) {
  return !form.keep_alive ? kClose : form.http_1_0 ? kKeep : std::string_view{};
}

bool same(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if ((name[i] | 0x20) != lower[i]) return false;
  }
  return true;
}

bool of_the_server(std::string_view name) {
  return same(name, "connection") || same(name, "content-length") || same(name, "transfer-encoding");
}

// What would end the line, and let the rest pass for a header or an answer of its own.
bool breaks_lines(std::string_view text) {
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == '\0') return true;
  }
  return false;
}

template <class Out>
void append_number(Out& out, std::size_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void write_header(std::string& out, const HttpResponse& response, AnswerForm form) {
  out.append("HTTP/1.1 ");
  append_number(out, static_cast<std::size_t>(response.status));
  out.push_back(' ');
  out.append(reason_phrase(response.status));
  out.append("\r\n");
  for (const auto& [name, value] : response.headers.all()) {
    if (of_the_server(name) || breaks_lines(name) || breaks_lines(value)) continue;
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  }
  out.append(connection_line(form));
  if (response.status != 204 && response.status != 304) {
    if (response.source == nullptr || response.length) {
      out.append("Content-Length: ");
      append_number(out, response.source ? *response.length : response.bytes().size());
      out.append("\r\n");
    } else if (!form.http_1_0) {
      out.append("Transfer-Encoding: chunked\r\n");
    }
  }
  out.append("\r\n");
}

bool has_body(const HttpResponse& response, AnswerForm form) {
  return !form.head && response.status != 204 && response.status != 304;
}

void write_prepared(Outbox& out, std::shared_ptr<const std::string> bytes, AnswerForm form) {
  const std::string_view line = connection_line(form);
  const std::size_t end = form.head ? bytes->find("\r\n\r\n") + 4 : bytes->size();
  if (line.empty()) return out.add(std::move(bytes), 0, end);
  const std::size_t status_end = bytes->find("\r\n") + 2;
  out.add(std::string_view(*bytes).substr(0, status_end));
  out.add(line);
  out.add(std::move(bytes), status_end, end);
}

}  // namespace

std::shared_ptr<const std::string> prepare(const HttpResponse& response) {
  std::string bytes;
  bytes.reserve(256 + response.bytes().size());
  write_header(bytes, response, {});
  if (has_body(response, {})) bytes += response.bytes();
  return std::make_shared<const std::string>(std::move(bytes));
}

bool write_header(Outbox& out, const HttpResponse& response, AnswerForm form) {
  std::string header;
  write_header(header, response, form);
  out.add(header);
  return has_body(response, form);
}

void write_piece(Outbox& out, std::string bytes, bool chunked, std::size_t copied_below) {
  if (chunked) {
    std::array<char, 18> size;
    auto* const end = std::to_chars(size.data(), size.data() + 16, bytes.size(), 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    out.add({size.data(), static_cast<std::size_t>(end - size.data()) + 2});
  }
  if (bytes.size() < copied_below) {
    out.add(bytes);
  } else {
    out.add(std::make_shared<const std::string>(std::move(bytes)));
  }
  if (chunked) out.add("\r\n");
}

void write_answer(Outbox& out, HttpResponse response, AnswerForm form, std::size_t copied_below) {
  if (response.prepared) return write_prepared(out, std::move(response.prepared), form);
  thread_local std::string header;  // keeps its memory
  header.clear();
  write_header(header, response, form);
  out.add(header);
  if (!has_body(response, form)) return;
  if (response.bytes().size() < copied_below) return out.add(response.bytes());
  if (!response.shared_body) response.shared_body = std::make_shared<const std::string>(std::move(response.body));
  out.add(std::move(response.shared_body));
}

}  // namespace evercert::net
