// SPDX-License-Identifier: Apache-2.0
// The whole store of one node, and two others that say whatever they like. Each input is a play: time passes, the
// others answer as they should, a client asks for something, or a message of any kind comes with fields near those that
// matter now. Whatever is said, the node goes on or stops with a reason, answers within bounds, and takes nothing back
// that it wrote down: its terms, its commits and what it has applied only grow.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/fake_disk.h"
#include "base/log.h"
#include "fuzz/raft_message.pb.h"
#include "sim/seeded_random.h"
#include "store/engine.h"
#include "store/kv/mem_kv.h"
#include "store/proto/records.pb.h"

namespace evercert::store {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::uint8_t kRegions = 3;
const NodeId kSelf = node_id(RegionId{1}, 1), kOthers[] = {node_id(RegionId{2}, 1), node_id(RegionId{3}, 1)};

class Play : PeerSink, WallClock {
 public:
  Play(const std::uint8_t* data, std::size_t size) : input_(data, size) { start(input_.ConsumeBool()); }

  void run() {
    while (input_.remaining_bytes() > 0 && stage()) {
    }
  }

 private:
  // A node that remembers nothing asks the others first; one that remembers takes part at once.
  void start(bool remembers) {
    auto log = Log::open(disk_, "/log", {.segment_bytes = 8000, .cache_bytes_per_group = 4000});
    EC_CHECK(log.has_value(), "an empty log opens");
    log_ = std::move(*log);
    if (remembers) {
      log_->put_meta("member", "1");
      EC_CHECK(log_->sync().has_value(), "the disk is well");
    }
    EngineOptions options;
    options.layout = {{kSelf, kOthers[0], kOthers[1]}, kRegions};
    options.self = kSelf;
    options.cluster_id = "fuzzed";
    options.compact_after = 20;
    options.keep = 10;
    options.snapshot_chunk_bytes = 500;
    auto engine = Engine::open(options, *log_, kv_, *this, random_, *this, board_, 7, now_);
    EC_CHECK(engine.has_value(), "an empty node starts");
    engine_ = std::move(*engine);
    before_.resize(options.layout.groups());
  }

  bool stage() {
    switch (input_.ConsumeIntegralInRange(0, 7)) {
      case 0: ticks(); break;
      case 1: answer_all(); break;
      case 2: ask(); break;
      case 3: said_.clear(); break;
      case 4: raw(); break;
      default: forge();
    }
    const Status flushed = engine_->flush(now_);
    for (std::uint32_t g = 0; g < before_.size(); ++g) {
      const HardState state = log_->hard_state(GroupId{g});
      const LogIndex applied = engine_->group(GroupId{g}).applied_index();
      EC_CHECK(state.term >= before_[g].term && state.commit >= before_[g].commit && applied >= before_[g].applied,
               "nothing is taken back");
      before_[g] = {state.term, state.commit, applied};
    }
    return flushed.has_value();  // it stopped, and said why
  }

  void ticks() {
    const int times = input_.ConsumeIntegralInRange(1, 60);
    for (int i = 0; i < times; ++i) {
      now_ = now_ + 50ms;
      engine_->tick(now_);
    }
  }

  void ask() {
    v1::Command command;
    fill(command, 0);
    engine_->submit(a_group(), command.SerializeAsString(), now_ + 2s, [](Result<v1::Outcome>) {});
    engine_->freshen(
        a_group(), "c1", now_ + 2s, [](Freshness) {}, now_);
  }

  // Whatever was asked of the others they grant, so that the node comes to lead, to commit and to read.
  void answer_all() {
    for (auto& [to, message] : std::exchange(said_, {})) {
      v1::Message answer;
      if (message.has_recovery_ask()) {
        auto* told = answer.mutable_recovery_told();
        told->set_incarnation(message.recovery_ask().incarnation());
        told->set_recovering(true);
        for (std::uint32_t g = 0; g <= kRegions; ++g) told->add_groups()->set_group(g);
      } else if (message.has_lease_request()) {
        answer.mutable_lease_grant()->set_sent_us(message.lease_request().sent_us());
        for (const auto& position : message.lease_request().positions())
          answer.mutable_lease_grant()->add_floors()->CopyFrom(position);
      } else if (message.has_raft()) {
        fuzz::RaftMessage asked, granted;
        if (!asked.ParseFromString(message.raft().message())) continue;
        const std::uint32_t type = asked.msg_type();
        const bool votes = type == 5 || type == 17, appends = type == 3, beats = type == 8;
        if (!votes && !appends && !beats) continue;
        granted.set_msg_type(type + 1);
        granted.set_from(to.value);
        granted.set_to(kSelf.value);
        granted.set_term(asked.term());
        granted.set_context(asked.context());
        if (appends) granted.set_index(asked.index() + static_cast<std::uint64_t>(asked.entries_size()));
        answer.mutable_raft()->set_group(message.raft().group());
        answer.mutable_raft()->set_promised_regions(input_.ConsumeBool() ? 0xe : 0);
        answer.mutable_raft()->set_message(granted.SerializeAsString());
      } else {
        continue;
      }
      deliver(to, answer);
    }
  }

