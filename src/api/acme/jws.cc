// SPDX-License-Identifier: Apache-2.0
#include "api/acme/jws.h"

#include <map>
#include <nlohmann/json.hpp>

#include "api/acme/documents.h"
#include "base/encoding.h"

namespace evercert::api {
namespace {

using nlohmann::json;

std::unexpected<AcmeError> malformed(std::string detail) {
  return std::unexpected(AcmeError{400, "malformed", std::move(detail)});
}

AcmeResult<Jwk> finish(Result<pki::PublicKey> key, const json& canonical) {
  if (!key) return std::unexpected(AcmeError{400, "badPublicKey", key.error().message});
  // RFC 7638: the required members, sorted, without white space; the library's maps are sorted.
  const std::string form = canonical.dump();
  return Jwk{std::move(*key), form, sha256(form)};
}

AcmeResult<Jwk> read_jwk(const json& jwk) {
  if (!jwk.is_object()) return malformed("'jwk' must be an object");
  const std::string kind = text_member(jwk, "kty");
  const auto number = [&](const char* name) { return from_base64url(text_member(jwk, name)).value_or(""); };
  if (kind == "EC") {
    const std::string curve = text_member(jwk, "crv");
    if (curve != "P-256" && curve != "P-384")
      return std::unexpected(AcmeError{400, "badPublicKey", "use P-256 or P-384"});
    return finish(
        pki::PublicKey::from_ec(curve == "P-256" ? pki::KeyKind::kP256 : pki::KeyKind::kP384, number("x"), number("y")),
        {{"crv", curve}, {"kty", "EC"}, {"x", text_member(jwk, "x")}, {"y", text_member(jwk, "y")}});
  }
  if (kind == "RSA") {
    return finish(pki::PublicKey::from_rsa(number("n"), number("e")),
                  {{"e", text_member(jwk, "e")}, {"kty", "RSA"}, {"n", text_member(jwk, "n")}});
  }
  if (kind == "OKP" && text_member(jwk, "crv") == "Ed25519") {
    return finish(pki::PublicKey::from_ed25519(number("x")),
                  {{"crv", "Ed25519"}, {"kty", "OKP"}, {"x", text_member(jwk, "x")}});
  }
  return std::unexpected(AcmeError{400, "badPublicKey", "use an EC (P-256, P-384), RSA or Ed25519 key"});
}

const std::map<std::string, pki::SignatureAlgorithm>& algorithms() {
  static const std::map<std::string, pki::SignatureAlgorithm> known{{"ES256", pki::SignatureAlgorithm::kEs256},
                                                                    {"ES384", pki::SignatureAlgorithm::kEs384},
                                                                    {"EdDSA", pki::SignatureAlgorithm::kEdDsa},
                                                                    {"RS256", pki::SignatureAlgorithm::kRs256}};
  return known;
}

}  // namespace

const std::vector<std::string>& jws_algorithms() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const auto& [name, algorithm] : algorithms()) out.push_back(name);
    return out;
  }();
  return names;
}

AcmeResult<Jwk> parse_jwk(const std::string& source) {
  const json jwk = json::parse(source, nullptr, false);
  if (jwk.is_discarded()) return malformed("the JWK is no JSON");
  return read_jwk(jwk);
}

AcmeResult<Jws> parse_jws(const std::string& body) {
  const json outer = json::parse(body, nullptr, false);
  if (!outer.is_object()) return malformed("the body must be a flattened JWS");
  for (const auto& [name, value] : outer.items()) {
    if (name != "protected" && name != "payload" && name != "signature") {
      return malformed("a flattened JWS has 'protected', 'payload' and 'signature' alone");
    }
    if (!value.is_string()) return malformed("the members of a JWS are texts");
  }
  const std::string header_text = text_member(outer, "protected");
  const auto header_bytes = from_base64url(header_text);
  const auto payload = from_base64url(text_member(outer, "payload"));
  const auto signature = from_base64url(text_member(outer, "signature"));
  if (header_text.empty() || !header_bytes || !payload || !signature)
    return malformed("a member of the JWS is not base64url");
  const json header = json::parse(*header_bytes, nullptr, false);
  if (!header.is_object()) return malformed("the protected header is no JSON object");
  if (header.contains("crit") || header.contains("b64")) return malformed("header extensions are not understood");
  Jws jws;
  const auto algorithm = algorithms().find(text_member(header, "alg"));
  if (algorithm == algorithms().end())
    return std::unexpected(AcmeError{400, "badSignatureAlgorithm", "use ES256, ES384, RS256 or EdDSA"});
  jws.algorithm = algorithm->second;
  jws.nonce = text_member(header, "nonce");
  jws.url = text_member(header, "url");
  jws.kid = text_member(header, "kid");
  jws.payload = *payload;
  jws.signature = *signature;
  jws.signing_input = header_text + "." + text_member(outer, "payload");
  if (header.contains("jwk") == header.contains("kid"))
    return malformed("the protected header needs either 'jwk' or 'kid'");
  if (header.contains("jwk")) {
    auto key = read_jwk(header["jwk"]);
    if (!key) return std::unexpected(key.error());
    jws.jwk = std::move(key->key);
    jws.jwk_text = key->canonical;
    jws.thumbprint = key->thumbprint;
  }
  return jws;
}

}  // namespace evercert::api
