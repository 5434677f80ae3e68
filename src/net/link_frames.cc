// SPDX-License-Identifier: Apache-2.0
#include "net/link_frames.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <utility>

namespace evercert::net {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kFullFrame = 256 << 10;   // no more is added to a frame that has this
constexpr std::size_t kKeptMemory = 256 << 10;  // beyond, memory is given back after use
constexpr std::uint8_t kBytesType = 2;
constexpr int kLeastStatus = 100, kMostStatus = 599;

template <class Message>
void add_headers(const Headers& headers, Message& out) {
  for (const auto& [name, value] : headers.all()) {
    *out.add_headers() = name;
    *out.add_headers() = value;
  }
}

Headers take_headers(google::protobuf::RepeatedPtrField<std::string>& in) {
  Headers headers;
  for (int i = 0; i + 1 < in.size(); i += 2) headers.add(in[i], in[i + 1]);
  return headers;
}

Status check_headers(const google::protobuf::RepeatedPtrField<std::string>& headers) {
  if (headers.size() % 2 != 0) return fail(Code::kInvalid, "a header of a link message has no value");
  for (int i = 0; i < headers.size(); i += 2) {
    if (headers[i].empty()) return fail(Code::kInvalid, "a header of a link message has no name");
  }
  return {};
}

Status check(const v1::LinkFrame& frame) {
  for (const auto& request : frame.requests()) {
    EC_TRY(check_headers(request.headers()));
    if (request.id() == 0 || request.target().empty())
      return fail(Code::kInvalid, "a request of a link frame has no number or no target");
  }
  for (const auto& request : frame.begun()) {
    EC_TRY(check_headers(request.headers()));
    if (request.id() == 0 || request.target().empty() || request.method().empty())
      return fail(Code::kInvalid, "a request in pieces of a link frame has no number, no method or no target");
  }
  for (const auto& piece : frame.pieces()) {
    if (piece.id() == 0 || piece.body().size() > kFirstCredit)
      return fail(Code::kInvalid, "a piece of a link frame has no number, or is too large");
  }
  for (const auto& answer : frame.answers()) {
    EC_TRY(check_headers(answer.headers()));
    if (answer.status() < kLeastStatus || answer.status() > kMostStatus)
      return fail(Code::kInvalid, "an answer of a link frame has no HTTP status");
  }
  return {};
}

}  // namespace

void FrameWriter::open(std::size_t more) {
  if (open_ && buffer_.size() - begin_ + more > kFullFrame) close();
  if (open_) return;
  begin_ = buffer_.size();
  buffer_.append(kLengthBytes, '\0');
  open_ = true;
}

void FrameWriter::close() {
  const std::size_t length = buffer_.size() - begin_ - kLengthBytes;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    buffer_[begin_ + i] = static_cast<char>(length >> (8 * (kLengthBytes - 1 - i)));
  open_ = false;
}

template <class Message>
void FrameWriter::add(std::uint8_t field, const Message& message, std::size_t size) {
  open(size);
  std::uint8_t prefix[1 + 5];
  prefix[0] = static_cast<std::uint8_t>(field << 3 | kBytesType);
  const auto* end = CodedOutputStream::WriteVarint32ToArray(static_cast<std::uint32_t>(size), prefix + 1);
  buffer_.append(reinterpret_cast<const char*>(prefix), static_cast<std::size_t>(end - prefix));
  const std::size_t at = buffer_.size();
  buffer_.resize(at + size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(buffer_.data()) + at);
}

void FrameWriter::add(std::uint8_t field, std::uint64_t number) {
  std::uint8_t bytes[1 + 10];
  bytes[0] = static_cast<std::uint8_t>(field << 3);
  const auto* end = CodedOutputStream::WriteVarint64ToArray(number, bytes + 1);
  open(sizeof bytes);
  buffer_.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(end - bytes));
}

bool FrameWriter::request(std::uint64_t id, const LinkCall& call) {
  return add_request(v1::LinkFrame::kRequestsFieldNumber, id, call);
}

bool FrameWriter::begun(std::uint64_t id, const LinkCall& call) {
  return add_request(v1::LinkFrame::kBegunFieldNumber, id, call);
}

bool FrameWriter::add_request(std::uint8_t field, std::uint64_t id, const LinkCall& call) {
  request_.Clear();
  request_.set_id(id);
  request_.set_method(call.method);
  request_.set_target(call.target);
  add_headers(call.headers, request_);
  request_.set_body(call.body);
  request_.set_credit(kFirstCredit);
  if (call.length) request_.set_length(*call.length);
  const std::size_t size = request_.ByteSizeLong();
  const bool fits = size + 2 * kLengthBytes + kLengthBytes <= kMaxRequestFrameBytes;
  if (fits) add(field, request_, size);
  if (size > kKeptMemory) request_ = v1::LinkRequest();
  return fits;
}

