// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/bio.h>

namespace evercert::net {

// OpenSSL on a non-blocking socket. Unlike OpenSSL's own, it raises no SIGPIPE when the peer has gone. The socket stays
// the caller's; the BIO is the caller's to free or to hand to an SSL.
BIO* make_socket_bio(int socket);

}  // namespace evercert::net
