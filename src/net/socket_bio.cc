// SPDX-License-Identifier: Apache-2.0
#include "net/socket_bio.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace evercert::net {
namespace {

struct Socket {
  int descriptor;
  // The last read took all there was: the next one is answered without a call. Once, so that what came meanwhile is
  // found by whoever waits and reads again.
  bool drained = false;
};

Socket& socket_of(BIO* bio) { return *static_cast<Socket*>(BIO_get_data(bio)); }

bool again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int write_some(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(socket_of(bio).descriptor, data, size, MSG_NOSIGNAL);
  if (n < 0 && again(errno)) BIO_set_retry_write(bio);
  *written = n > 0 ? static_cast<std::size_t>(n) : 0;
  return n > 0 ? 1 : 0;
}

int read_some(BIO* bio, char* data, std::size_t size, std::size_t* got) {
  BIO_clear_retry_flags(bio);
  Socket& socket = socket_of(bio);
  *got = 0;
  if (std::exchange(socket.drained, false)) {
    BIO_set_retry_read(bio);
    return 0;
  }
  const ssize_t n = ::recv(socket.descriptor, data, size, 0);
  socket.drained = n > 0 && static_cast<std::size_t>(n) < size;
  if (n < 0 && again(errno)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  *got = n > 0 ? static_cast<std::size_t>(n) : 0;
  return n > 0 ? 1 : 0;
}

long control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    default: return 0;
  }
}

int forget(BIO* bio) {
  delete static_cast<Socket*>(BIO_get_data(bio));
  BIO_set_data(bio, nullptr);
  return 1;
}

BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "socket");
    BIO_meth_set_write_ex(m, write_some);
    BIO_meth_set_read_ex(m, read_some);
    BIO_meth_set_ctrl(m, control);
    BIO_meth_set_destroy(m, forget);
    return m;
  }();
  return made;
}

}  // namespace

BIO* make_socket_bio(int socket) {
  BIO* bio = BIO_new(method());
  BIO_set_data(bio, new Socket{socket});
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace evercert::net
