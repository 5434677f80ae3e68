// SPDX-License-Identifier: Apache-2.0
#include "net/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/check.h"
#include "net/body_pipe.h"
#include "net/http2_fields.h"

namespace evercert::net {
namespace {

// With its header of nine bytes it fills a TLS record, and no more than one.
constexpr std::size_t kDataBytes = 16 * 1024 - 9;
// A header this many times larger than allowed is an attack on the decoder, not a mistake.
constexpr std::size_t kHopelessFactor = 4;

// What a client does without getting on costs points: each frame one, each stream that ends by an error, and each frame
// that is wrong, more. Requests that are complete, bytes of bodies and time earn them. Whoever has none left is cut
// off.
constexpr int kMostPoints = 2000;
constexpr int kErrorPoints = 8, kRequestPoints = 6, kPointsASecond = 10;
constexpr std::size_t kBytesAPoint = 256;

// Resets by the client (CVE-2023-44487): so many at once, so many a second.
constexpr std::uint64_t kResetsAtOnce = 200, kResetsASecond = 30;
// CONTINUATION frames of one header (CVE-2024-27316): 16 KB each.
constexpr std::size_t kMostContinuations = 8;
// Answers to PING and SETTINGS that the client does not read.
constexpr std::size_t kMostAcknowledgements = 200;

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

}  // namespace

struct Http2Session::Stream {
  std::int32_t id = 0;
  std::size_t place = 0;
  Time begun;
  Http2Fields fields;
  std::string body;
  bool complete = false;  // all of the request came
  bool comes_in_pieces = false;
  std::weak_ptr<BodyPipe> pipe;  // to its reader
  std::uint64_t came = 0;
  Time period_asked;
  std::size_t period_came = 0;  // since then
  bool answered = false;        // perhaps before that
  // Of the answer. `own`: nobody else holds the bytes.
  std::shared_ptr<const std::string> bytes;
  std::size_t from = 0;
  bool own = false;
  bool in_pieces = false;  // more of them may come
  Time period_begun;
  std::size_t moved = 0;  // in this period

  std::size_t left() const { return bytes ? bytes->size() - from : 0; }
};

struct Http2Session::Callbacks {
  static Http2Session& self(void* user) { return *static_cast<Http2Session*>(user); }
  static Stream* stream_of(nghttp2_session* session, std::int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  // The session says goodbye itself once this has been asked for; what the client still sends is not looked at.
  static int allowed(bool allowed) { return allowed ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE; }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd*, void* user) {
    return allowed(self(user).charge(1));
  }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Stream& stream = self(user).begin(frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, &stream);
    return 0;
  }

