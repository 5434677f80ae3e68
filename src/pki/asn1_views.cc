// SPDX-License-Identifier: Apache-2.0
#include "pki/asn1_views.h"

namespace evercert::pki {
namespace {

// clang-format off
ASN1_SEQUENCE(SpkiView) = {
  ASN1_SIMPLE(SpkiView, algorithm, X509_ALGOR),
  ASN1_SIMPLE(SpkiView, bits, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(SpkiView)

ASN1_SEQUENCE(TbsView) = {
  ASN1_EXP_OPT(TbsView, version, ASN1_INTEGER, 0),
  ASN1_SIMPLE(TbsView, serial, ASN1_INTEGER),
  ASN1_SIMPLE(TbsView, signature, X509_ALGOR),
  ASN1_SIMPLE(TbsView, issuer, X509_NAME),
  ASN1_SIMPLE(TbsView, validity, X509_VAL),
  ASN1_SIMPLE(TbsView, subject, X509_NAME),
  ASN1_SIMPLE(TbsView, spki, ASN1_ANY),
  ASN1_IMP_OPT(TbsView, issuer_id, ASN1_BIT_STRING, 1),
  ASN1_IMP_OPT(TbsView, subject_id, ASN1_BIT_STRING, 2),
  ASN1_EXP_SEQUENCE_OF_OPT(TbsView, extensions, X509_EXTENSION, 3),
} static_ASN1_SEQUENCE_END(TbsView)

ASN1_SEQUENCE(SignedView) = {
  ASN1_SIMPLE(SignedView, body, ASN1_ANY),
  ASN1_SIMPLE(SignedView, algorithm, X509_ALGOR),
  ASN1_SIMPLE(SignedView, signature, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(SignedView)

ASN1_SEQUENCE(RequestView) = {
  ASN1_SIMPLE(RequestView, version, ASN1_INTEGER),
  ASN1_SIMPLE(RequestView, subject, X509_NAME),
  ASN1_SIMPLE(RequestView, spki, ASN1_ANY),
  // Old requests leave the empty set out.
  ASN1_IMP_SET_OF_OPT(RequestView, attributes, X509_ATTRIBUTE, 0),
} static_ASN1_SEQUENCE_END(RequestView)
    // clang-format on

    template <class View>
    ViewPtr<View> parse(std::string_view der, const ASN1_ITEM* item) {
  const unsigned char* at = bytes(der);
  ViewPtr<View> view(
      static_cast<View*>(static_cast<void*>(ASN1_item_d2i(nullptr, &at, static_cast<long>(der.size()), item))));
  if (view && at != bytes(der) + der.size()) view.reset();
  if (!view) ERR_clear_error();
  return view;
}

void free_item(void* view, const ASN1_ITEM* item) { ASN1_item_free(static_cast<ASN1_VALUE*>(view), item); }

}  // namespace

void free_view(SpkiView* view) { free_item(view, ASN1_ITEM_rptr(SpkiView)); }
void free_view(TbsView* view) { free_item(view, ASN1_ITEM_rptr(TbsView)); }
void free_view(SignedView* view) { free_item(view, ASN1_ITEM_rptr(SignedView)); }
void free_view(RequestView* view) { free_item(view, ASN1_ITEM_rptr(RequestView)); }

ViewPtr<SpkiView> parse_spki(std::string_view der) { return parse<SpkiView>(der, ASN1_ITEM_rptr(SpkiView)); }
ViewPtr<TbsView> parse_tbs(std::string_view der) { return parse<TbsView>(der, ASN1_ITEM_rptr(TbsView)); }
ViewPtr<SignedView> parse_signed(std::string_view der) { return parse<SignedView>(der, ASN1_ITEM_rptr(SignedView)); }
ViewPtr<RequestView> parse_request(std::string_view der) {
  return parse<RequestView>(der, ASN1_ITEM_rptr(RequestView));
}

std::string_view sequence(const ASN1_TYPE* any) {
  return any->type == V_ASN1_SEQUENCE ? contents(any->value.sequence) : std::string_view{};
}

std::string_view contents(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

}  // namespace evercert::pki
