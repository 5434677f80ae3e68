#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The key space with the clients that people have: etcdctl against the nodes of three real regions, evercert ctl through
the edges. Locks, leases and watches live on while a region dies."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import checks
from operators import Operator
from servers import Servers
from checks import check

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-coordination-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
endpoints = [f"https://127.{r}.0.11:2379" for r in (1, 2, 3)]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster).ctl
start, kill, processes = servers.start, servers.kill, servers.processes


def etcdctl_command(*arguments, at=None, identity=True):
    command = ["etcdctl", "--endpoints", ",".join(endpoints if at is None else [endpoints[at]]), "--cacert", f"{cluster}/public/root.pem"]
    if identity:
        command += ["--cert", f"{cluster}/operator/operator.pem", "--key", f"{cluster}/operator/operator.key"]
    return command + list(arguments)


environment = dict(os.environ, ETCDCTL_API="3")


def etcdctl(*arguments, at=None, identity=True, stdin=None, fails=False):
    done = subprocess.run(etcdctl_command(*arguments, at=at, identity=identity), input=stdin, capture_output=True, text=True, env=environment, timeout=60)
    if fails:
        assert done.returncode != 0, f"etcdctl {arguments} did not fail: {done.stdout}"
        return done.stderr
    assert done.returncode == 0, f"etcdctl {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def as_json(*arguments, **options):
    return json.loads(etcdctl(*arguments, "-w", "json", **options))


