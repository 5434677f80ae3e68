// SPDX-License-Identifier: Apache-2.0
#include "pki/weak_keys.h"

#include <array>
#include <vector>

#include "pki/openssl.h"

namespace evercert::pki {
namespace {

constexpr std::array<unsigned, 38> kRocaPrimes{3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,
                                               47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103,
                                               107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

// A ROCA prime is k * M + (65537^a mod M) with M a primorial, so modulo every small prime p the modulus lies in the
// subgroup that 65537 generates. For a random modulus all 38 conditions hold with a probability below 2^-27.
bool looks_like_roca(const BIGNUM* n) {
  for (const unsigned p : kRocaPrimes) {
    const auto residue = static_cast<unsigned>(BN_mod_word(n, p));
    bool in_subgroup = false;
    unsigned power = 1;
    do {
      in_subgroup = in_subgroup || power == residue;
      power = power * (65537 % p) % p;
    } while (power != 1);
    if (!in_subgroup) return false;
  }
  return true;
}

bool has_small_factor(const BIGNUM* n) {
  if (!BN_is_odd(n)) return true;
  for (unsigned p = 3; p < 752; p += 2) {
    if (BN_mod_word(n, p) == 0) return true;
  }
  return false;
}

// n = a^2 - b^2 with a just above the root of n.
bool has_close_primes(const BIGNUM* n) {
  const Owned<BN_CTX, BN_CTX_free> ctx(BN_CTX_new());
  // Integer square root by Newton's method, rounded up.
  BnPtr a(BN_new()), next(BN_new()), quotient(BN_new()), b2(BN_new());
  BN_one(a.get());
  BN_lshift(a.get(), a.get(), (BN_num_bits(n) + 1) / 2);
  for (;;) {
    BN_div(quotient.get(), nullptr, n, a.get(), ctx.get());
    BN_add(next.get(), a.get(), quotient.get());
    BN_rshift1(next.get(), next.get());
    if (BN_cmp(next.get(), a.get()) >= 0) break;
    std::swap(a, next);
  }
  BnPtr root(BN_new()), remainder(BN_new());
  for (int step = 0; step < 100; ++step) {
    BN_add_word(a.get(), 1);
    BN_sqr(b2.get(), a.get(), ctx.get());
    BN_sub(b2.get(), b2.get(), n);
    // b2 is a perfect square? Its root again by Newton, from above.
    if (BN_is_zero(b2.get())) return true;
    BN_one(root.get());
    BN_lshift(root.get(), root.get(), (BN_num_bits(b2.get()) + 1) / 2);
    for (;;) {
      BN_div(quotient.get(), nullptr, b2.get(), root.get(), ctx.get());
      BN_add(next.get(), root.get(), quotient.get());
      BN_rshift1(next.get(), next.get());
      if (BN_cmp(next.get(), root.get()) >= 0) break;
      std::swap(root, next);
    }
    BN_sqr(remainder.get(), root.get(), ctx.get());
    if (BN_cmp(remainder.get(), b2.get()) == 0) return true;
    // Squares end in few residues: nearly all non-squares would be ruled out sooner, but a certificate's key is checked
    // once.
  }
  return false;
}

}  // namespace

Status check_rsa_strength(std::string_view modulus, std::string_view exponent) {
  const BnPtr n(BN_bin2bn(bytes(modulus), static_cast<int>(modulus.size()), nullptr));
  const BnPtr e(BN_bin2bn(bytes(exponent), static_cast<int>(exponent.size()), nullptr));
  const BnPtr least(BN_new());
  BN_set_word(least.get(), 65537);
  if (!BN_is_odd(e.get()) || BN_cmp(e.get(), least.get()) < 0 || BN_num_bits(e.get()) > 256) {
    return fail(Code::kUnsupported, "the RSA exponent must be odd, at least 65537 and below 2^256: make a new key");
  }
  if (has_small_factor(n.get())) return fail(Code::kUnsupported, "the RSA modulus has a small factor: make a new key");
  if (looks_like_roca(n.get())) {
    return fail(Code::kUnsupported, "the RSA key has the ROCA weakness (CVE-2017-15361): make a new key elsewhere");
  }
  if (has_close_primes(n.get())) {
    return fail(Code::kUnsupported, "the RSA key's primes are too close (CVE-2022-26320): make a new key elsewhere");
  }
  return {};
}

}  // namespace evercert::pki
