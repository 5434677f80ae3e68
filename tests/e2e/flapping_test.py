#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Links that flap do not flap traffic, and a controller that stands still does no harm: real processes, with name servers and clients. A link between two regions
and the name server's to one of them are cut and mended every two seconds for a minute. Then the controller's region stands still (SIGSTOP): the others go on, another
controller takes over, and the first one, when it wakes, changes nothing."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import checks
from checks import check, wait_for
from clients import Client
from operators import Operator, well_in_all_eyes
from links import Links
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-flapping-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
operator = Operator(evercert, cluster)
ctl, status, entries = operator.run, operator.status, operator.entries
specification = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/spec/global_load_balancer.yaml")


def dns_page():
    return json.loads(urllib.request.urlopen("http://127.0.0.1:9153/", timeout=5).read())["regions"]


def dns_regions():
    """By name: whether the name server leads anybody there, and by which share."""
    return {one["region"]: (one["in"], one["share"]) for one in dns_page()}


def seen_well(region):
    """Not only believed to be, as all are by a name server that has just started."""
    return region["in"] and region["share"] == 100 and all(edge["last_check"] == "good" for edge in region["edges"])


def dns_log():
    return "".join(line for line in open(f"{work}/dns.log") if "region=" in line)


def most_in_30_s(moments):
    return max((sum(1 for other in moments if 0 <= other - at < 30) for at in moments), default=0)


def led_to(of):
    healthy, share = of[0], of[1]
    return share if healthy else 0


links = Links()
try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a.test",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/a.csr"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    servers.processes["dns", "all"] = subprocess.Popen([evercert, "dns", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--load-balancer", specification,
                                                        "--listen", "127.0.0.1:5353", "--status", "127.0.0.1:9153"], stdout=open(f"{work}/dns.log", "w"), stderr=subprocess.STDOUT)
    wait_for("all is well in all eyes", well_in_all_eyes, 60)
    wait_for("a controller is elected", lambda: status().get("controller"), 60)
    where = status()["controller"]
    home = where["node"].split("/")[0]
    a, b = [regions.index(region) + 1 for region in regions if region != home]
    client = Client(cluster, f"{work}/a.csr", [regions.index(home) + 1, a, b])
    client.start()
    wait_for("clients issue", lambda: len(client.issued) > 5, 20)

    # What it thought of regions that were just being started is no change of mind.
    wait_for("the name server leads everywhere", lambda: all(seen_well(region) for region in dns_page()), 60)

    # --- a link that flaps
    changes, seen, begun = {region: [] for region in regions}, dns_regions(), time.monotonic()
    cuts = 0
    while time.monotonic() < begun + 60:
        cuts += 1
        links.cut((f"127.{a}.0.0/16", f"127.{b}.0.0/16"), ("127.0.0.1/32", f"127.{b}.0.1/32"))
        for mended in (False, True):
            if mended:
                links.mend()
            for _ in range(8):
                time.sleep(0.25)
                now = dns_regions()
                for region in regions:
                    # What is led there in the end: no share, and out besides, is one change.
                    if led_to(now[region]) != led_to(seen[region]):
                        changes[region].append(time.monotonic())
                seen = now
    steady = all(most_in_30_s(moments) <= 1 for moments in changes.values())
    check(steady, f"{cuts} cuts: the name server has changed its mind about a region at most once in 30 s: "
          f"{ {region: [round(at - begun, 1) for at in moments] for region, moments in changes.items()} }" + ("" if steady else "\n" + dns_log()))
    moved = [(entry["at_ms"] / 1000, entry["text"]) for entry in entries() if entry["text"].startswith("traffic of")]
    for region in regions:
        check(most_in_30_s([at for at, text in moved if f"of {region}:" in text]) <= 1, f"and so has the controller about {region}: {moved}")
    check(not client.failed, f"no request has failed: {client.failed[:1]}")
    quicker = {"confirm_seconds": 1, "pause_seconds": 2, "well_seconds": 2, "stage_seconds": 2, "stages": [100]}
    check(operator.set_policy(f"{work}/policy.json", quicker).returncode == 0, "the policy is quicker")
    # What was out was held for longer each time; and a region that the controller has drained comes back by stages.
    wait_for("all is well again", lambda: well_in_all_eyes() and ctl("failover", "status").returncode == 0 and all(seen_well(region) for region in dns_page()), 300)

    # --- the controller's region stands still
    where = status()["controller"]
    home = where["node"].split("/")[0]
    client.urls.sort(key=lambda url: f"127.{regions.index(home) + 1}." in url)  # its own region last: a client of a region that hangs waits
    for kind in ("node", "edge"):
        servers.processes[kind, home].send_signal(signal.SIGSTOP)
    stopped, issued = time.monotonic(), len(client.issued)
    wait_for("another controller is elected", lambda: (status().get("controller") or where)["token"] != where["token"], 60)
    succeeded = time.monotonic() - stopped
    wait_for("the others issue without it", lambda: len(client.issued) > issued + 10, 30)
    wait_for("name servers lead nobody there", lambda: not dns_regions()[home][0] or dns_regions()[home][1] == 0, 20)
    wait_for("another controller has taken its traffic away", lambda: status().get("shares", {}).get(home) == 0, 60)
    token = status()["controller"]["token"]
    check(token > where["token"], "under a higher token")
    others = "".join(open(f"{work}/node-{region}.log").read() for region in regions if region != home)
    check(f"{where['node']} cannot be the controller, nobody hears its region" in others, f"and has not waited until the first one's lease lapsed: in office after {succeeded:.1f} s")
    for kind in ("node", "edge"):
        servers.processes[kind, home].send_signal(signal.SIGCONT)
    wait_for("it is back, with all of its traffic", lambda: status().get("shares", {}).get(home) == 100 and ctl("failover", "status").returncode == 0, 90)
    tokens = [entry["token"] for entry in entries()]
    check(tokens == sorted(tokens), "whoever was replaced has written nothing since")
    check(ctl("failover", "log", "--all").returncode == 0, "the log is whole")
    client.on = False
    client.join(20)
    check(not client.failed, f"{len(client.issued)} certificates, none failed; the longest took {client.longest:.1f} s: {client.failed[:1]}")
    print(f"{checks.count} checks passed")
finally:
    links.end()
    for process in servers.processes.values():
        process.send_signal(signal.SIGCONT)
    servers.end()
