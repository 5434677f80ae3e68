#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the failover controller does about less than a region, with real processes and clients that go on: a node's disk is nearly full, then full, then damaged, so that the
node gives up and refuses to serve; two regions do not hear each other; the store loses its majority. A node's traffic goes to the other node of its region, by the shares that the edge reads, and comes back."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import checks
from checks import check, wait_for
from clients import Client, ask_node
from operators import Operator, well_in_all_eyes
from links import Links
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-incidents-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
second = f"{east}/2"
servers = Servers(evercert, work, cluster)
operator = Operator(evercert, cluster)
ctl, status, incident, phase = operator.run, operator.status, operator.incident, operator.phase
nothing_open, entries = operator.nothing_open, operator.entries
policy = {"confirm_seconds": 1, "pause_seconds": 2, "well_seconds": 2, "stage_seconds": 2, "stages": [50, 100], "requests_seconds": 5}
small = os.path.join(work, f"data-{east}-2")  # the second node's disk


def edge_metric(name):
    page = urllib.request.urlopen("http://127.1.0.1:8080/metrics", timeout=5).read().decode()
    return int(re.search(rf'^{re.escape(name)} (\d+)$', page, re.M)[1])


def share_at_edge():
    return edge_metric(f'evercert_edge_share_percent{{of="{second}"}}')


def asked_of_second():
    return edge_metric('evercert_edge_backend_requests_total{backend="127.1.0.12:' + port + '",kind="node"}')


def log_of(kind, name):
    return re.sub(r"\x1b\[[0-9;]*m", "", open(f"{work}/{kind}-{name}.log").read())


