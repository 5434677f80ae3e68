// SPDX-License-Identifier: Apache-2.0
#include "net/link_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace evercert::net {
namespace {

LinkCall call_of(std::string target, std::string body) {
  LinkCall call;
  call.method = "POST";
  call.target = std::move(target);
  call.headers.add("Accept", "text/plain");
  call.headers.add("X-Empty", "");
  call.body = std::move(body);
  return call;
}

void feed(FrameReader& reader, std::string_view bytes) {
  const auto space = reader.space(bytes.size());
  ASSERT_GE(space.size(), bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  reader.filled(bytes.size());
}

std::string taken(FrameWriter& writer) {
  std::string out;
  writer.take(out);
  return out;
}

TEST(LinkFrames, ManyRequestsOfOneTurnAreOneFrameAndComeOutWhole) {
  FrameWriter writer;
  for (std::uint64_t id = 1; id <= 50; ++id)
    ASSERT_TRUE(writer.request(id, call_of("/a?b=" + std::to_string(id), std::string(id * 10, 'x'))));
  writer.ping(7);
  FrameReader reader(kMaxRequestFrameBytes);
  feed(reader, taken(writer));
  EXPECT_TRUE(writer.empty());
  const auto frame = reader.next();
  ASSERT_TRUE(frame && *frame) << "one frame";
  EXPECT_EQ((*frame)->ping(), 7u);
  ASSERT_EQ((*frame)->requests_size(), 50);
  HttpRequest request = take_request(*(*frame)->mutable_requests(41));
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/a?b=42");
  EXPECT_EQ(request.path, "/a");
  EXPECT_EQ(request.query, "b=42");
  EXPECT_EQ(request.headers.get("accept"), "text/plain");
  EXPECT_EQ(request.headers.find("X-Empty"), "");
  EXPECT_EQ(request.body.size(), 420u);
  const auto none = reader.next();
  EXPECT_TRUE(none && *none == nullptr);
}

TEST(LinkFrames, AnAnswerCarriesStatusHeadersAndSharedBody) {
  FrameWriter writer;
  HttpResponse response;
  response.status = 404;
  response.headers.set("Content-Type", "application/ocsp-response");
  response.shared_body = std::make_shared<const std::string>("bytes\0in it", 11);
  ASSERT_TRUE(writer.answer(3, response));
  writer.pong(1);
  FrameReader reader(kMaxAnswerFrameBytes);
  feed(reader, taken(writer));
  const auto frame = reader.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->pong(), 1u);
  EXPECT_EQ((*frame)->answers(0).id(), 3u);
  const HttpResponse back = take_response(*(*frame)->mutable_answers(0));
  EXPECT_EQ(back.status, 404);
  EXPECT_EQ(back.body, *response.shared_body);
  EXPECT_EQ(back.headers.get("Content-Type"), "application/ocsp-response");
}

TEST(LinkFrames, BytesMayComeOneByOne) {
  FrameWriter writer;
  ASSERT_TRUE(writer.request(1, call_of("/one", "1")));
  std::string bytes = taken(writer);
  ASSERT_TRUE(writer.request(2, call_of("/two", "2")));
  bytes += taken(writer);
  FrameReader reader(kMaxRequestFrameBytes);
  std::vector<std::string> targets;
  for (const char byte : bytes) {
    feed(reader, {&byte, 1});
    const auto frame = reader.next();
    ASSERT_TRUE(frame.has_value());
    if (*frame) targets.push_back((*frame)->requests(0).target());
  }
  EXPECT_EQ(targets, (std::vector<std::string>{"/one", "/two"}));
}

TEST(LinkFrames, MuchToSendIsSeveralFramesThatFitTheLimit) {
  FrameWriter writer;
  for (std::uint64_t id = 1; id <= 100; ++id) ASSERT_TRUE(writer.request(id, call_of("/", std::string(100'000, 'x'))));
  FrameReader reader(kMaxRequestFrameBytes);
  feed(reader, taken(writer));
  int frames = 0, requests = 0;
  for (auto frame = reader.next(); frame && *frame; frame = reader.next()) {
    ++frames;
    requests += (*frame)->requests_size();
  }
  EXPECT_EQ(requests, 100);
  EXPECT_GT(frames, 10);
}

TEST(LinkFrames, WhatTheOtherSideWouldRefuseIsNotSent) {
  FrameWriter writer;
  EXPECT_FALSE(writer.request(1, call_of("/", std::string(kMaxRequestFrameBytes, 'x'))));
  HttpResponse response;
  response.body.resize(kMaxAnswerFrameBytes);
  EXPECT_FALSE(writer.answer(1, response));
  EXPECT_TRUE(writer.empty());
  response.body.resize(kMaxAnswerFrameBytes - 1000);
  ASSERT_TRUE(writer.answer(1, response));
  FrameReader reader(kMaxAnswerFrameBytes);
  feed(reader, taken(writer));
  const auto frame = reader.next();
  ASSERT_TRUE(frame && *frame);
  EXPECT_EQ((*frame)->answers(0).body().size(), response.body.size());
}

std::string refusal(std::string_view bytes) {
  FrameReader reader(1000);
  const auto space = reader.space(bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  reader.filled(bytes.size());
  const auto frame = reader.next();
  if (frame) return *frame ? "a frame" : "more";
  EXPECT_EQ(frame.error().code, Code::kInvalid);
  return frame.error().message;
}

TEST(LinkFrames, AFrameBeyondTheLimitIsRefusedByItsLengthAlone) {
  EXPECT_EQ(refusal(std::string("\x00\x00\x03\xe9", 4)), "a link frame of 1001 bytes: 1000 are the most that is taken");
  EXPECT_EQ(refusal(std::string("\x00\x00\x03\xe8", 4)), "more");
}

std::string framed(const v1::LinkFrame& frame) {
  const std::string payload = frame.SerializeAsString();
  return std::string{'\0', '\0', '\0', static_cast<char>(payload.size())} + payload;
}

TEST(LinkFrames, NonsenseIsRefusedWithItsReason) {
  EXPECT_EQ(refusal(std::string("\x00\x00\x00\x02\xff\xff", 6)), "a link frame does not parse");
  v1::LinkFrame frame;
  frame.add_requests()->set_id(1);
  EXPECT_EQ(refusal(framed(frame)), "a request of a link frame has no number or no target");
  frame.mutable_requests(0)->set_target("/");
  EXPECT_EQ(refusal(framed(frame)), "a frame");
  frame.mutable_requests(0)->add_headers("lonely");
  EXPECT_EQ(refusal(framed(frame)), "a header of a link message has no value");
  frame.mutable_requests(0)->set_headers(0, "");
  frame.mutable_requests(0)->add_headers("value");
  EXPECT_EQ(refusal(framed(frame)), "a header of a link message has no name");
  frame.clear_requests();
  frame.add_answers()->set_status(99);
  EXPECT_EQ(refusal(framed(frame)), "an answer of a link frame has no HTTP status");
}

}  // namespace
}  // namespace evercert::net
