// SPDX-License-Identifier: Apache-2.0
#include "keys/shares.h"

extern "C" {  // its header does not say so
#include <libgfshare.h>
}
#include <openssl/rand.h>

#include <memory>
#include <set>
#include <sstream>

#include "base/check.h"
#include "base/encoding.h"
#include "pki/openssl.h"

namespace evercert::keys {
namespace {

void fill(unsigned char* out, unsigned int count) {
  EC_CHECK(RAND_bytes(out, static_cast<int>(count)) == 1, "the CSPRNG gives nothing");
}

// The library overwrites what it frees with chance, so that a context that only combines needs it too.
void give_chance() { gfshare_fill_rand = fill; }

struct Free {
  void operator()(gfshare_ctx* ctx) const { gfshare_ctx_free(ctx); }
};
using Context = std::unique_ptr<gfshare_ctx, Free>;

unsigned char* octets(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

Result<std::vector<Share>> split(const std::string& secret, std::uint8_t threshold, std::uint8_t count) {
  if (secret.empty() || threshold == 0 || threshold > count)
    return fail(Code::kInvalid, "a secret is split into at least as many shares as give it back");
  std::vector<unsigned char> numbers;
  for (unsigned n = 1; n <= count; ++n) numbers.push_back(static_cast<unsigned char>(n));
  give_chance();
  const Context ctx(gfshare_ctx_init_enc(numbers.data(), count, threshold, static_cast<unsigned>(secret.size())));
  if (!ctx) return fail(Code::kInternal, "no memory for the shares of a secret");
  std::string copy = secret;
  gfshare_ctx_enc_setsecret(ctx.get(), octets(copy));
  OPENSSL_cleanse(copy.data(), copy.size());
  std::vector<Share> shares;
  for (std::uint8_t i = 0; i < count; ++i) {
    Share& share = shares.emplace_back(Share{numbers[i], std::string(secret.size(), '\0')});
    gfshare_ctx_enc_getshare(ctx.get(), i, octets(share.bytes));
  }
  return shares;
}

Result<std::string> combine(const std::vector<Share>& shares) {
  std::vector<unsigned char> numbers;
  for (const Share& share : shares) {
    if (share.bytes.size() != shares.front().bytes.size()) return fail(Code::kInvalid, "shares of different lengths");
    numbers.push_back(share.number);
  }
  const bool distinct = std::set<unsigned char>(numbers.begin(), numbers.end()).size() == numbers.size();
  if (shares.empty() || shares.size() > 255 || shares.front().bytes.empty() || !distinct)
    return fail(Code::kInvalid, "these are no shares of one secret");
  const std::size_t size = shares.front().bytes.size();
  give_chance();
  const Context ctx(
      gfshare_ctx_init_dec(numbers.data(), static_cast<unsigned>(numbers.size()), static_cast<unsigned>(size)));
  if (!ctx) return fail(Code::kInternal, "no memory for the shares of a secret");
  for (std::size_t i = 0; i < shares.size(); ++i) {
    std::string copy = shares[i].bytes;
    gfshare_ctx_dec_giveshare(ctx.get(), static_cast<unsigned char>(i), octets(copy));
    OPENSSL_cleanse(copy.data(), copy.size());
  }
  std::string secret(size, '\0');
  gfshare_ctx_dec_extract(ctx.get(), octets(secret));
  return secret;
}

std::string to_text(const MarkedShare& share) {
  return std::to_string(share.threshold) + " " + std::to_string(share.share.number) + " " + to_hex(share.share.bytes) +
         "\n";
}

Result<MarkedShare> parse_share(std::string_view text) {
  std::istringstream in{std::string(text)};
  unsigned threshold = 0, number = 0;
  std::string hex, more;
  in >> threshold >> number >> hex;
  auto bytes = from_hex(hex);
  if (threshold == 0 || threshold > 255 || number == 0 || number > 255 || !bytes || bytes->empty() || in >> more)
    return fail(Code::kInvalid, "not a share of a standby's wrapping key");
  return MarkedShare{static_cast<std::uint8_t>(threshold), {static_cast<std::uint8_t>(number), std::move(*bytes)}};
}

}  // namespace evercert::keys