  static int header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                    void* user) {
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    return allowed(self(user).add_header(*stream, text_of(name, name_size), text_of(value, value_size)));
  }

  // The library would leave the field out and go on; RFC 9113 section 8.2.1 wants the request to end.
  static int invalid_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t*, std::size_t,
                            const std::uint8_t*, std::size_t, std::uint8_t, void*) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      self(user).header_done(*stream, last);
    if (last) self(user).complete(*stream);
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                  void* user) {
    // What is whole takes no room from others; of what comes in pieces the stream's own window waits for the reader.
    nghttp2_session_consume_connection(session, size);
    Stream* stream = stream_of(session, id);
    if (stream != nullptr) self(user).add_body(*stream, text_of(bytes, size));
    if (stream == nullptr || stream->pipe.expired()) nghttp2_session_consume_stream(session, id, size);
    return 0;
  }

  static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    return allowed(self(user).charge(kErrorPoints));
  }

  static int closed(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user) {
    return allowed(self(user).close(id, error != NGHTTP2_NO_ERROR));
  }

  // An answer may be over before its request: the rest of that is not wanted (RFC 9113 section 8.1).
  static int frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const Stream* stream = stream_of(session, frame->hd.stream_id);
    if (stream != nullptr && !stream->complete)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
  }

  static ssize_t data_length(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t, std::int32_t, std::uint32_t,
                             void*) {
    return kDataBytes;
  }

  static ssize_t next_data(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t size, std::uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    const Stream& stream = *static_cast<const Stream*>(source->ptr);
    const std::size_t some = std::min(size, stream.left());
    if (some == 0 && stream.in_pieces) return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (some == stream.left() && !stream.in_pieces) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(some);
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* header, std::size_t size,
                       nghttp2_data_source* source, void* user) {
    Http2Session& session = self(user);
    session.send_body(*static_cast<Stream*>(source->ptr), text_of(header, 9), size);
    return session.out_->size() < session.enough_ ? 0 : NGHTTP2_ERR_PAUSE;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* made = nullptr;
    EC_CHECK(nghttp2_session_callbacks_new(&made) == 0, "memory for the callbacks of HTTP/2");
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(made, invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, frame_sent);
    nghttp2_session_callbacks_set_data_source_read_length_callback(made, data_length);
    nghttp2_session_callbacks_set_send_data_callback(made, send_data);
    return made;
  }

  static nghttp2_option* options() {
    nghttp2_option* made = nullptr;
    EC_CHECK(nghttp2_option_new(&made) == 0, "memory for the options of HTTP/2");
    nghttp2_option_set_stream_reset_rate_limit(made, kResetsAtOnce, kResetsASecond);
    nghttp2_option_set_max_continuations(made, kMostContinuations);
    nghttp2_option_set_max_outbound_ack(made, kMostAcknowledgements);
    nghttp2_option_set_no_auto_window_update(made, 1);
    return made;
  }
};

Http2Session::Http2Session(const Http2Limits& limits, Time now, Executor* on, std::function<void()> consumed)
    : limits_(limits), on_(on), consumed_(std::move(consumed)), now_(now), refunded_(now), points_(kMostPoints) {
  static const nghttp2_session_callbacks* const callbacks = Callbacks::make();
  static const nghttp2_option* const options = Callbacks::options();
  EC_CHECK(nghttp2_session_server_new2(&session_, callbacks, this, options) == 0, "memory for an HTTP/2 connection");
  const std::array<nghttp2_settings_entry, 2> settings{
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.header)}}};
  EC_CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0,
           "the settings of HTTP/2");
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

bool Http2Session::receive(std::string_view bytes, Time now) {
  now_ = now;
  if (broken_) return false;
  const auto used =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  return used >= 0 || failed(static_cast<int>(used));
}

// The library cannot go on, or was told not to. Nothing more may be asked of it but that it goes.
bool Http2Session::failed(int code) {
  broken_ = true;
  if (fault_.empty()) fault_ = nghttp2_strerror(code);
  return false;
}

std::vector<Http2Session::Arrived> Http2Session::arrived() { return std::exchange(arrived_, {}); }

std::vector<Http2Session::Rejected> Http2Session::rejected() { return std::exchange(rejected_, {}); }

