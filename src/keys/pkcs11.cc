// SPDX-License-Identifier: Apache-2.0
#include "keys/pkcs11.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "keys/algorithms.h"
#include "keys/standby.h"

namespace evercert::keys {
namespace {

std::unexpected<Error> refused(const char* call, CK_RV rv) {
  char code[32];
  std::snprintf(code, sizeof code, "0x%lx", static_cast<unsigned long>(rv));
  const Code kind = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED ? Code::kDenied : Code::kUnavailable;
  return fail(kind, std::string("the HSM refuses ") + call + " with " + code);
}

// One loaded module; C_Initialize may be called once per process only.
class Module {
 public:
  static Result<Module*> load(const std::string& path) {
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<Module>> loaded;
    std::lock_guard lock(mutex);
    auto& known = loaded[path];
    if (known) return known.get();
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* reason = dlerror();
      return fail(Code::kUnavailable, "the PKCS #11 module does not load: " + std::string(reason ? reason : path));
    }
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(dlsym(handle, "C_GetFunctionList"));
    CK_FUNCTION_LIST* functions = nullptr;
    if (get == nullptr || get(&functions) != CKR_OK)
      return fail(Code::kUnavailable, path + " is not a PKCS #11 module");
    CK_C_INITIALIZE_ARGS args{};
    args.flags = CKF_OS_LOCKING_OK;
    const CK_RV rv = functions->C_Initialize(&args);
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return refused("C_Initialize", rv);
    known = std::make_unique<Module>(functions);
    return known.get();
  }

  explicit Module(CK_FUNCTION_LIST* functions) : p11(functions) {}

  std::vector<CK_SLOT_ID> slots(bool with_token) const {
    CK_ULONG count = 0;
    p11->C_GetSlotList(with_token ? CK_TRUE : CK_FALSE, nullptr, &count);
    std::vector<CK_SLOT_ID> all(count);
    p11->C_GetSlotList(with_token ? CK_TRUE : CK_FALSE, all.data(), &count);
    all.resize(count);
    return all;
  }

  static std::string label_of(const CK_TOKEN_INFO& info) {
    std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
    label.erase(label.find_last_not_of(' ') + 1);
    return label;
  }

  Result<CK_SLOT_ID> find(const std::string& label) const {
    for (const CK_SLOT_ID slot : slots(true)) {
      CK_TOKEN_INFO info{};
      if (p11->C_GetTokenInfo(slot, &info) == CKR_OK && (info.flags & CKF_TOKEN_INITIALIZED) && label_of(info) == label)
        return slot;
    }
    return fail(Code::kNotFound, "no token '" + label + "' is present");
  }

  CK_FUNCTION_LIST* p11;
};

class TokenImpl;

// A key that lives in the token as long as this and the session that made it.
struct SessionKey {
  ~SessionKey() {
    if (key != 0) p11->C_DestroyObject(session, key);
    if (session != 0) p11->C_CloseSession(session);
  }
  std::shared_ptr<TokenImpl> token;  // that stays open meanwhile
  CK_FUNCTION_LIST* p11 = nullptr;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE key = 0;
};

class Pkcs11Signer : public pki::Signer {
 public:
  // `label` empty: there is nothing to find again when the token has been away.
  Pkcs11Signer(std::shared_ptr<TokenImpl> token, std::string label, CK_OBJECT_HANDLE key, pki::PublicKey public_key,
               std::unique_ptr<SessionKey> own = nullptr)
      : token_(std::move(token)),
        label_(std::move(label)),
        own_(std::move(own)),
        key_(key),
        public_key_(std::move(public_key)),
        algorithm_(keys::algorithm_der(public_key_.kind())) {}
  Result<std::string> sign(std::string_view tbs) const override;
  const std::string& spki_der() const override { return public_key_.spki_der(); }
  const std::string& algorithm_der() const override { return algorithm_; }

 private:
  std::shared_ptr<TokenImpl> token_;
  std::string label_;
  std::unique_ptr<SessionKey> own_;
  CK_OBJECT_HANDLE key_;
  pki::PublicKey public_key_;
  std::string algorithm_;
};

class TokenImpl : public Pkcs11Token, public std::enable_shared_from_this<TokenImpl> {
 public:
  TokenImpl(Module& module, CK_SLOT_ID slot, std::string pin) : module_(module), slot_(slot), pin_(std::move(pin)) {}
  ~TokenImpl() override {
    for (const auto session : idle_) module_.p11->C_CloseSession(session);
  }

