// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"

#include <openssl/evp.h>

#include <array>

#include "base/check.h"

namespace evercert {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> inverse(std::string_view alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

std::string encode(std::string_view bytes, std::string_view alphabet, bool pad) {
  const std::size_t whole = bytes.size() / 3, rest = bytes.size() % 3;
  std::string out(whole * 4 + (rest == 0 ? 0 : pad ? 4 : rest + 1), '=');
  const auto at = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(bytes[i]); };
  char* to = out.data();
  const auto put = [&](std::uint32_t group, int digits) {
    for (int k = 0; k < digits; ++k) *to++ = alphabet[group >> (18 - 6 * k) & 63];
  };
  for (std::size_t i = 0; i < 3 * whole; i += 3) put(at(i) << 16 | at(i + 1) << 8 | at(i + 2), 4);
  if (rest == 1) put(at(3 * whole) << 16, 2);
  if (rest == 2) put(at(3 * whole) << 16 | at(3 * whole + 1) << 8, 3);
  return out;
}

Result<std::string> decode(std::string_view text, const std::array<std::int8_t, 256>& table) {
  if (text.size() % 4 == 1) return fail(Code::kInvalid, "base64 text has an impossible length");
  std::string out(text.size() / 4 * 3 + (text.size() % 4 == 0 ? 0 : text.size() % 4 - 1), '\0');
  char* to = out.data();
  const auto digit = [&](std::size_t i) -> std::int32_t { return table[static_cast<unsigned char>(text[i])]; };
  std::size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const std::int32_t a = digit(i), b = digit(i + 1), c = digit(i + 2), d = digit(i + 3);
    if ((a | b | c | d) < 0) return fail(Code::kInvalid, "base64 text holds a character outside its alphabet");
    *to++ = static_cast<char>(a << 2 | b >> 4);
    *to++ = static_cast<char>(b << 4 | c >> 2);
    *to++ = static_cast<char>(c << 6 | d);
  }
  std::uint32_t bits = 0;
  int count = 0;
  for (; i < text.size(); ++i) {
    const std::int32_t v = digit(i);
    if (v < 0) return fail(Code::kInvalid, "base64 text holds a character outside its alphabet");
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    count += 6;
    if (count >= 8) {
      count -= 8;
      *to++ = static_cast<char>(bits >> count & 0xff);
    }
  }
  if ((bits & ((1u << count) - 1)) != 0) return fail(Code::kInvalid, "base64 text has stray bits at its end");
  return out;
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Slicing by eight would be faster still; the table is enough for a log that waits for the disk.
constexpr auto kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) ? 0x82f63b78u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}();

std::uint32_t crc_portable(std::string_view bytes, std::uint32_t crc) {
  for (const char b : bytes) crc = kCrcTable[(crc ^ static_cast<unsigned char>(b)) & 0xff] ^ (crc >> 8);
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc_sse(std::string_view bytes, std::uint32_t crc) {
  std::uint64_t wide = crc;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, bytes.data() + i, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; i < bytes.size(); ++i) narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(bytes[i]));
  return narrow;
}
#endif

// A context keeps what OpenSSL makes for one hash: one for each of them and each thread.
struct HashContext {
  HashContext() : ctx(EVP_MD_CTX_new()) {}
  ~HashContext() { EVP_MD_CTX_free(ctx); }
  HashContext(const HashContext&) = delete;
  HashContext& operator=(const HashContext&) = delete;
  EVP_MD_CTX* ctx;
};

// Looked up once: OpenSSL 3.0 asks its providers at each use otherwise, which takes longer than a short hash.
class Hash {
 public:
  explicit Hash(const char* name) : md_(EVP_MD_fetch(nullptr, name, nullptr)) {}
  std::string of(std::string_view bytes, const HashContext& context) const {
    std::string out(static_cast<std::size_t>(EVP_MD_get_size(md_)), '\0');
    const bool ok = EVP_DigestInit_ex2(context.ctx, md_, nullptr) == 1 &&
                    EVP_DigestUpdate(context.ctx, bytes.data(), bytes.size()) == 1 &&
                    EVP_DigestFinal_ex(context.ctx, reinterpret_cast<unsigned char*>(out.data()), nullptr) == 1;
    EC_CHECK(ok, "the hashes that we use are always there");
    return out;
  }

 private:
  EVP_MD* md_;  // as long as the process
};

}  // namespace

std::string to_hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out(bytes.size() * 2, '\0');
  char* to = out.data();
  for (const char b : bytes) {
    *to++ = digits[static_cast<unsigned char>(b) >> 4];
    *to++ = digits[static_cast<unsigned char>(b) & 15];
  }
  return out;
}

Result<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail(Code::kInvalid, "hexadecimal text has an odd length");
  std::string out(text.size() / 2, '\0');
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = nibble(text[2 * i]);
    const int low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return fail(Code::kInvalid, "hexadecimal text holds another character");
    out[i] = static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string to_base64(std::string_view bytes) { return encode(bytes, kStandard, true); }
std::string to_base64url(std::string_view bytes) { return encode(bytes, kUrlSafe, false); }

Result<std::string> from_base64(std::string_view text) {
  static constexpr auto table = inverse(kStandard);
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  return decode(text, table);
}

Result<std::string> from_base64url(std::string_view text) {
  static constexpr auto table = inverse(kUrlSafe);
  return decode(text, table);
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed) {
  const std::uint32_t start = ~seed;
#if defined(__x86_64__)
  static const bool has_sse = __builtin_cpu_supports("sse4.2");
  if (has_sse) return ~crc_sse(bytes, start);
#endif
  return ~crc_portable(bytes, start);
}

std::string sha1(std::string_view bytes) {
  static const Hash hash("SHA1");
  thread_local HashContext context;
  return hash.of(bytes, context);
}

std::string sha256(std::string_view bytes) {
  static const Hash hash("SHA256");
  thread_local HashContext context;
  return hash.of(bytes, context);
}

std::string sha384(std::string_view bytes) {
  static const Hash hash("SHA384");
  thread_local HashContext context;
  return hash.of(bytes, context);
}

}  // namespace evercert
