// SPDX-License-Identifier: Apache-2.0
// The key space by ctl: kv, lease, lock, elect.
#include <CLI/CLI.hpp>
#include <cctype>
#include <cstdio>
#include <iostream>

#include "base/encoding.h"
#include "commands.h"
#include "ctl_client.h"
#include "held_command.h"
#include "interruption.h"

namespace evercert::apps {
namespace {

using nlohmann::json;

struct SpaceOptions {
  std::shared_ptr<const CtlOptions> ctl;
  std::string key, value, lease;
  std::int64_t revision = 0, if_revision = -1, from = 0, ttl = 30, wait = -1;
  bool prefix = false, once = false, observe = false;
  std::vector<std::string> command;
};

std::string encoded(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '~' || c == '/') {
      out += c;
    } else {
      out += "%" + to_hex(std::string(1, c));
    }
  }
  return out;
}

std::string text_of(const json& object, const std::string& name) {
  if (object.contains(name + "_base64")) {
    return from_base64(object[name + "_base64"].get<std::string>()).value_or("");
  }
  return object.value(name, "");
}

int with_ctl(const SpaceOptions& options, const std::function<int(Ctl&)>& work) {
  auto ctl = Ctl::open(*options.ctl);
  return ctl ? work(*ctl) : report(ctl.error());
}

int get(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    std::string path = "/v1/kv/" + encoded(options.key) + "?revision=" + std::to_string(options.revision);
    if (options.prefix) path += "&prefix=true&limit=1000";
    return show(*options.ctl, ctl.call("GET", path), [&](const json& d) {
      if (!options.prefix) {
        std::cout << text_of(d, "value") << "\n";
        return;
      }
      for (const auto& kv : d.value("keys", json::array()))
        std::cout << text_of(kv, "key") << "\n" << text_of(kv, "value") << "\n";
    });
  });
}

int put(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    json body{{"value_base64", to_base64(options.value)}};
    if (!options.lease.empty()) body["lease"] = options.lease;
    if (options.if_revision >= 0) body["if_revision"] = options.if_revision;
    return show(*options.ctl, ctl.call("PUT", "/v1/kv/" + encoded(options.key), body.dump()),
                [](const json& d) { std::cout << "revision " << d.value("revision", 0ll) << "\n"; });
  });
}

int remove(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    std::string path = "/v1/kv/" + encoded(options.key) + "?prefix=" + (options.prefix ? "true" : "false");
    if (options.if_revision >= 0) path += "&if_revision=" + std::to_string(options.if_revision);
    return show(*options.ctl, ctl.call("DELETE", path),
                [](const json& d) { std::cout << "deleted " << d.value("deleted", 0ll) << "\n"; });
  });
}

// Goes on in whichever region answers: the revision says where.
int watch(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    std::int64_t next = options.from;
    for (;;) {
      std::string path = "/v1/watch/" + encoded(options.key) + "?wait_seconds=5&from=" + std::to_string(next);
      if (options.prefix) path += "&prefix=true";
      const auto response = ctl.call("GET", path);
      if (!response) return report(response.error());
      if (response->status >= 400) return complain(*response);
      const auto news = json::parse(response->body, nullptr, false);
      if (news.is_discarded()) return report(Error{Code::kInternal, "the answer is no JSON"});
      for (const auto& event : news.value("events", json::array())) {
        if (options.ctl->as_json) {
          std::cout << event.dump() << std::endl;
        } else {
          std::cout << event.value("revision", 0ll) << " " << event.value("type", "") << " " << text_of(event, "key")
                    << (event.value("type", "") == "put" ? " " + text_of(event, "value") : "") << std::endl;
        }
      }
      next = news.value("next", next);
      if (options.once && !news["events"].empty()) return 0;
    }
  });
}

int compact(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    return show(*options.ctl, ctl.call("POST", "/v1/compaction", json{{"revision", options.revision}}.dump()),
                [](const json& d) { std::cout << "compacted up to revision " << d.value("compacted", 0ll) << "\n"; });
  });
}

Result<std::string> grant(Ctl& ctl, std::int64_t ttl) {
  EC_ASSIGN(const auto response, ctl.call("POST", "/v1/leases", json{{"ttl_seconds", ttl}}.dump()));
  const auto document = json::parse(response.body, nullptr, false);
  if (response.status != 201 || !document.is_object())
    return fail(Code::kUnavailable, "no lease was granted: " + response.body);
  return document.value("lease", "");
}