  Status login() {
    EC_ASSIGN(const auto session, borrow());
    const CK_RV rv =
        module_.p11->C_Login(session, CKU_USER, reinterpret_cast<unsigned char*>(pin_.data()), pin_.size());
    give_back(session);
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN) return refused("C_Login", rv);
    return {};
  }

  Result<CK_SESSION_HANDLE> borrow() {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        const auto session = idle_.back();
        idle_.pop_back();
        return session;
      }
    }
    return open_session();
  }
  Result<CK_SESSION_HANDLE> open_session() {
    CK_SESSION_HANDLE session = 0;
    const CK_RV rv = module_.p11->C_OpenSession(slot_, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session);
    if (rv != CKR_OK) return refused("C_OpenSession", rv);
    return session;
  }
  void give_back(CK_SESSION_HANDLE session) {
    std::lock_guard lock(mutex_);
    idle_.push_back(session);
  }
  // The token went away and came back: every session and the login are gone.
  void forget_sessions() {
    {
      std::lock_guard lock(mutex_);
      idle_.clear();
    }
    module_.p11->C_CloseAllSessions(slot_);
  }

  Result<std::shared_ptr<pki::Signer>> signer(const std::string& label) override {
    EC_ASSIGN(const auto session, borrow());
    auto key = find(session, CKO_PRIVATE_KEY, label);
    auto public_key = read_public(session, label);
    give_back(session);
    EC_ASSIGN(const auto handle, std::move(key));
    EC_ASSIGN(auto spki, std::move(public_key));
    return std::shared_ptr<pki::Signer>(
        std::make_shared<Pkcs11Signer>(shared_from_this(), label, handle, std::move(spki)));
  }

  Status generate(const std::string& label, pki::KeyKind kind, int rsa_bits) override {
    EC_ASSIGN(const auto session, borrow());
    Status made;
    if (find(session, CKO_PRIVATE_KEY, label)) {
      made = fail(Code::kConflict, "the token already has a key '" + label + "'");
    } else {
      made = generate_pair(session, label, kind, rsa_bits);
    }
    give_back(session);
    return made;
  }

  Result<std::string> generate_with_standby(const std::string& label, pki::KeyKind kind,
                                            const std::string& wrapping_key) override {
    EC_ASSIGN(const auto session, borrow());
    Result<std::string> wrapped = fail(Code::kConflict, "the token already has a key '" + label + "'");
    if (!find(session, CKO_PRIVATE_KEY, label)) wrapped = generate_and_wrap(session, label, kind, wrapping_key);
    give_back(session);
    return wrapped;
  }

  Result<std::shared_ptr<const pki::CrlSigner>> open_standby(const std::string& wrapped,
                                                             const std::string& wrapping_key,
                                                             const std::string& spki_der) override {
    EC_ASSIGN(auto public_key, pki::PublicKey::from_spki(spki_der));
    if (!login()) {  // the token has been away
      forget_sessions();
      EC_TRY(login());
    }
    auto own = std::make_unique<SessionKey>();
    own->token = shared_from_this();
    own->p11 = module_.p11;
    // Not one of the pool: it ends with the key, and who closes a token's last session is logged out of it.
    EC_ASSIGN(own->session, open_session());
    EC_ASSIGN(const auto with, import_wrapping_key(own->session, wrapping_key));
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_OBJECT_CLASS kind = CKO_PRIVATE_KEY;
    CK_KEY_TYPE type = public_key.kind() == pki::KeyKind::kRsa ? CKK_RSA : CKK_EC;
    CK_ATTRIBUTE secret[] = {{CKA_CLASS, &kind, sizeof kind},   {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_TOKEN, &no, sizeof no},       {CKA_PRIVATE, &yes, sizeof yes},
                             {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no},
                             {CKA_SIGN, &yes, sizeof yes}};
    CK_MECHANISM mechanism{CKM_AES_KEY_WRAP_PAD, nullptr, 0};
    std::string in = wrapped;
    const CK_RV rv = module_.p11->C_UnwrapKey(own->session, &mechanism, with, reinterpret_cast<CK_BYTE*>(in.data()),
                                              in.size(), secret, std::size(secret), &own->key);
    module_.p11->C_DestroyObject(own->session, with);
    if (rv != CKR_OK) {
      own->key = 0;
      auto error = refused("C_UnwrapKey", rv).error();
      return fail(rv == CKR_WRAPPED_KEY_INVALID || rv == CKR_GENERAL_ERROR ? Code::kDenied : error.code,
                  "the standby does not open: another wrapping key, or it was changed; " + error.message);
    }
    const CK_OBJECT_HANDLE key = own->key;
    return pki::crl_signer(
        std::make_shared<Pkcs11Signer>(shared_from_this(), "", key, std::move(public_key), std::move(own)));
  }

  Result<CK_OBJECT_HANDLE> find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS kind, const std::string& label) {
    CK_ATTRIBUTE pattern[] = {{CKA_CLASS, &kind, sizeof kind},
                              {CKA_LABEL, const_cast<char*>(label.data()), label.size()}};
    CK_RV rv = module_.p11->C_FindObjectsInit(session, pattern, 2);
    if (rv != CKR_OK) return refused("C_FindObjectsInit", rv);
    CK_OBJECT_HANDLE handle = 0;
    CK_ULONG count = 0;
    rv = module_.p11->C_FindObjects(session, &handle, 1, &count);
    module_.p11->C_FindObjectsFinal(session);
    if (rv != CKR_OK) return refused("C_FindObjects", rv);
    if (count == 0) return fail(Code::kNotFound, "the token has no key '" + label + "'");
    return handle;
  }

  Module& module() { return module_; }

 private:
  Result<std::string> attribute(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
    CK_ATTRIBUTE wanted{type, nullptr, 0};
    CK_RV rv = module_.p11->C_GetAttributeValue(session, object, &wanted, 1);
    if (rv != CKR_OK) return refused("C_GetAttributeValue", rv);
    std::string value(wanted.ulValueLen, '\0');
    wanted.pValue = value.data();
    rv = module_.p11->C_GetAttributeValue(session, object, &wanted, 1);
    if (rv != CKR_OK) return refused("C_GetAttributeValue", rv);
    return value;
  }

  Result<pki::PublicKey> read_public(CK_SESSION_HANDLE session, const std::string& label) {
    EC_ASSIGN(const auto object, find(session, CKO_PUBLIC_KEY, label));
    EC_ASSIGN(const auto type, attribute(session, object, CKA_KEY_TYPE));
    CK_KEY_TYPE kind = 0;
    std::memcpy(&kind, type.data(), std::min(type.size(), sizeof kind));
    if (kind == CKK_RSA) {
      EC_ASSIGN(const auto n, attribute(session, object, CKA_MODULUS));
      EC_ASSIGN(const auto e, attribute(session, object, CKA_PUBLIC_EXPONENT));
      return pki::PublicKey::from_rsa(n, e);
    }
    EC_ASSIGN(const auto wrapped, attribute(session, object, CKA_EC_POINT));
    const unsigned char* at = pki::bytes(wrapped);
    const pki::Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> point(
        d2i_ASN1_OCTET_STRING(nullptr, &at, static_cast<long>(wrapped.size())));
    if (!point) return fail(Code::kUnavailable, "the token's public key is not encoded as PKCS #11 says");
    const std::string_view xy(reinterpret_cast<const char*>(ASN1_STRING_get0_data(point.get())),
                              static_cast<std::size_t>(ASN1_STRING_length(point.get())));
    if (xy.size() != 65 && xy.size() != 97)
      return fail(Code::kUnsupported, "the token's key is on a curve that is not used here");
    const std::size_t half = (xy.size() - 1) / 2;
    return pki::PublicKey::from_ec(half == 32 ? pki::KeyKind::kP256 : pki::KeyKind::kP384, xy.substr(1, half),
                                   xy.substr(1 + half));
  }

  // For this session.
  Result<CK_OBJECT_HANDLE> import_wrapping_key(CK_SESSION_HANDLE session, std::string value) {
    if (value.size() != kWrappingKeyBytes)
      return fail(Code::kInvalid, "a wrapping key has " + std::to_string(kWrappingKeyBytes) + " bytes");
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &kind, sizeof kind}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_TOKEN, &no, sizeof no},
        {CKA_PRIVATE, &yes, sizeof yes}, {CKA_SENSITIVE, &yes, sizeof yes},  {CKA_EXTRACTABLE, &no, sizeof no},
        {CKA_WRAP, &yes, sizeof yes},    {CKA_UNWRAP, &yes, sizeof yes},     {CKA_VALUE, value.data(), value.size()}};
    CK_OBJECT_HANDLE key = 0;
    const CK_RV rv = module_.p11->C_CreateObject(session, attributes, std::size(attributes), &key);
    OPENSSL_cleanse(value.data(), value.size());
    if (rv != CKR_OK) return refused("C_CreateObject", rv);
    return key;
  }

  Result<std::string> wrap_and_close(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_OBJECT_HANDLE with) {
    CK_MECHANISM mechanism{CKM_AES_KEY_WRAP_PAD, nullptr, 0};
    std::string wrapped(4096, '\0');
    CK_ULONG size = wrapped.size();
    CK_RV rv =
        module_.p11->C_WrapKey(session, &mechanism, with, key, reinterpret_cast<CK_BYTE*>(wrapped.data()), &size);
    if (rv != CKR_OK) return refused("C_WrapKey", rv);
    wrapped.resize(size);
    CK_BBOOL no = CK_FALSE;  // PKCS #11: it can never be made true again
    CK_ATTRIBUTE closed{CKA_EXTRACTABLE, &no, sizeof no};
    rv = module_.p11->C_SetAttributeValue(session, key, &closed, 1);
    if (rv != CKR_OK) return refused("C_SetAttributeValue", rv);
    EC_ASSIGN(const auto is, attribute(session, key, CKA_EXTRACTABLE));
    if (is.empty() || is.front() != CK_FALSE) return fail(Code::kUnavailable, "the HSM does not close the key");
    return wrapped;
  }

  Result<std::string> generate_and_wrap(CK_SESSION_HANDLE session, const std::string& label, pki::KeyKind kind,
                                        const std::string& wrapping_key) {
    EC_ASSIGN(const auto with, import_wrapping_key(session, wrapping_key));
    Result<std::string> wrapped = fail(Code::kInternal, "not made");
    if (const Status made = generate_pair(session, label, kind, 2048, true); !made) {
      wrapped = fail(made.error());
    } else if (const auto key = find(session, CKO_PRIVATE_KEY, label); !key) {
      wrapped = fail(key.error());
    } else if (wrapped = wrap_and_close(session, *key, with); !wrapped) {
      module_.p11->C_DestroyObject(session, *key);
      if (const auto open = find(session, CKO_PUBLIC_KEY, label)) module_.p11->C_DestroyObject(session, *open);
    }
    module_.p11->C_DestroyObject(session, with);
    return wrapped;
  }

  Status generate_pair(CK_SESSION_HANDLE session, const std::string& label, pki::KeyKind kind, int rsa_bits,
                       bool extractable = false) {
    CK_BBOOL yes = CK_TRUE, leaves = extractable ? CK_TRUE : CK_FALSE;
    auto* name = const_cast<char*>(label.data());
    std::vector<CK_ATTRIBUTE> open{
        {CKA_TOKEN, &yes, sizeof yes}, {CKA_VERIFY, &yes, sizeof yes}, {CKA_LABEL, name, label.size()}};
    std::vector<CK_ATTRIBUTE> secret{{CKA_TOKEN, &yes, sizeof yes},     {CKA_PRIVATE, &yes, sizeof yes},
                                     {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &leaves, sizeof leaves},
                                     {CKA_SIGN, &yes, sizeof yes},      {CKA_LABEL, name, label.size()}};
    CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    std::string curve;
    CK_ULONG bits = static_cast<CK_ULONG>(rsa_bits);
    unsigned char exponent[] = {1, 0, 1};
    if (kind == pki::KeyKind::kRsa) {
      mechanism.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN;
      open.push_back({CKA_MODULUS_BITS, &bits, sizeof bits});
      open.push_back({CKA_PUBLIC_EXPONENT, exponent, sizeof exponent});
    } else if (kind == pki::KeyKind::kP256 || kind == pki::KeyKind::kP384) {
      curve =
          pki::to_der(OBJ_nid2obj(kind == pki::KeyKind::kP256 ? NID_X9_62_prime256v1 : NID_secp384r1), i2d_ASN1_OBJECT);
      open.push_back({CKA_EC_PARAMS, curve.data(), curve.size()});
    } else {
      return fail(Code::kUnsupported, "keys of this kind are not made in a token");
    }
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    const CK_RV rv = module_.p11->C_GenerateKeyPair(session, &mechanism, open.data(), open.size(), secret.data(),
                                                    secret.size(), &public_key, &private_key);
    if (rv != CKR_OK) return refused("C_GenerateKeyPair", rv);
    return {};
  }

  Module& module_;
  CK_SLOT_ID slot_;
  std::string pin_;
  std::mutex mutex_;
  std::vector<CK_SESSION_HANDLE> idle_;
};