class Lines:
    """What a running client prints, line by line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, env=environment)
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, line, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if line in self.lines:
                return True
            time.sleep(0.05)
        return False

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(10)


def within(seconds, condition):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False


class Counting:
    """Writes 1, 2, 3 ... to one key through whichever region answers, each until it is acknowledged."""

    def __init__(self, key):
        self.key, self.last, self.going = key, 0, True
        self.thread = threading.Thread(target=self.count, daemon=True)
        self.thread.start()

    def count(self):
        while self.going:
            put = etcdctl_command("--command-timeout", "5s", "put", self.key, str(self.last + 1))
            if subprocess.run(put, capture_output=True, env=environment).returncode == 0:
                self.last += 1

    def end(self):
        self.going = False
        self.thread.join(60)
        return self.last


def told(lines, key):
    """The values of a watch, those left out that were written again because nobody knew whether they had been."""
    values = [int(value) for name, value in zip(lines, lines[1:]) if name == key and value.isdigit()]
    return [value for before, value in zip([0] + values, values) if value != before]


def writable(at=None):
    return subprocess.run(etcdctl_command("--command-timeout", "2s", "put", "probe", "1", at=at), capture_output=True, env=environment).returncode == 0


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    for region in regions:
        start("node", region)
        start("edge", region)
    check(within(20, writable), "the key space is written to")

    # --- keys
    etcdctl("put", "a", "1", at=0)
    check(all(etcdctl("get", "a", "--print-value-only", at=r).strip() == "1" for r in range(3)), "what one region wrote every region reads")
    first = as_json("put", "a", "2", at=1)["header"]["revision"]
    check(etcdctl("get", "a", "--rev", str(first - 1), "--print-value-only", at=2).strip() == "1", "the past is read at its revision")
    check(etcdctl("get", "", "--from-key", "--keys-only", "--limit", "1", at=2).strip() == "a", "a range is limited")
    done = etcdctl("txn", at=2, stdin='value("a") = "2"\n\nput b taken\n\nput b lost\n\n')
    check("SUCCESS" in done and etcdctl("get", "b", "--print-value-only", at=0).strip() == "taken", "a transaction compares and sets")
    check("FAILURE" in etcdctl("txn", at=0, stdin='create("a") = "0"\n\nput b again\n\nget a\n\n'), "and does the other thing when the comparison fails")
    check(etcdctl("del", "b", at=1).strip() == "1", "a key is removed")

    # --- who may
    check("user name is empty" in etcdctl("get", "a", at=0, identity=False, fails=True), "without a name nobody reads")
    token = open(f"{cluster}/operator/token").read().strip()
    name = next(line.split(":", 1)[1].split(",")[0].strip() for line in open(f"{cluster}/cluster.yaml") if "name:" in line and "sha256" in line)
    check(etcdctl("--user", f"{name}:{token}", "get", "a", "--print-value-only", at=0, identity=False).strip() == "2", "a token is as good as a certificate")
    check("permission denied" in etcdctl("put", "evercert.internal/x", "1", at=0, fails=True), "the cluster's own keys are out of reach")
    check(etcdctl("endpoint", "health", at=2) is not None and "3.4" in etcdctl("endpoint", "status"), "health and status answer")

    # --- watches
    watching = Lines(etcdctl_command("watch", "w", "--rev", "1", at=1))
    etcdctl("put", "w", "one", at=0)
    check(watching.wait_for("one"), "a watch in one region sees what another wrote")
    watching.end()
    resume_at = as_json("put", "w", "two", at=0)["header"]["revision"]
    etcdctl("put", "w", "three", at=2)
    resumed = Lines(etcdctl_command("watch", "w", "--rev", str(resume_at), at=2))
    check(resumed.wait_for("three") and resumed.lines.index("two") < resumed.lines.index("three") and "one" not in resumed.lines,
          "a watch resumes in another region at its revision")
    resumed.end()
    etcdctl("compact", str(resume_at), at=0)
    late = subprocess.run(etcdctl_command("watch", "w", "--rev", "2", at=1), capture_output=True, text=True, env=environment, timeout=20)
    check("compacted" in late.stderr + late.stdout, "a watch of what was compacted is told so")
    check("compacted" in etcdctl("get", "a", "--rev", "2", at=0, fails=True), "so is a read")

    # --- leases
    granted = as_json("lease", "grant", "3", at=0)
    lease = format(granted["ID"], "x")
    etcdctl("put", "leased", "1", "--lease", lease, at=1)
    check("leased" in etcdctl("lease", "timetolive", lease, "--keys", at=2), "a lease knows its keys in every region")
    keeping = Lines(etcdctl_command("lease", "keep-alive", lease, at=2))
    time.sleep(5)
    check(etcdctl("get", "leased", "--print-value-only", at=0).strip() == "1", "a lease that is renewed lives on")
    keeping.end(signal.SIGKILL)
    check(within(8, lambda: etcdctl("get", "leased", at=1) == ""), "one that is not takes its keys along")

    # --- a region dies
    holder = Lines(etcdctl_command("lock", "job", at=1))
    check(within(10, lambda: any(line.startswith("job/") for line in holder.lines)), "etcdctl holds a lock")
    waiting = Lines(etcdctl_command("lock", "job", at=2))
    time.sleep(1)
    check(not waiting.lines, "and nobody else does")
    over = Lines([*etcdctl_command("watch", "w", at=1)])
    counted = {at: Lines(etcdctl_command("watch", "count", at=at)) for at in (1, 2)}
    time.sleep(1)
    counting = Counting("count")
    check(within(20, lambda: counting.last >= 10), "a writer counts")
    kill(regions[0])  # the leader of the key space
    check(within(15, lambda: writable(1)), "the key space is written to after the leader's region died")
    check(etcdctl("get", "a", "--print-value-only", at=2).strip() == "2", "nothing is lost")
    time.sleep(2)
    check(holder.process.poll() is None and not waiting.lines, "the lock survives the region")
    etcdctl("put", "w", "after", at=2)
    check(over.wait_for("after"), "so do watches")
    over.end()
    at_death = counting.last
    check(within(20, lambda: counting.last >= at_death + 10), "and goes on counting under another leader")
    last = counting.end()
    for at, watcher in counted.items():
        check(within(20, lambda: told(watcher.lines, "count")[-1:] == [last]) and told(watcher.lines, "count") == list(range(1, last + 1)),
              f"a watch in {regions[at]} was told every change once, in order, across the change of leaders")
        watcher.end()
    holder.end(signal.SIGINT)
    check(within(20, lambda: any(line.startswith("job/") for line in waiting.lines)), "released, it goes to the next")
    waiting.end(signal.SIGINT)
    start("node", regions[0])
    start("edge", regions[0])
    check(within(20, lambda: writable(0)), "the region comes back")
    check(etcdctl("get", "w", "--print-value-only", at=0).strip() == "after", "and knows what was missed")

    # --- ctl
    ctl("kv", "put", "config/mode", "strict")
    check(ctl("kv", "get", "config/mode").strip() == "strict", "ctl sets and shows a key")
    revision = json.loads(ctl("--json", "kv", "get", "config/mode"))["mod_revision"]
    ctl("kv", "put", "config/mode", "loose", "--if-revision", str(revision))
    check("409" in ctl("kv", "put", "config/mode", "other", "--if-revision", str(revision), exit_code=(1, 2)), "compare-and-set refuses what is stale")
    check("put config/mode loose" in ctl("kv", "watch", "config/mode", "--from", str(revision + 1), "--once"), "ctl watches from a revision")
    tokens = [int(ctl("lock", "nightly", "--", "printenv", "EVERCERT_LOCK_TOKEN")) for _ in range(2)]
    check(tokens[0] < tokens[1], "each holder's fencing token is above the last one's")
    observing = Lines([evercert, "ctl", "--cluster", f"{cluster}/cluster.yaml", "elect", "boss", "--observe"])
    check(observing.wait_for("nobody leads"), "ctl observes an election that nobody has won")
    leading = Lines([evercert, "ctl", "--cluster", f"{cluster}/cluster.yaml", "elect", "boss", "--value", "me", "--", "sleep", "30"])
    check(within(10, lambda: subprocess.run([evercert, "ctl", "--cluster", f"{cluster}/cluster.yaml", "elect", "boss"], capture_output=True,
                                            text=True).stdout.endswith("value me\n")), "ctl leads, and shows who does")
    leading.end()  # long before its lease would have run out
    check(within(20, lambda: len(observing.lines) >= 3 and observing.lines[-1] == "nobody leads" and observing.lines[1].endswith("value me")),
          "and is told of the leader and of his end")
    observing.end()
    check(within(10, lambda: processes["node", regions[1]].poll() is None), "all nodes are still there")
    check("holder" not in ctl("lock", "nobody's", exit_code=(1, 2)) and "404" in ctl("lock", "nobody's", exit_code=(1, 2)), "ctl says that nobody holds a lock")

    # --- a node ends while clients wait
    etcdctl("put", "stop", "1", at=0)
    waiters = [Lines(etcdctl_command("watch", "stop", at=1)), Lines(etcdctl_command("lock", "taken", at=1))]
    check(within(10, lambda: any(line.startswith("taken/") for line in waiters[1].lines)), "a lock is held through a node")
    waiters.append(Lines(etcdctl_command("lock", "taken", at=1)))
    waiters.append(Lines(etcdctl_command("elect", "--listen", "nobody", at=1)))
    time.sleep(1)
    check(servers.stop(regions[1]) == 0, "a node that is told to stop ends all that waits at it, and itself")
    for waiter in waiters:
        waiter.end(signal.SIGKILL)

    # --- automatic compaction: the whole cluster with another retention
    for region in (regions[0], regions[2]):
        check(servers.stop(region) == 0, f"{region} stops")
    with open(f"{cluster}/cluster.yaml", "a") as file:
        file.write("coordination:\n  compaction: {mode: periodic, retention_seconds: 10}\n")
    for region in regions:
        start("node", region)
        start("edge", region)
    check(within(30, writable), "the cluster starts with a retention of ten seconds")
    old = as_json("put", "kept", "old", at=0)["header"]["revision"]
    etcdctl("put", "kept", "new", at=0)
    check(etcdctl("get", "kept", "--rev", str(old), "--print-value-only", at=1).strip() == "old", "the past is there")
    upto = Lines(etcdctl_command("watch", "kept", at=2))
    compacted = lambda: subprocess.run(etcdctl_command("get", "kept", "--rev", str(old), at=1), capture_output=True, text=True, env=environment).stderr
    check(within(60, lambda: "compacted" in compacted()), "what is older than the retention goes by itself")
    late = subprocess.run(etcdctl_command("watch", "kept", "--rev", str(old), at=2), capture_output=True, text=True, env=environment, timeout=20)
    check("compacted" in late.stderr + late.stdout, "a watch from there is told so")
    check("410" in ctl("kv", "watch", "kept", "--from", str(old), exit_code=(1, 2)), "by REST too")
    check(etcdctl("get", "kept", "--print-value-only", at=2).strip() == "new", "what is now stays")
    etcdctl("put", "kept", "newest", at=0)
    check(upto.wait_for("newest"), "a watch that is up to date is not touched")
    upto.end()
    print(f"coordination: {checks.count} passed, 0 failed")
finally:
    servers.end()
