// SPDX-License-Identifier: Apache-2.0
#include "coordination/keyspace.h"

#include <algorithm>
#include <map>
#include <vector>

namespace evercert::coordination {
namespace {

using etcdserverpb::RangeRequest;
using etcdserverpb::RangeResponse;
using mvccpb::KeyValue;

Error damaged() { return {Code::kCorrupt, "a stored record of the key space does not parse"}; }

template <class Record>
bool parse(Record& record, std::string_view bytes) {
  return record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <class Record>
Result<std::optional<Record>> load(const View& view, const std::string& key) {
  EC_ASSIGN(const auto bytes, view.get(key));
  if (!bytes) return std::optional<Record>{};
  Record record;
  if (!parse(record, *bytes)) return fail(damaged());
  return std::optional<Record>{std::move(record)};
}

bool wanted(const RangeRequest& request, const KeyValue& kv) {
  const auto within = [](std::int64_t value, std::int64_t least, std::int64_t most) {
    return (least == 0 || value >= least) && (most == 0 || value <= most);
  };
  return within(kv.mod_revision(), request.min_mod_revision(), request.max_mod_revision()) &&
         within(kv.create_revision(), request.min_create_revision(), request.max_create_revision());
}

void sort(std::vector<KeyValue>& found, RangeRequest::SortTarget target, bool descending) {
  const auto by = [&](auto field) {
    std::stable_sort(found.begin(), found.end(), [&](const KeyValue& a, const KeyValue& b) {
      return descending ? field(b) < field(a) : field(a) < field(b);
    });
  };
  switch (target) {
    case RangeRequest::VERSION: return by([](const KeyValue& kv) { return kv.version(); });
    case RangeRequest::CREATE: return by([](const KeyValue& kv) { return kv.create_revision(); });
    case RangeRequest::MOD: return by([](const KeyValue& kv) { return kv.mod_revision(); });
    case RangeRequest::VALUE: return by([](const KeyValue& kv) -> const std::string& { return kv.value(); });
    default: return by([](const KeyValue& kv) -> const std::string& { return kv.key(); });
  }
}

// The first event after a revision that touches a key says what the key was at that revision.
Result<std::map<std::string, std::optional<KeyValue>>> changed_since(const View& view, const KeyRange& range,
                                                                     std::int64_t revision) {
  std::map<std::string, std::optional<KeyValue>> before;
  EC_TRY(read_history(view, revision + 1, [&](std::int64_t, mvccpb::Event event) {
    if (!range.contains(event.kv().key())) return true;
    before.try_emplace(event.kv().key(),
                       event.has_prev_kv() ? std::optional(std::move(*event.mutable_prev_kv())) : std::nullopt);
    return true;
  }));
  return before;
}

// Calls `each` for all keys of the range as they are now, in order, with their bytes.
Status each_now(const View& view, const KeyRange& range,
                const std::function<bool(std::string_view key, std::string_view bytes)>& each) {
  const std::string to = range.to.empty() ? std::string("l") : key_key(range.to);
  return view.scan(key_key(range.from), to, [&](std::string_view key, std::string_view bytes) {
    key.remove_prefix(1);
    return is_reserved(key) || each(key, bytes);
  });
}

class Collector {
 public:
  // `request` outlives the collector.
  explicit Collector(const RangeRequest& request)
      : request_(request),
        sorted_(request.sort_order() != RangeRequest::NONE &&
                (request.sort_target() != RangeRequest::KEY || request.sort_order() == RangeRequest::DESCEND)),
        filtered_(request.min_mod_revision() != 0 || request.max_mod_revision() != 0 ||
                  request.min_create_revision() != 0 || request.max_create_revision() != 0) {}

  // True while more than the number of keys is of interest.
  bool takes_more() const {
    if (request_.count_only()) return false;
    return sorted_ || filtered_ || request_.limit() == 0 || found_.size() <= static_cast<std::size_t>(request_.limit());
  }
  void count() { ++count_; }
  void add(KeyValue kv) {
    if (wanted(request_, kv)) found_.push_back(std::move(kv));
  }

  RangeResponse finish() {
    RangeResponse out;
    out.set_count(count_);
    if (request_.count_only()) return out;
    if (sorted_) sort(found_, request_.sort_target(), request_.sort_order() == RangeRequest::DESCEND);
    if (request_.limit() > 0 && found_.size() > static_cast<std::size_t>(request_.limit())) {
      found_.resize(static_cast<std::size_t>(request_.limit()));
      out.set_more(true);
    }
    for (auto& kv : found_) {
      if (request_.keys_only()) kv.clear_value();
      *out.add_kvs() = std::move(kv);
    }
    return out;
  }

 private:
  const RangeRequest& request_;
  bool sorted_, filtered_;
  std::int64_t count_ = 0;
  std::vector<KeyValue> found_;
};

}  // namespace

Result<Meta> read_meta(const View& view) {
  EC_ASSIGN(const auto bytes, view.get(meta_key()));
  if (!bytes) return Meta{};
  return decode_meta(*bytes);
}

Result<std::optional<KeyValue>> find_key(const View& view, std::string_view key) {
  return load<KeyValue>(view, key_key(key));
}

v1::Refusal check_revision(const Meta& meta, std::int64_t revision) {
  if (revision > meta.revision) return v1::FUTURE_REVISION;
  if (revision > 0 && revision < meta.compacted) return v1::COMPACTED;
  return v1::NONE;
}

Result<RangeResponse> read_range(const View& view, const RangeRequest& request) {
  Collector collector(request);
  const KeyRange range = key_range(request.key(), request.range_end());
  if (request.revision() > 0) {
    EC_ASSIGN(auto before, changed_since(view, range, request.revision()));
    bool sound = true;
    EC_TRY(each_now(view, range, [&](std::string_view key, std::string_view bytes) {
      const auto [entry, untouched] = before.try_emplace(std::string(key));
      if (untouched) sound = parse(entry->second.emplace(), bytes);
      return sound;
    }));
    if (!sound) return fail(damaged());
    for (auto& [key, kv] : before) {
      if (!kv || is_reserved(key)) continue;
      collector.count();
      if (collector.takes_more()) collector.add(std::move(*kv));
    }
    return collector.finish();
  }
  if (request.range_end().empty()) {
    if (is_reserved(request.key())) return RangeResponse{};
    EC_ASSIGN(auto kv, find_key(view, request.key()));
    if (kv) {
      collector.count();
      collector.add(std::move(*kv));
    }
    return collector.finish();
  }
  bool sound = true;
  EC_TRY(each_now(view, range, [&](std::string_view, std::string_view bytes) {
    collector.count();
    if (!collector.takes_more()) return true;
    KeyValue kv;
    sound = parse(kv, bytes);
    if (sound) collector.add(std::move(kv));
    return sound;
  }));
  if (!sound) return fail(damaged());
  return collector.finish();
}

Result<std::optional<v1::Lease>> find_lease(const View& view, std::int64_t id) {
  return load<v1::Lease>(view, lease_key(id));
}

Result<std::vector<v1::Lease>> list_leases(const View& view) {
  std::vector<v1::Lease> found;
  bool sound = true;
  EC_TRY(view.scan("l", "m", [&](std::string_view, std::string_view bytes) {
    sound = parse(found.emplace_back(), bytes);
    return sound;
  }));
  if (!sound) return fail(damaged());
  return found;
}

Result<std::vector<std::string>> attached_keys(const View& view, std::int64_t lease) {
  std::vector<std::string> found;
  const std::string prefix = attachment_prefix(lease);
  EC_TRY(view.scan(prefix, end_of(prefix), [&](std::string_view key, std::string_view) {
    found.emplace_back(key.substr(prefix.size()));
    return true;
  }));
  return found;
}

Status read_history(const View& view, std::int64_t from,
                    const std::function<bool(std::int64_t revision, mvccpb::Event event)>& each) {
  bool sound = true;
  EC_TRY(view.scan(history_key(from), "i", [&](std::string_view, std::string_view bytes) {
    mvccpb::Event event;
    sound = parse(event, bytes);
    if (!sound) return false;
    const std::int64_t revision = event.kv().mod_revision();
    return each(revision, std::move(event));
  }));
  if (!sound) return fail(damaged());
  return {};
}

}  // namespace evercert::coordination