Http2Session::Stream* Http2Session::find(std::int32_t id) const {
  return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

Http2Session::Stream& Http2Session::begin(std::int32_t id) {
  auto made = spare_ ? std::move(spare_) : std::make_unique<Stream>();
  made->id = id;
  made->begun = now_;
  made->place = streams_.size();
  streams_.push_back(std::move(made));
  return *streams_.back();
}

// By the library alone: afterwards it does not know the stream any more.
bool Http2Session::close(std::int32_t id, bool by_error) {
  if (Stream* stream = find(id); stream != nullptr) {
    if (!stream->complete) bodies_ -= stream->body.size();
    if (const auto pipe = stream->pipe.lock()) {
      pipe->leave();
      pipe->break_off({Code::kUnavailable, "the client has given it up"});
    }
    if (stream->own) unsent_ -= stream->left();
    std::erase_if(arrived_, [&](const Arrived& one) { return one.stream == id; });
    const std::size_t place = stream->place;
    spare_ = std::move(streams_[place]);
    if (place + 1 < streams_.size()) {
      streams_[place] = std::move(streams_.back());
      streams_[place]->place = place;
    }
    streams_.pop_back();
    *spare_ = Stream();
    nghttp2_session_set_stream_user_data(session_, id, nullptr);
  }
  return !by_error || charge(kErrorPoints);
}

// False: that was the last that it may do.
bool Http2Session::charge(int points) {
  if (broken_) return true;  // it is ending
  points_ -= points;
  if (points_ >= 0) return true;
  fault_ = "frames without a use";
  calm_down_ = true;
  return false;
}

void Http2Session::refund(std::size_t bytes) {
  moved_ += bytes;
  points_ = std::min(kMostPoints, points_ + static_cast<int>(moved_ / kBytesAPoint));
  moved_ %= kBytesAPoint;
}

bool Http2Session::add_header(Stream& stream, std::string_view name, std::string_view value) {
  stream.fields.add(name, value, limits_.header);
  if (stream.fields.size() <= limits_.header * kHopelessFactor) return true;
  fault_ = "a header of more than " + std::to_string(limits_.header * kHopelessFactor) + " bytes";
  calm_down_ = true;
  return false;
}

void Http2Session::header_done(Stream& stream, bool last) {
  stream.fields.end_header();
  if (stream.fields.size() > limits_.header)
    return reject(stream, 431, "the header is larger than " + std::to_string(limits_.header) + " bytes");
  if (const std::string_view why = stream.fields.fault(); !why.empty()) return reject(stream, 400, why);
  if (stream.fields.request().method == "CONNECT") return reject(stream, 405, "this is not a proxy");
  const std::uint64_t length = stream.fields.announced_length();
  if (length > std::max<std::uint64_t>(limits_.body, limits_.in_pieces)) return reject_body(stream);
  if (!last && length > limits_.body) begin_pieces(stream);
  if (last || !stream.fields.expects_continue()) return;
  static constexpr std::string_view kName = ":status", kValue = "100";
  const nghttp2_nv go_on = field(kName, kValue);
  nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id, nullptr, &go_on, 1, nullptr);
}

void Http2Session::add_body(Stream& stream, std::string_view bytes) {
  if (stream.comes_in_pieces) {
    stream.came += bytes.size();
    stream.period_came += bytes.size();
    refund(bytes.size());
    const auto pipe = stream.pipe.lock();
    if (!pipe) return;
    pipe->add(bytes);
    if (stream.came > limits_.in_pieces)
      pipe->break_off({Code::kInvalid, "the body is larger than " + std::to_string(limits_.in_pieces) + " bytes"});
    return;
  }
  if (stream.answered) return;  // what it was about is decided
  if (bytes.size() > limits_.body - stream.body.size()) {
    if (limits_.in_pieces == 0) return reject_body(stream);
    begin_pieces(stream);
    return add_body(stream, bytes);
  }
  // The latest gives way: those that have come further can end.
  if (bytes.size() > limits_.bodies - bodies_) return refuse(stream.id);
  stream.body.append(bytes);
  bodies_ += bytes.size();
  refund(bytes.size());
}

void Http2Session::complete(Stream& stream) {
  stream.complete = true;
  bodies_ -= stream.body.size();
  if (stream.comes_in_pieces) {
    if (const auto pipe = stream.pipe.lock()) pipe->end();
    return;
  }
  if (stream.answered) return;
  if (unsent_ > limits_.unsent) return refuse(stream.id);
  points_ = std::min(kMostPoints, points_ + kRequestPoints);
  arrived_.push_back({stream.id, stream.fields.take()});
  arrived_.back().request.body = std::move(stream.body);
}