// Holds the lock (or leads) while the command runs.
int hold(const SpaceOptions& options, const char* what) {
  return with_ctl(options, [&](Ctl& ctl) {
    const auto interrupted = watch_for_interruption();
    const auto lease = grant(ctl, options.ttl);
    if (!lease) return report(lease.error());
    const Duration ttl = std::chrono::seconds(options.ttl);
    Instant renewed = os::monotonic_clock().now();
    const auto renew = [&] {
      const Instant asked = os::monotonic_clock().now();
      const auto response = ctl.call("POST", "/v1/leases/" + *lease + "/renew");
      if (response && response->status == 200) renewed = asked;
      if (response && response->status == 404) return false;
      return os::monotonic_clock().now() - renewed < ttl;  // by our own clock, in doubt too early
    };
    const auto give_up = [&] { (void)ctl.call("DELETE", "/v1/leases/" + *lease); };
    const Instant begun = os::monotonic_clock().now();
    json held;
    for (;;) {
      const json body{{"lease", *lease},
                      {"value", options.value},
                      {"wait_seconds",
                       std::min<std::int64_t>(options.wait < 0 ? 5 : options.wait,
                                              std::max<std::int64_t>(1, std::min<std::int64_t>(5, options.ttl / 3)))}};
      const auto response = ctl.call("POST", "/v1/locks/" + encoded(options.key), body.dump());
      if (response && response->status == 200) {
        held = json::parse(response->body, nullptr, false);
        break;
      }
      if (interrupted()) {
        give_up();
        return 130;
      }
      const bool waited =
          options.wait >= 0 && os::monotonic_clock().now() - begun >= std::chrono::seconds(options.wait);
      if ((response && response->status != 409 && response->status < 500) || waited || !renew()) {
        give_up();
        if (!response) return report(response.error());
        const int code = complain(*response);
        if (response->status == 409) {
          std::fprintf(
              stderr,
              "  who holds it:          evercert ctl lock %s\n"
              "  taking it from him:    evercert ctl lease revoke LEASE (when he is dead; else --wait longer)\n",
              options.key.c_str());
        }
        return code;
      }
    }
    const std::string token = std::to_string(held.value("token", 0ll));
    std::cerr << what << " " << options.key << ", token " << token << "\n";
    const auto code =
        run_while_held(options.command, {{"EVERCERT_LOCK_NAME", options.key}, {"EVERCERT_LOCK_TOKEN", token}}, ttl / 3,
                       renew, interrupted);
    give_up();  // the key goes with the lease
    return code ? *code : report(code.error());
  });
}

int show_holder(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    return show(*options.ctl, ctl.call("GET", "/v1/locks/" + encoded(options.key)), [](const json& d) {
      std::cout << "token " << d.value("token", 0ll) << ", lease " << d.value("lease", "") << ", value "
                << text_of(d, "value") << "\n";
    });
  });
}

// Each leader and what he says, as they come. What is overtaken within a moment is left out.
int observe(const SpaceOptions& options) {
  return with_ctl(options, [&](Ctl& ctl) {
    std::string last;
    for (;;) {
      const auto response = ctl.call("GET", "/v1/locks/" + encoded(options.key));
      if (!response) return report(response.error());
      if (response->status >= 400 && response->status != 404) return complain(*response);
      const auto held = json::parse(response->body, nullptr, false);
      if (held.is_discarded()) return report(Error{Code::kInternal, "the answer is no JSON"});
      const bool led = response->status == 200;
      const std::string now =
          led ? "token " + std::to_string(held.value("token", 0ll)) + ", value " + text_of(held, "value")
              : "nobody leads";
      if (now != last) std::cout << (options.ctl->as_json && led ? held.dump() : now) << std::endl;
      last = now;
      // Until something happens below the name, or for a while: who came between the two calls is seen then.
      const auto changed =
          ctl.call("GET", "/v1/watch/" + encoded(options.key + "/") + "?prefix=true&wait_seconds=" + (led ? "5" : "1") +
                              "&from=" + std::to_string(led ? held.value("revision", 0ll) + 1 : 0));
      if (!changed) return report(changed.error());
      if (changed->status >= 400 && changed->status != 410) return complain(*changed);
    }
  });
}

void register_kv(CLI::App& ctl, const std::shared_ptr<SpaceOptions>& options, int& exit_code) {
  auto* kv = ctl.add_subcommand("kv", "Keys of the key space\nExample: evercert ctl kv put config/mode strict");
  kv->require_subcommand(1);
  auto* get_command = kv->add_subcommand("get", "Show a key, or with --prefix all that begin with it");
  get_command->add_option("key", options->key, "Key")->required();
  get_command->add_option("--revision", options->revision, "As it was then");
  get_command->add_flag("--prefix", options->prefix, "All keys that begin with it");
  get_command->callback([=, &exit_code] { exit_code = get(*options); });
  auto* put_command = kv->add_subcommand("put", "Set a key");
  put_command->add_option("key", options->key, "Key")->required();
  put_command->add_option("value", options->value, "Value")->required();
  put_command->add_option("--lease", options->lease, "The key goes when this lease does");
  put_command->add_option("--if-revision", options->if_revision, "Only if it was changed last then (0: if it is new)");
  put_command->callback([=, &exit_code] { exit_code = put(*options); });
  auto* del = kv->add_subcommand("del", "Remove a key");
  del->add_option("key", options->key, "Key")->required();
  del->add_option("--if-revision", options->if_revision, "Only if it was changed last then");
  del->add_flag("--prefix", options->prefix, "All keys that begin with it");
  del->callback([=, &exit_code] { exit_code = remove(*options); });
  auto* watch_command = kv->add_subcommand("watch", "Show changes as they come");
  watch_command->add_option("key", options->key, "Key")->required();
  watch_command->add_option("--from", options->from, "From this revision on");
  watch_command->add_flag("--prefix", options->prefix, "All keys that begin with it");
  watch_command->add_flag("--once", options->once, "End after the first changes");
  watch_command->callback([=, &exit_code] { exit_code = watch(*options); });
  auto* compact_command = kv->add_subcommand(
      "compact", "Forget the past: what was before a revision can be neither read nor watched any more");
  compact_command->add_option("revision", options->revision, "The first that is kept")
      ->required()
      ->check(CLI::PositiveNumber);
  compact_command->callback([=, &exit_code] { exit_code = compact(*options); });
}