bool FrameWriter::answer(std::uint64_t id, const HttpResponse& response) {
  answer_.Clear();
  answer_.set_id(id);
  answer_.set_status(static_cast<std::uint32_t>(response.status));
  add_headers(response.headers, answer_);
  answer_.set_body(response.bytes());
  return add_answer();
}

bool FrameWriter::begun(std::uint64_t id, const HttpResponse& response, std::string first) {
  answer_.Clear();
  answer_.set_id(id);
  answer_.set_status(static_cast<std::uint32_t>(response.status));
  add_headers(response.headers, answer_);
  answer_.set_body(std::move(first));
  answer_.set_more(true);
  if (response.length) answer_.set_length(*response.length);
  return add_answer();
}

void FrameWriter::piece(std::uint64_t id, std::string bytes, bool last, bool broken) {
  piece_.set_id(id);
  piece_.set_body(std::move(bytes));
  piece_.set_last(last);
  piece_.set_broken(broken);
  add(v1::LinkFrame::kPiecesFieldNumber, piece_, piece_.ByteSizeLong());
}

void FrameWriter::credit(std::uint64_t id, std::size_t bytes) {
  v1::LinkCredit credit;
  credit.set_id(id);
  credit.set_bytes(bytes);
  add(v1::LinkFrame::kCreditsFieldNumber, credit, credit.ByteSizeLong());
}

void FrameWriter::load(std::size_t in_flight, Duration waiting) {
  v1::LinkLoad load;
  load.set_in_flight(static_cast<std::uint32_t>(std::min<std::size_t>(in_flight, UINT32_MAX)));
  load.set_waiting_us(static_cast<std::uint32_t>(std::clamp<std::int64_t>(waiting.count(), 0, UINT32_MAX)));
  add(v1::LinkFrame::kLoadFieldNumber, load, load.ByteSizeLong());
}

bool FrameWriter::add_answer() {
  const std::size_t size = answer_.ByteSizeLong();
  const bool fits = size + 2 * kLengthBytes + kLengthBytes <= kMaxAnswerFrameBytes;
  if (fits) add(v1::LinkFrame::kAnswersFieldNumber, answer_, size);
  if (size > kKeptMemory) answer_ = v1::LinkAnswer();
  return fits;
}

void FrameWriter::ping(std::uint64_t number) { add(v1::LinkFrame::kPingFieldNumber, number); }
void FrameWriter::pong(std::uint64_t number) { add(v1::LinkFrame::kPongFieldNumber, number); }
// Unpacked, one by one: a reader takes a repeated number either way.
void FrameWriter::given_up(std::uint64_t id) { add(v1::LinkFrame::kGivenUpFieldNumber, id); }

void FrameWriter::take(std::string& out) {
  if (open_) close();
  out.clear();
  if (out.capacity() > kKeptMemory) out.shrink_to_fit();
  out.swap(buffer_);
}

std::span<char> FrameReader::space(std::size_t least) {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > kKeptMemory && least <= kKeptMemory) {
      buffer_.clear();
      buffer_.shrink_to_fit();
    }
  }
  if (buffer_.size() - end_ < least && begin_ > 0) {
    buffer_.erase(0, begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < least) buffer_.resize(std::max(end_ + least, 2 * buffer_.size()));
  return {buffer_.data() + end_, buffer_.size() - end_};
}

Result<v1::LinkFrame*> FrameReader::next() {
  if (end_ - begin_ < kLengthBytes) return nullptr;
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length = length << 8 | static_cast<std::uint8_t>(buffer_[begin_ + i]);
  if (length > max_) {
    return fail(Code::kInvalid, "a link frame of " + std::to_string(length) + " bytes: " + std::to_string(max_) +
                                    " are the most that is taken");
  }
  if (end_ - begin_ - kLengthBytes < length) return nullptr;
  if (std::exchange(last_length_, length) > kKeptMemory) frame_ = v1::LinkFrame();
  if (!frame_.ParseFromArray(buffer_.data() + begin_ + kLengthBytes, static_cast<int>(length)))
    return fail(Code::kInvalid, "a link frame does not parse");
  begin_ += kLengthBytes + length;
  EC_TRY(check(frame_));
  return &frame_;
}

HttpRequest take_request(v1::LinkRequest& in) {
  HttpRequest request;
  request.method = std::move(*in.mutable_method());
  request.target = std::move(*in.mutable_target());
  const auto question = request.target.find('?');
  request.path = request.target.substr(0, question);
  if (question != std::string::npos) request.query = request.target.substr(question + 1);
  request.headers = take_headers(*in.mutable_headers());
  request.body = std::move(*in.mutable_body());
  return request;
}

HttpResponse take_response(v1::LinkAnswer& in) {
  HttpResponse response;
  response.status = static_cast<int>(in.status());
  response.headers = take_headers(*in.mutable_headers());
  response.body = std::move(*in.mutable_body());
  return response;
}

}  // namespace evercert::net
