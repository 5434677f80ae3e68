// SPDX-License-Identifier: Apache-2.0
#include "coordination/machine.h"

#include "base/probe.h"
#include "coordination/change.h"
#include "coordination/request_check.h"
#include "coordination/transaction.h"

namespace evercert::coordination {
namespace {

v1::Answer refused(v1::Refusal refusal) {
  v1::Answer answer;
  answer.set_refusal(refusal);
  return answer;
}

Result<v1::Answer> run_put(const etcdserverpb::PutRequest& request, Change& change) {
  EC_ASSIGN(const auto refusal, check_put(request, change.state()));
  if (refusal != v1::NONE) return refused(refusal);
  v1::Answer answer;
  EC_ASSIGN(*answer.mutable_put(), change.put(request));
  return answer;
}

Result<v1::Answer> run_delete(const etcdserverpb::DeleteRangeRequest& request, Change& change) {
  v1::Answer answer;
  EC_ASSIGN(*answer.mutable_delete_range(), change.remove(request));
  return answer;
}

Result<v1::Answer> run_transaction(const etcdserverpb::TxnRequest& request, Change& change, Bug bug) {
  EC_ASSIGN(auto way, choose_way(request, change.state()));
  EC_ASSIGN(const auto refusal, check_way(request, way, change.meta(), change.state()));
  if (refusal != v1::NONE) return refused(refusal);
  if (bug == Bug::kCompareAfterWrite) way.assign(way.size(), true);
  v1::Answer answer;
  EC_ASSIGN(*answer.mutable_txn(), run(request, way, change));
  return answer;
}

v1::Answer run_compact(const etcdserverpb::CompactionRequest& request, Change& change) {
  if (request.revision() <= change.meta().compacted) return refused(v1::COMPACTED);
  if (request.revision() > change.meta().revision) return refused(v1::FUTURE_REVISION);
  change.compact(request.revision());
  return {};
}

Result<v1::Answer> run_grant(const etcdserverpb::LeaseGrantRequest& request, Change& change) {
  if (request.id() == 0 || request.ttl() < 1) return refused(v1::NOT_UNDERSTOOD);  // the interface chooses them
  EC_ASSIGN(const auto existing, find_lease(change.state(), request.id()));
  if (existing) return refused(v1::LEASE_EXISTS);
  v1::Lease lease;
  lease.set_id(request.id());
  lease.set_ttl(request.ttl());
  change.set_lease(lease);
  v1::Answer answer;
  answer.mutable_grant()->set_id(request.id());
  answer.mutable_grant()->set_ttl(request.ttl());
  return answer;
}

Result<v1::Answer> run_revoke(std::int64_t id, Change& change) {
  EC_ASSIGN(const auto lease, find_lease(change.state(), id));
  if (!lease) return refused(v1::LEASE_NOT_FOUND);
  EC_TRY(change.end_lease(*lease));
  return v1::Answer{};
}

Result<v1::Answer> run_renew(std::int64_t id, Change& change) {
  EC_ASSIGN(auto lease, find_lease(change.state(), id));
  if (!lease) return refused(v1::LEASE_NOT_FOUND);
  lease->set_renewals(lease->renewals() + 1);
  change.set_lease(*lease);
  v1::Answer answer;
  answer.mutable_renew()->set_id(id);
  answer.mutable_renew()->set_ttl(lease->ttl());
  return answer;
}

Result<v1::Answer> run_expire(const v1::Expire& expire, Change& change, Bug bug) {
  EC_ASSIGN(const auto lease, find_lease(change.state(), expire.lease()));
  if (!lease) return refused(v1::LEASE_NOT_FOUND);
  if (lease->renewals() != expire.renewals() && bug != Bug::kIgnoreRenewal) {
    EC_PROBE("a lease was renewed while its end was on the way");
    return v1::Answer{};
  }
  EC_TRY(change.end_lease(*lease));
  return v1::Answer{};
}

v1::Refusal check_request(const v1::Command& command) {
  switch (command.kind_case()) {
    case v1::Command::kPut: return check(command.put());
    case v1::Command::kDeleteRange: return check(command.delete_range());
    case v1::Command::kTxn: return check(command.txn());
    case v1::Command::kGrant: return check(command.grant());
    case v1::Command::kCompact:
    case v1::Command::kRevoke:
    case v1::Command::kRenew:
    case v1::Command::kExpire: return v1::NONE;
    case v1::Command::KIND_NOT_SET: break;
  }
  return v1::NOT_UNDERSTOOD;
}

Result<v1::Answer> run(const v1::Command& command, Change& change, Bug bug) {
  if (const auto refusal = check_request(command); refusal != v1::NONE) return refused(refusal);
  switch (command.kind_case()) {
    case v1::Command::kPut: return run_put(command.put(), change);
    case v1::Command::kDeleteRange: return run_delete(command.delete_range(), change);
    case v1::Command::kTxn: return run_transaction(command.txn(), change, bug);
    case v1::Command::kCompact: return run_compact(command.compact(), change);
    case v1::Command::kGrant: return run_grant(command.grant(), change);
    case v1::Command::kRevoke: return run_revoke(command.revoke().id(), change);
    case v1::Command::kRenew: return run_renew(command.renew().id(), change);
    case v1::Command::kExpire: return run_expire(command.expire(), change, bug);
    case v1::Command::KIND_NOT_SET: break;
  }
  return refused(v1::NOT_UNDERSTOOD);
}

// Makes the repetition of a command exact.
class Once {
 public:
  Once(const v1::Command& command, State& state) : command_(command), state_(state) {}