// The handler may begin with what is there; the library checks that the length that was announced is kept.
void Http2Session::begin_pieces(Stream& stream) {
  if (unsent_ > limits_.unsent) return refuse(stream.id);
  stream.comes_in_pieces = true;
  points_ = std::min(kMostPoints, points_ + kRequestPoints);
  stream.period_asked = now_;
  auto pipe = std::make_shared<BodyPipe>(*on_, [self = std::weak_ptr<Http2Session*>(self_), id = stream.id,
                                                given = stream.body.size()](std::size_t taken) mutable {
    const auto session = self.lock();
    if (!session || (*session)->broken_) return;
    // What came while it was to be whole has its place back already.
    const std::size_t of_given = std::min(given, taken);
    given -= of_given;
    if (taken > of_given) nghttp2_session_consume_stream((*session)->session_, id, taken - of_given);
    if ((*session)->consumed_) (*session)->consumed_();
  });
  stream.came = stream.body.size();
  stream.pipe = pipe;
  bodies_ -= stream.body.size();
  arrived_.push_back({stream.id, stream.fields.request()});
  HttpRequest& request = arrived_.back().request;
  if (stream.fields.announced_length() > 0) request.length = stream.fields.announced_length();
  pipe->add(std::exchange(stream.body, {}));
  request.source = std::move(pipe);
}

void Http2Session::reject_body(Stream& stream) {
  reject(
      stream, 413,
      "the body is larger than " + std::to_string(std::max<std::uint64_t>(limits_.body, limits_.in_pieces)) + " bytes");
}

void Http2Session::reject(Stream& stream, int status, std::string_view why) {
  if (stream.answered) return;
  if (!stream.complete) bodies_ -= stream.body.size();
  stream.body = std::string();
  rejected_.push_back({status, stream.fields.request().method, stream.fields.request().path});
  submit(stream, problem(status, reason_phrase(status), why));
}

bool Http2Session::answer(std::int32_t id, HttpResponse response) {
  Stream* stream = broken_ ? nullptr : find(id);
  if (stream == nullptr || stream->answered) return false;
  submit(*stream, std::move(response));
  return stream->in_pieces;
}

bool Http2Session::takes_piece(std::int32_t id) const {
  const Stream* stream = broken_ ? nullptr : find(id);
  return stream != nullptr && stream->in_pieces && stream->left() == 0;
}

void Http2Session::add_piece(std::int32_t id, std::string bytes) {
  Stream* stream = broken_ ? nullptr : find(id);
  if (stream == nullptr || !stream->in_pieces || bytes.empty()) return;
  EC_CHECK(stream->left() == 0, "a piece is asked for when the one before has left");
  stream->bytes = std::make_shared<const std::string>(std::move(bytes));
  stream->from = 0;
  stream->own = true;
  unsent_ += stream->left();
  stream->period_begun = now_;
  stream->moved = 0;
  nghttp2_session_resume_data(session_, id);
}

void Http2Session::end_pieces(std::int32_t id, bool whole) {
  Stream* stream = broken_ ? nullptr : find(id);
  if (stream == nullptr || !std::exchange(stream->in_pieces, false)) return;
  if (whole) {
    nghttp2_session_resume_data(session_, id);
  } else {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
  }
}

void Http2Session::refuse(std::int32_t id) {
  Stream* stream = broken_ ? nullptr : find(id);
  if (stream == nullptr) return;
  stream->answered = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
}

void Http2Session::submit(Stream& stream, HttpResponse response) {
  stream.answered = true;
  thread_local Http2Answer answer;  // keeps its memory
  answer.set(response);
  stream.in_pieces = response.source != nullptr && answer.may_have_body() && !stream.fields.head();
  const bool body = stream.in_pieces || (answer.body_size() > 0 && !stream.fields.head());
  if (body && !stream.in_pieces) {
    stream.own = response.prepared == nullptr && response.shared_body == nullptr;
    stream.bytes = response.prepared      ? std::move(response.prepared)
                   : response.shared_body ? std::move(response.shared_body)
                                          : std::make_shared<const std::string>(std::move(response.body));
    stream.from = answer.body_from();
    if (stream.own) unsent_ += stream.left();
    stream.period_begun = now_;
  }
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = Callbacks::next_data;
  const auto fields = answer.fields();
  const int code =
      nghttp2_submit_response(session_, stream.id, fields.data(), fields.size(), body ? &provider : nullptr);
  // It cannot be that two answers are given; memory may be short.
  if (code != 0) failed(code);
}

