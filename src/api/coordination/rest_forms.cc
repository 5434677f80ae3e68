// SPDX-License-Identifier: Apache-2.0
#include "api/coordination/rest_forms.h"

#include <charconv>

#include "api/rest/json_body.h"
#include "base/encoding.h"

namespace evercert::api {
namespace {

using nlohmann::json;

template <class Number>
Result<Number> parse(std::string_view text, int base, const std::string& complaint) {
  Number value{};
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return fail(Code::kInvalid, complaint);
  return value;
}

Result<std::int64_t> within(std::int64_t value, const char* name, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) {
    return fail(Code::kInvalid,
                std::string("'") + name + "' must be from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

bool is_text(const std::string& bytes) {
  try {
    (void)json(bytes).dump();
    return true;
  } catch (const json::exception&) {
    return false;  // no UTF-8
  }
}

}  // namespace

net::HttpResponse problem_of(const Trouble& trouble) {
  if (trouble.refusal == coordination::v1::COMPACTED) return net::problem(410, "Gone", trouble.error.message);
  return net::problem(trouble.error);
}

void put_bytes(json& object, const std::string& name, const std::string& bytes) {
  if (is_text(bytes)) {
    object[name] = bytes;
  } else {
    object[name + "_base64"] = to_base64(bytes);
  }
}

Result<std::string> read_bytes(const json& object, const std::string& name) {
  if (const auto text = object.find(name); text != object.end()) {
    if (!text->is_string()) return fail(Code::kInvalid, "'" + name + "' must be a text");
    return text->get<std::string>();
  }
  const auto encoded = object.find(name + "_base64");
  if (encoded == object.end()) return std::string{};
  if (!encoded->is_string()) return fail(Code::kInvalid, "'" + name + "_base64' must be a text");
  return from_base64(encoded->get<std::string>());
}

json describe(const mvccpb::KeyValue& kv) {
  json out{{"create_revision", kv.create_revision()},
           {"mod_revision", kv.mod_revision()},
           {"version", kv.version()},
           {"lease", kv.lease() == 0 ? json(nullptr) : json(lease_name(kv.lease()))}};
  put_bytes(out, "key", kv.key());
  put_bytes(out, "value", kv.value());
  return out;
}

json describe(const mvccpb::Event& event) {
  json out{{"type", event.type() == mvccpb::Event::PUT ? "put" : "delete"}, {"revision", event.kv().mod_revision()}};
  put_bytes(out, "key", event.kv().key());
  if (event.type() == mvccpb::Event::PUT) put_bytes(out, "value", event.kv().value());
  return out;
}

std::string lease_name(std::int64_t id) {
  char text[17];
  return {text, std::to_chars(text, text + sizeof text, static_cast<std::uint64_t>(id), 16).ptr};
}

Result<std::int64_t> lease_id(std::string_view name) {
  EC_ASSIGN(const auto id, parse<std::uint64_t>(name, 16, "a lease is named by hexadecimal digits"));
  return static_cast<std::int64_t>(id);
}

Result<std::string> decode_path(std::string_view part) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '%') {
      out += part[i];
      continue;
    }
    const auto byte = from_hex(part.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return fail(Code::kInvalid, "a '%' in the path must be followed by two digits");
    out += *byte;
    i += 2;
  }
  return out;
}

Result<std::int64_t> query_number(const net::HttpRequest& request, const char* name, std::int64_t otherwise,
                                  std::int64_t least, std::int64_t most) {
  const auto text = query_value(request.query, name);
  if (!text) return otherwise;
  EC_ASSIGN(const auto value, parse<std::int64_t>(*text, 10, std::string("'") + name + "' must be a whole number"));
  return within(value, name, least, most);
}

Result<std::int64_t> member_number(const json& object, const char* name, std::int64_t otherwise, std::int64_t least,
                                   std::int64_t most) {
  const auto member = object.find(name);
  if (member == object.end()) return otherwise;
  if (!member->is_number_integer()) return fail(Code::kInvalid, std::string("'") + name + "' must be a whole number");
  return within(member->get<std::int64_t>(), name, least, most);
}

bool query_flag(const net::HttpRequest& request, const char* name) {
  return query_value(request.query, name).value_or("") == "true";
}

}  // namespace evercert::api