  // The answer, when the command must not be applied (again).
  Result<std::optional<v1::Answer>> known() {
    EC_ASSIGN(const auto bytes, state_.get(session_key(command_.proposer())));
    if (bytes && !session_.ParseFromString(*bytes)) return fail(Code::kCorrupt, "a stored session does not parse");
    if (session_.id() > command_.session()) {
      v1::Answer answer = refused(v1::EARLIER_LIFE);
      answer.set_session(session_.id());
      return answer;
    }
    if (session_.id() < command_.session()) {
      remove_all();
      session_ = {};
      session_.set_id(command_.session());
    }
    if (command_.sequence() < session_.done_below()) return refused(v1::ANSWERED_BEFORE);
    EC_ASSIGN(auto page, state_.get(page_key()));
    if (page) page_ = std::move(*page);
    EC_ASSIGN(auto answer, find());
    if (answer) {
      EC_PROBE("a repeated command is answered as the first time");
      return answer;
    }
    forget_done();
    return std::optional<v1::Answer>{};
  }

  void keep(const v1::Answer& answer) {
    v1::Answers one;
    v1::Answers::One* added = one.add_answers();
    added->set_sequence(command_.sequence());
    std::string text = answer.SerializeAsString();
    if (text.size() > kLongestInPage) {
      session_.set_apart_below(std::max(session_.apart_below(), command_.sequence() + 1));
      state_.put(answer_key(command_.proposer(), command_.sequence()), std::move(text));
    } else {
      added->set_answer(std::move(text));
    }
    // Messages that follow each other in bytes are one with the items of all.
    one.AppendToString(&page_);
    state_.put(page_key(), std::move(page_));
    state_.put(session_key(command_.proposer()), session_.SerializeAsString());
  }

 private:
  // Longer ones would be written again with each that joins them.
  static constexpr std::size_t kLongestInPage = 512;
  static constexpr std::uint64_t kOneByOne = 64;

  std::string page_key() const { return answer_page_key(command_.proposer(), command_.sequence() / kAnswersOfAPage); }

  Result<std::optional<v1::Answer>> find() const {
    v1::Answers page;
    if (!page.ParseFromString(page_)) return fail(Code::kCorrupt, "stored answers do not parse");
    for (const auto& one : page.answers()) {
      if (one.sequence() != command_.sequence()) continue;
      std::optional<std::string> text = one.answer();
      if (!one.has_answer()) {
        EC_ASSIGN(text, state_.get(answer_key(command_.proposer(), command_.sequence())));
      }
      v1::Answer answer;
      if (!text || !answer.ParseFromString(*text)) return fail(Code::kCorrupt, "a stored answer does not parse");
      return answer;
    }
    return std::optional<v1::Answer>{};
  }

  void remove_all() {
    for (const auto key : {answer_key, answer_page_key})
      state_.remove_range(key(command_.proposer(), 0), key(command_.proposer(), UINT64_MAX));
  }

  // [from, to): a few one by one; after a gap, as of a proposer that waited long for one of them, all at once.
  void remove(std::string (*key)(std::uint64_t, std::uint64_t), std::uint64_t from, std::uint64_t to) {
    if (from >= to) return;
    if (to - from > kOneByOne) {
      state_.remove_range(key(command_.proposer(), from), key(command_.proposer(), to));
      return;
    }
    for (auto i = from; i < to; ++i) state_.remove(key(command_.proposer(), i));
  }

  void forget_done() {
    const std::uint64_t from = session_.done_below(), to = std::max(from, command_.done_below());
    remove(answer_page_key, from / kAnswersOfAPage, to / kAnswersOfAPage);
    remove(answer_key, from, std::min(to, session_.apart_below()));
    session_.set_done_below(to);
  }

  const v1::Command& command_;
  State& state_;
  v1::Session session_;
  std::string page_;  // of answers, where this one belongs
};

}  // namespace

Result<v1::Answer> apply(const v1::Command& command, State& state, Effects& effects, Bug bug) {
  EC_ASSIGN(const auto meta, read_meta(state));
  Once once(command, state);
  const bool counted = command.proposer() != 0 && bug != Bug::kApplyTwice;
  if (counted) {
    EC_ASSIGN(auto known, once.known());
    if (known) return std::move(*known);
  }
  Change change(state, effects, meta, bug);
  EC_ASSIGN(auto answer, run(command, change, bug));
  change.finish();
  answer.set_revision(change.revision());
  if (counted) once.keep(answer);
  return answer;
}

namespace {

// A state that refuses to be changed: by then it is a defect of ours.
class Unchanging : public State {
 public:
  explicit Unchanging(const View& view) : view_(view) {}
  Result<std::optional<std::string>> get(const std::string& key) const override { return view_.get(key); }
  Status scan(const std::string& from, const std::string& to, const Visit& visit) const override {
    return view_.scan(from, to, visit);
  }
  void put(std::string, std::string) override {}
  void remove(std::string) override {}
  void remove_range(std::string, std::string) override {}

 private:
  const View& view_;
};

}  // namespace

Result<v1::Answer> read_transaction(const etcdserverpb::TxnRequest& request, const View& view) {
  EC_ASSIGN(const auto meta, read_meta(view));
  Unchanging state(view);
  Effects none;
  Change change(state, none, meta, Bug::kNone);
  EC_ASSIGN(auto answer, run_transaction(request, change, Bug::kNone));
  answer.set_revision(meta.revision);
  return answer;
}

}  // namespace evercert::coordination