void Http2Session::send_body(Stream& stream, std::string_view frame_header, std::size_t size) {
  out_->add(frame_header);
  if (size == 0) return;  // the end of what came in pieces
  out_->add(std::string_view(*stream.bytes).substr(stream.from, size));
  stream.from += size;
  stream.moved += size;
  if (stream.own) unsent_ -= size;
  if (stream.left() == 0) {
    stream.bytes.reset();
    stream.own = false;
  }
  refund(size);
}

bool Http2Session::produce(Outbox& out, std::size_t enough, Time now) {
  now_ = now;
  out_ = &out;
  enough_ = enough;
  while (!broken_ && out.size() < enough) {
    const std::uint8_t* bytes = nullptr;
    const auto size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) return failed(static_cast<int>(size));
    within_frame_ = size > 0;
    if (size == 0) break;
    out.add(text_of(bytes, static_cast<std::size_t>(size)));
  }
  // The library itself says why it ends, except when a callback ended it.
  if (broken_ && !within_frame_ && std::exchange(calm_down_, false)) {
    const auto last = static_cast<std::uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
    std::string goaway("\0\0\x08\x07\0\0\0\0\0", 9);
    for (const std::uint32_t number : {last, static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM)}) {
      for (int shift = 24; shift >= 0; shift -= 8) goaway.push_back(static_cast<char>(number >> shift));
    }
    out.add(goaway);
  }
  return !broken_;
}

bool Http2Session::wants_write() const { return !broken_ && nghttp2_session_want_write(session_) != 0; }

bool Http2Session::over() const {
  return broken_ || (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

void Http2Session::check_time(Time now, bool blocked) {
  now_ = now;
  if (broken_) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - refunded_);
  if (seconds.count() > 0) {
    points_ = static_cast<int>(std::min<std::int64_t>(kMostPoints, points_ + seconds.count() * kPointsASecond));
    refunded_ += seconds;
  }
  // Neither of these takes a stream out of the list: the library does when it has sent what it is to.
  for (const auto& stream : streams_) {
    if (stream->comes_in_pieces) {
      check_pieces(*stream, blocked);
    } else if (!stream->complete && !stream->answered && now - stream->begun >= limits_.request_time) {
      reject(*stream, 408, "the request did not arrive in time");
    }
    if (blocked) {
      stream->period_begun = now;
      stream->moved = 0;
    }
    if (stream->left() == 0 || now - stream->period_begun < limits_.write_time) continue;
    const auto period = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.write_time);
    if (stream->moved * 1000 < limits_.least_rate * static_cast<std::size_t>(period.count()))
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    stream->moved = 0;
    stream->period_begun = now;
  }
}

// As with answers; that its reader is slow is not the client's fault.
void Http2Session::check_pieces(Stream& stream, bool blocked) {
  const auto pipe = stream.pipe.lock();
  if (stream.complete || !pipe) return;
  if (blocked || pipe->waiting() > 0) {
    stream.period_asked = now_;
    stream.period_came = 0;
    return;
  }
  if (now_ - stream.period_asked < limits_.request_time) return;
  const auto period = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.request_time);
  if (stream.period_came * 1000 < limits_.least_rate * static_cast<std::size_t>(period.count()))
    pipe->break_off({Code::kExpired, "the request did not arrive in time"});
  stream.period_asked = now_;
  stream.period_came = 0;
}

void Http2Session::leave() {
  for (const auto& stream : streams_) {
    const auto pipe = stream->pipe.lock();
    if (!pipe) continue;
    pipe->leave();
    pipe->break_off({Code::kUnavailable, "the client is gone"});
  }
}

void Http2Session::announce_end() {
  if (broken_ || std::exchange(announced_, true)) return;
  nghttp2_submit_shutdown_notice(session_);
}

void Http2Session::end() {
  if (broken_ || std::exchange(ended_, true)) return;
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

}  // namespace evercert::net