  void raw() {
    v1::Batch batch;
    const std::string bytes = input_.ConsumeRandomLengthString(2000);
    if (batch.ParseFromString(bytes)) engine_->receive(an_other(), batch, now_);
  }

  void forge() {
    v1::Message message;
    fill(message, 0);
    if (message.kind_case() == v1::Message::KIND_NOT_SET || input_.ConsumeBool()) {
      message.mutable_raft()->set_group(a_group().value);
      message.mutable_raft()->set_promised_regions(number());
      message.mutable_raft()->set_message(raft_message());
    }
    deliver(an_other(), message);
  }

  std::string raft_message() {
    fuzz::RaftMessage raft;
    fill(raft, 0);
    raft.set_msg_type(static_cast<std::uint32_t>(input_.ConsumeIntegralInRange(0, 19)));
    if (input_.ConsumeIntegralInRange(0, 9) > 0) {  // one that is not refused at the door
      raft.set_to(kSelf.value);
      raft.set_from(last_other_.value);
      std::uint64_t index = raft.index();
      for (auto& entry : *raft.mutable_entries()) {
        entry.set_index(++index);
        entry.set_term(std::clamp(entry.term(), std::min(raft.log_term(), raft.term()), raft.term()));
        entry.set_entry_type(input_.ConsumeBool() ? 0 : 2);
        v1::Command command;
        fuzz::MembersChange change;
        if (entry.entry_type() == 0) fill(command, 0);
        if (entry.entry_type() == 2) fill(change, 0);
        entry.set_data(entry.entry_type() == 0 ? command.SerializeAsString() : change.SerializeAsString());
      }
    }
    return raft.SerializeAsString();
  }

  void deliver(NodeId from, const v1::Message& message) {
    v1::Batch batch;
    batch.set_cluster_id("fuzzed");
    batch.set_start_id(input_.ConsumeIntegralInRange(0, 19) > 0 ? 5 : number());
    *batch.add_messages() = message;
    engine_->receive(from, batch, now_);
  }

  // Any message, by its description. Numbers are near those that matter, most texts are short.
  void fill(Message& message, int depth) {
    const auto* type = message.GetDescriptor();
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < type->field_count() && input_.remaining_bytes() > 0; ++i) {
      const FieldDescriptor* field = type->field(i);
      if (field->containing_oneof() != nullptr) continue;
      fill(message, *reflection, *field, depth);
    }
    for (int i = 0; i < type->oneof_decl_count() && input_.remaining_bytes() > 0; ++i) {
      const auto* one_of = type->oneof_decl(i);
      fill(message, *reflection, *one_of->field(input_.ConsumeIntegralInRange(0, one_of->field_count() - 1)), depth);
    }
  }