def damage_log(folder):
    """Some bytes in the middle of the largest file of the store's log are others than were written."""
    files = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    logs = [file for file in files if "/log/" in file]
    largest = max(logs, key=os.path.getsize)
    with open(largest, "r+b") as file:
        file.seek(os.path.getsize(largest) // 2)
        file.write(os.urandom(4096))


def times_are_told(subject, moved, silent=False):
    """Of a closed incident: in the record, by ctl, and in the controller's metrics. `silent`: it began before the controller first found it."""
    one = incident(subject)
    order = [one["began_ms"], one["opened_ms"], *([one["relieved_ms"]] if moved else []), one["changed_ms"]]
    check(order == sorted(order) and ("relieved_ms" in one) == moved, f"the incident about {subject} has its moments, in order: {order}")
    took = [one[name] for name in ("detected_after_ms", *(["relieved_after_ms"] if moved else []), "over_after_ms")]
    check(all(abs(of - (moment - one["began_ms"])) <= 2 for of, moment in zip(took, order[1:], strict=True)) and took[0] >= (5000 if silent else 1000), f"and how long it took to each: {took} ms")
    shown = ctl("failover", "incidents").stdout
    about = shown[shown.index(one["name"] + " "):]
    about = about.splitlines()[1]
    check(f"detected after {took[0] / 1000:.1f} s" in about and f"over after {took[-1] / 1000:.1f} s" in about and ("traffic away after" in about) == moved, f"ctl says so: {about}")
    region, zone = status()["controller"]["node"].split("/")
    _, page = ask_node(f"127.{regions.index(region) + 1}.0.1{zone}", "/metrics")
    counted = {(name, part): int(value) for name, part, value in re.findall(r'^evercert_failover_(incidents|incident_milliseconds)_total\{part="(\w+)"\} (\d+)', page, re.M)}
    check(counted["incidents", "recovery"] > 0 and counted["incident_milliseconds", "recovery"] >= took[-1], f"the controller's metrics have the sums: {counted}")


def moves_of(node):
    """Of its share of the traffic, by any incident, oldest first."""
    return [entry["text"].split(": ")[1] for entry in entries() if entry["text"].startswith(f"traffic of {node}: ")]


def nearly_fill():
    free = os.statvfs(small)
    with open(f"{small}/ballast", "wb") as ballast:
        ballast.write(b"\0" * (int(free.f_bavail * free.f_frsize - 0.02 * free.f_blocks * free.f_frsize)))


links = Links()
try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--zones", "2"], check=True, capture_output=True)
    # One region has two zones, the others one.
    text = open(f"{cluster}/cluster.yaml").read()
    open(f"{cluster}/cluster.yaml", "w").write("".join(line for line in text.splitlines(True) if not re.search(r"zone: 2.*127\.[23]\.", line)))
    port = re.search(r"link_port: (\d+)", text)[1] if "link_port" in text else "9445"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a.test",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/a.csr"], check=True, capture_output=True)
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", small], check=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    servers.start("node", east, 2)
    wait_for("all is well in all eyes", well_in_all_eyes, 60)
    wait_for("a controller is elected and nothing is wrong", lambda: status().get("controller") and nothing_open(), 60)
    check(operator.set_policy(f"{work}/policy.json", policy).returncode == 0, "the policy is set")
    client = Client(cluster, f"{work}/a.csr", [1, 2, 3])
    client.start()
    wait_for("both nodes of the region are asked", lambda: asked_of_second() > 5 and share_at_edge() == 100, 20)

    # --- a node's disk is full
    nearly_fill()
    wait_for("a component of the node is ill", lambda: phase(f"{second} disk") == "stabilised", 30)
    steps = {step["kind"]: step for step in incident(f"{second} disk")["steps"]}
    check(steps["redundancy"]["state"] == "done" and steps["divert"]["state"] == "done", "the other node of the region is well, and the traffic goes there")
    wait_for("the edge has heard of it", lambda: share_at_edge() == 0, 10)
    time.sleep(0.5)
    before, issued = asked_of_second(), len(client.issued)
    wait_for("clients go on", lambda: len(client.issued) > issued + 50, 20)
    check(asked_of_second() == before, f"the node that is ill is not asked for any of it, nor by other regions' edges ({asked_of_second() - before} times, {len(client.issued) - issued} certificates)")
    check(second in ctl("failover", "status").stdout, "ctl failover status shows its share")
    os.remove(f"{small}/ballast")
    wait_for("it is well again and has its traffic", lambda: phase(f"{second} disk") == "closed" and share_at_edge() == 100, 40)
    wait_for("nothing is wrong any more", nothing_open, 40)
    times_are_told(f"{second} disk", moved=True)
    moves = moves_of(second)
    check(moves == ["100 % -> 0 %", "0 % -> 50 %", "50 % -> 100 %"], f"in stages: {moves}")
    moved = len(moves)

    # --- it is ill again while its traffic returns: the return is broken off, and begins anew when it is well
    nearly_fill()
    wait_for("it is ill, and gets nothing", lambda: phase(f"{second} disk") == "stabilised" and share_at_edge() == 0, 40)
    name = incident(f"{second} disk")["name"]
    about = lambda: [entry for entry in entries() if entry["incident"] == name]
    os.remove(f"{small}/ballast")
    wait_for("its traffic returns", lambda: share_at_edge() == 50, 60)
    nearly_fill()
    wait_for("the return is broken off", lambda: any("is ill again" in entry["evidence"] for entry in about()), 20)
    wait_for("its traffic has gone again", lambda: phase(f"{second} disk") == "stabilised" and share_at_edge() == 0, 40)
    os.remove(f"{small}/ballast")
    wait_for("it returns in the end", lambda: phase(f"{second} disk") == "closed" and share_at_edge() == 100, 90)
    # Where the node is slow for a full disk as well, two incidents move its traffic: whichever comes first.
    moves = moves_of(second)[moved:]
    check(moves[:2] == ["100 % -> 0 %", "0 % -> 50 %"] and any(move.endswith("-> 0 %") for move in moves[2:-2]) and moves[-2:] == ["0 % -> 50 %", "50 % -> 100 %"], f"from the first stage on: {moves}")
    check(not client.failed, f"no request has failed: {client.failed[:1]}")

    # --- a node's disk takes nothing any more: it gives up, and its zone is gone
    node = servers.processes["node", f"{east}-2"]

    def fill():
        """Also what the node has freed since."""
        with open(f"{small}/ballast", "ab", buffering=0) as ballast:
            try:
                while ballast.write(b"\0" * 65536):
                    pass
            except OSError:
                pass
        return node.poll() is not None

    wait_for("the node gives up, rather than forget what it has acknowledged", fill, 60)
    check(node.returncode != 0 and "No space left on device" in log_of("node", f"{east}-2"), f"and says why (exit status {node.returncode})")
    wait_for("the zone's incident has its plan", lambda: phase(second) == "stabilised", 40)
    steps = {step["kind"]: step["state"] for step in incident(second)["steps"]}
    check(steps["redundancy"] == "done" and steps["divert"] == "done" and steps["leaders"] == "done", f"the rest of the region does the work, every group is led: {steps}")
    check(status()["shares"][east] == 100, "its region keeps its traffic")

    # --- there is room again, and the disk has damaged what was on it: the node refuses to serve
    os.remove(f"{small}/ballast")
    damage_log(small)
    servers.start("node", east, 2)
    node = servers.processes["node", f"{east}-2"]
    wait_for("a node whose log is damaged does not start", lambda: node.poll() is not None, 20)
    check(node.returncode != 0 and small in log_of("node", f"{east}-2").splitlines()[-1], f"and names what is damaged: {log_of('node', f'{east}-2').splitlines()[-1]}")
    check(phase(second) == "stabilised" and status()["shares"][east] == 100, "its incident stands as it stood")
    for name in os.listdir(small):
        shutil.rmtree(f"{small}/{name}") if os.path.isdir(f"{small}/{name}") else os.remove(f"{small}/{name}")
    servers.start("node", east, 2)
    wait_for("without what it had it is rebuilt from the others, and has its traffic", lambda: phase(second) == "closed" and share_at_edge() == 100, 60)

    # --- two regions do not hear each other
    home = status()["controller"]["node"].split("/")[0]
    a, b = [regions.index(region) + 1 for region in regions if region != home]
    links.cut((f"127.{a}.0.0/16", f"127.{b}.0.0/16"))
    subject = f"{regions[a - 1]} and {regions[b - 1]}"
    wait_for("the partition is found", lambda: phase(subject) == "stabilised", 40)
    check({step["kind"]: step["state"] for step in incident(subject)["steps"]} == {"leaders": "done", "queues": "done"}, "every group is led through the third region")
    check(all(status()["shares"][region] == 100 for region in regions), "and no traffic is moved for it")
    issued = len(client.issued)
    wait_for("clients go on", lambda: len(client.issued) > issued + 5, 20)
    links.mend()
    wait_for("they hear each other again", lambda: phase(subject) == "closed" and nothing_open(), 60)
    times_are_told(subject, moved=False, silent=True)

    client.on = False
    client.join(20)
    check(not client.failed, f"{len(client.issued)} certificates, none failed; the longest took {client.longest:.1f} s: {client.failed[:1]}")

    # --- the store has lost its majority: who cannot write decides nothing
    known = entries()
    for region in (west, central):
        servers.kill(region)
    wait_for("the status says that there is no majority", lambda: "the store reaches no majority (global" in ctl("failover", "status").stdout, 30)
    out = ctl("failover", "status")
    check(out.returncode == 1 and "nothing is wrong" not in out.stdout, f"and does not say that all is well: {out.stdout.splitlines()[0]}")
    out = ctl("failover", "plan", west)
    check(out.returncode == 1 and "evercert: 503: " in out.stderr, f"what is ordered is refused, not lost: {out.stderr.splitlines()[-1]}")
    code, shares = ask_node("127.1.0.11", "/v1/failover/shares")
    check(code == 200 and not shares["shares"] and not shares.get("nodes") and share_at_edge() == 100, "shares are as they were last, at the node and at the edge")
    for region in (west, central):
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("with the majority a controller is back, and nothing is wrong", lambda: status().get("controller") and nothing_open() and well_in_all_eyes(), 60)
    fresh = entries()[len(known):]
    check(not any(entry["text"].startswith("traffic of") for entry in fresh), f"nobody's traffic was moved for it: {fresh}")
    client = Client(cluster, f"{work}/a.csr", [1, 2, 3])
    client.start()
    wait_for("clients issue in all regions", lambda: len(client.issued) > 20, 20)
    client.on = False
    client.join(20)
    check(not client.failed, f"without a failure: {client.failed[:1]}")
    check(ctl("failover", "log", "--all").returncode == 0, "the log is whole, and signed")
    print(f"{checks.count} checks passed")
finally:
    links.end()
    subprocess.run(["umount", "-l", small], capture_output=True)
    servers.end()