bool session_is_gone(CK_RV rv) {
  return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED || rv == CKR_DEVICE_REMOVED ||
         rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_KEY_HANDLE_INVALID;
}

Result<std::string> Pkcs11Signer::sign(std::string_view tbs) const {
  unsigned char hash[64];
  unsigned int length = 0;
  EVP_Digest(tbs.data(), tbs.size(), hash, &length, hash_of(public_key_.kind()), nullptr);
  std::string input(reinterpret_cast<char*>(hash), length);
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  if (public_key_.kind() == pki::KeyKind::kRsa) {
    mechanism.mechanism = CKM_SHA256_RSA_PKCS;
    input = tbs;
  }
  CK_OBJECT_HANDLE key = key_;
  for (int attempt = 0;; ++attempt) {
    EC_ASSIGN(const auto session, token_->borrow());
    auto* p11 = token_->module().p11;
    std::string out(1024, '\0');
    CK_ULONG size = out.size();
    CK_RV rv = p11->C_SignInit(session, &mechanism, key);
    if (rv == CKR_OK) {
      rv = p11->C_Sign(session, reinterpret_cast<unsigned char*>(input.data()), input.size(),
                       reinterpret_cast<unsigned char*>(out.data()), &size);
    }
    if (rv == CKR_OK) {
      token_->give_back(session);
      out.resize(size);
      if (public_key_.kind() == pki::KeyKind::kRsa) return out;
      const int half = static_cast<int>(size / 2);
      const pki::Owned<ECDSA_SIG, ECDSA_SIG_free> pair(ECDSA_SIG_new());
      ECDSA_SIG_set0(pair.get(), BN_bin2bn(pki::bytes(out), half, nullptr),
                     BN_bin2bn(pki::bytes(out) + half, half, nullptr));
      return pki::to_der(pair.get(), i2d_ECDSA_SIG);
    }
    // SoftHSM's word for a key that has gone, or was put back: the sessions are well, and others sign in them.
    const bool key_is_gone = rv == CKR_OBJECT_HANDLE_INVALID;
    if ((!session_is_gone(rv) && !key_is_gone) || attempt > 0 || label_.empty()) {
      token_->give_back(session);
      return refused("C_Sign", rv);
    }
    if (key_is_gone) {
      token_->give_back(session);
    } else {
      token_->forget_sessions();
      EC_TRY(token_->login());
    }
    EC_ASSIGN(const auto fresh, token_->borrow());
    auto found = token_->find(fresh, CKO_PRIVATE_KEY, label_);
    token_->give_back(fresh);
    EC_ASSIGN(key, std::move(found));
  }
}

}  // namespace