  void fill(Message& message, const google::protobuf::Reflection& reflection, const FieldDescriptor& field, int depth) {
    const int times = field.is_repeated() ? input_.ConsumeIntegralInRange(0, 3) : input_.ConsumeBool();
    if (field.is_map()) return;
    for (int k = 0; k < times; ++k) {
      const bool many = field.is_repeated();
      switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_MESSAGE:
          if (depth > 6) return;
          fill(many ? *reflection.AddMessage(&message, &field) : *reflection.MutableMessage(&message, &field),
               depth + 1);
          break;
        case FieldDescriptor::CPPTYPE_STRING: {
          std::string text = words(field, depth);
          many ? reflection.AddString(&message, &field, std::move(text))
               : reflection.SetString(&message, &field, std::move(text));
          break;
        }
        case FieldDescriptor::CPPTYPE_UINT32: {
          const auto value = static_cast<std::uint32_t>(number());
          many ? reflection.AddUInt32(&message, &field, value) : reflection.SetUInt32(&message, &field, value);
          break;
        }
        case FieldDescriptor::CPPTYPE_INT32: {
          const auto value = static_cast<std::int32_t>(number());
          many ? reflection.AddInt32(&message, &field, value) : reflection.SetInt32(&message, &field, value);
          break;
        }
        case FieldDescriptor::CPPTYPE_UINT64: {
          const auto value = number();
          many ? reflection.AddUInt64(&message, &field, value) : reflection.SetUInt64(&message, &field, value);
          break;
        }
        case FieldDescriptor::CPPTYPE_INT64: {
          const auto value = static_cast<std::int64_t>(number());
          many ? reflection.AddInt64(&message, &field, value) : reflection.SetInt64(&message, &field, value);
          break;
        }
        case FieldDescriptor::CPPTYPE_BOOL:
          many ? reflection.AddBool(&message, &field, true) : reflection.SetBool(&message, &field, true);
          break;
        case FieldDescriptor::CPPTYPE_ENUM: {
          const int value = input_.ConsumeIntegralInRange(0, 8);
          many ? reflection.AddEnumValue(&message, &field, value) : reflection.SetEnumValue(&message, &field, value);
          break;
        }
        default: break;
      }
    }
  }

  std::string words(const FieldDescriptor& field, int depth) {
    if (field.name() == "command" && depth < 3) {
      v1::Command command;
      fill(command, depth + 1);
      return command.SerializeAsString();
    }
    if ((field.name() == "configuration" || field.name() == "coming") && input_.ConsumeBool()) {
      v1::GroupConfiguration configuration;
      fill(configuration, depth + 1);
      return configuration.SerializeAsString();
    }
    if (field.name() == "raft_message") return raft_message();
    if (field.name() == "serial")
      return std::string(1, static_cast<char>(input_.ConsumeIntegralInRange(0, 4))) + std::string(15, 'x');
    std::string text = input_.ConsumeRandomLengthString(24);
    if (field.type() == FieldDescriptor::TYPE_STRING && input_.ConsumeIntegralInRange(0, 9) > 0) {
      for (char& c : text) c = static_cast<char>(c & 0x7f);  // what is no UTF-8 cannot be read at all
    }
    return text;
  }

  std::uint64_t number() {
    const auto near = static_cast<std::uint64_t>(input_.ConsumeIntegralInRange(0, 4)) - 2;
    const GroupId group{static_cast<std::uint32_t>(input_.ConsumeIntegralInRange<int>(0, kRegions))};
    switch (input_.ConsumeIntegralInRange(0, 8)) {
      case 0: return log_->hard_state(group).term.value + near;
      case 1: return log_->last_index(group).value + near;
      case 2: return log_->hard_state(group).commit.value + near;
      case 3: return log_->first_index(group).value + near;
      case 4: return kOthers[near % 2].value;
      case 5: return kSelf.value;
      case 6: return static_cast<std::uint64_t>(now_.us) + near;
      case 7: return input_.ConsumeIntegral<std::uint64_t>();
      default: return near;
    }
  }
  GroupId a_group() { return GroupId{static_cast<std::uint32_t>(input_.ConsumeIntegralInRange(0, kRegions + 1))}; }
  NodeId an_other() { return last_other_ = kOthers[input_.ConsumeBool()]; }

  // PeerSink: what the node says.
  void send(NodeId to, const v1::Batch& batch) override {
    EC_CHECK(batch.ByteSizeLong() < 16u << 20, "what is said fits the transport");
    for (const auto& message : batch.messages()) {
      if (said_.size() < 1000) said_.emplace_back(to, message);
    }
  }
  WallTime now() const override { return WallTime{1'700'000'000'000 + now_.us / 1000}; }

  struct Before {
    Term term;
    LogIndex commit, applied;
  };

  FuzzedDataProvider input_;
  FakeDisk disk_;
  MemKv kv_;
  sim::SeededRandom random_{1};
  FreshnessBoard board_{kRegions + 1};
  Instant now_{1'000'000};
  NodeId last_other_ = kOthers[0];
  std::unique_ptr<Log> log_;
  std::vector<std::pair<NodeId, v1::Message>> said_;
  std::vector<Before> before_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace
}  // namespace evercert::store

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evercert::store::Play(data, size).run();
  return 0;
}