void register_lease(CLI::App& ctl, const std::shared_ptr<SpaceOptions>& options, int& exit_code) {
  auto* lease = ctl.add_subcommand("lease", "Leases: keys that go when nobody renews them");
  lease->require_subcommand(1);
  const auto ask = [=, &exit_code](CLI::App* command, const char* method, const char* suffix,
                                   void (*human)(const json&)) {
    command->add_option("lease", options->lease, "Its name, as grant, list or a lock's holder shows it")->required();
    command->callback([=, &exit_code] {
      exit_code = with_ctl(*options, [&](Ctl& open) {
        return show(*options->ctl, open.call(method, "/v1/leases/" + encoded(options->lease) + suffix), human);
      });
    });
  };
  auto* grant_command = lease->add_subcommand("grant", "A new lease");
  grant_command->add_option("ttl", options->ttl, "Seconds")->required();
  grant_command->callback([=, &exit_code] {
    exit_code = with_ctl(*options, [&](Ctl& open) {
      const auto name = grant(open, options->ttl);
      if (name) std::cout << *name << "\n";
      return name ? 0 : report(name.error());
    });
  });
  lease->add_subcommand("list", "All leases")->callback([=, &exit_code] {
    exit_code = with_ctl(*options, [&](Ctl& open) {
      return show(*options->ctl, open.call("GET", "/v1/leases"), [](const json& d) {
        for (const auto& one : d.value("leases", json::array())) std::cout << one.get<std::string>() << "\n";
      });
    });
  });
  ask(lease->add_subcommand("show", "Its time and its keys"), "GET", "", [](const json& d) {
    std::cout << d.value("remaining_seconds", 0ll) << " of " << d.value("ttl_seconds", 0ll) << " s are left\n";
    for (const auto& key : d.value("keys", json::array())) std::cout << text_of(key, "key") << "\n";
  });
  ask(lease->add_subcommand("renew", "Begin its time anew"), "POST", "/renew",
      [](const json& d) { std::cout << d.value("ttl_seconds", 0ll) << " s from now\n"; });
  ask(lease->add_subcommand("revoke", "End it, and its keys: a lock that it holds goes to the next"), "DELETE", "",
      [](const json& d) { std::cout << "revision " << d.value("revision", 0ll) << "\n"; });
}

}  // namespace

void register_ctl_space(CLI::App& ctl, std::shared_ptr<const CtlOptions> shared, int& exit_code) {
  auto options = std::make_shared<SpaceOptions>();
  options->ctl = std::move(shared);
  register_kv(ctl, options, exit_code);
  register_lease(ctl, options, exit_code);
  auto* lock = ctl.add_subcommand(
      "lock",
      "Run a command while a lock is held; without one, show who holds it. EVERCERT_LOCK_TOKEN is its fencing "
      "token\nExample: evercert ctl lock nightly -- backup.sh");
  lock->add_option("name", options->key, "Name of the lock")->required();
  lock->add_option("--ttl", options->ttl, "Seconds that the lock outlives a dead holder")->check(CLI::Range(3, 86400));
  lock->add_option("--wait", options->wait, "Give up after so many seconds");
  lock->add_option("command", options->command, "Command and arguments");
  lock->callback(
      [=, &exit_code] { exit_code = options->command.empty() ? show_holder(*options) : hold(*options, "holding"); });
  auto* elect = ctl.add_subcommand(
      "elect",
      "Run a command while leading; without one, show who leads\nExample: evercert ctl elect scheduler "
      "--value $(hostname) -- scheduler");
  elect->add_option("name", options->key, "Name of the election")->required();
  elect->add_option("--value", options->value, "What others are told about this leader");
  elect->add_option("--ttl", options->ttl, "Seconds that a dead leader leads on")->check(CLI::Range(3, 86400));
  elect->add_option("--wait", options->wait, "Give up after so many seconds");
  elect->add_flag("--observe", options->observe, "Show each leader as they come, until interrupted");
  elect->add_option("command", options->command, "Command and arguments")->excludes("--observe");
  elect->callback([=, &exit_code] {
    exit_code = options->observe           ? observe(*options)
                : options->command.empty() ? show_holder(*options)
                                           : hold(*options, "leading");
  });
}

}  // namespace evercert::apps