Result<std::shared_ptr<Pkcs11Token>> open_token(const std::string& module_path, const std::string& token_label,
                                                const std::string& pin) {
  EC_ASSIGN(Module * module, Module::load(module_path));
  EC_ASSIGN(const auto slot, module->find(token_label));
  auto token = std::make_shared<TokenImpl>(*module, slot, pin);
  EC_TRY(token->login());
  return std::shared_ptr<Pkcs11Token>(token);
}

Status create_token(const std::string& module_path, const std::string& token_label, const std::string& pin) {
  EC_ASSIGN(Module * module, Module::load(module_path));
  if (token_label.size() > 32) return fail(Code::kInvalid, "a token label has at most 32 characters");
  if (module->find(token_label)) return fail(Code::kConflict, "a token '" + token_label + "' exists already");
  for (const CK_SLOT_ID slot : module->slots(false)) {
    CK_TOKEN_INFO info{};
    if (module->p11->C_GetTokenInfo(slot, &info) != CKR_OK || (info.flags & CKF_TOKEN_INITIALIZED)) continue;
    std::string label = token_label;
    label.resize(32, ' ');
    auto* pin_bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(pin.data()));
    CK_RV rv = module->p11->C_InitToken(slot, pin_bytes, pin.size(), reinterpret_cast<unsigned char*>(label.data()));
    if (rv != CKR_OK) return refused("C_InitToken", rv);
    EC_ASSIGN(const auto fresh_slot, module->find(token_label));
    CK_SESSION_HANDLE session = 0;
    rv = module->p11->C_OpenSession(fresh_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session);
    if (rv != CKR_OK) return refused("C_OpenSession", rv);
    rv = module->p11->C_Login(session, CKU_SO, pin_bytes, pin.size());
    if (rv == CKR_OK) rv = module->p11->C_InitPIN(session, pin_bytes, pin.size());
    module->p11->C_Logout(session);
    module->p11->C_CloseSession(session);
    if (rv != CKR_OK) return refused("C_InitPIN", rv);
    return {};
  }
  return fail(Code::kUnavailable, "the module has no free slot for a new token");
}

}  // namespace evercert::keys
