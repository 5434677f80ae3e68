#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well a cluster is, as its nodes say: a region that dies is at 0 with the reason and out by the word of two; it comes back when it has been well
for a while; a fenced one says that it cannot issue. And geoDNS, in front of the same edges, sends clients away from it. Three real regions."""
import json
import os
import subprocess
import sys
import tempfile
import time

import dns.message
import dns.query
import dns.rdatatype

import checks
from checks import check, wait_for
from clients import ask_node
from operators import Operator
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-health-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster).run
specification = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/spec/global_load_balancer.yaml")


def health(at):
    status, document = ask_node(f"127.{regions.index(at) + 1}.0.11", "/v1/health")
    return document if status == 200 else {}


def seen(at, region):
    return next((one for one in health(at).get("regions", []) if one["region"] == region), {})


def addresses(name):
    """What a resolver is told."""
    answer = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", timeout=5, port=5353).answer
    return {record.address for rrset in answer for record in rrset if record.rdtype == dns.rdatatype.A}


def gauge(at, of):
    _, text = ask_node(f"127.{regions.index(at) + 1}.0.11", "/metrics")
    line = next(line for line in text.splitlines() if line.startswith(f'evercert_health_score{{of="{of}"}}'))
    return float(line.split()[-1])


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    servers.processes["dns", "all"] = subprocess.Popen([evercert, "dns", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--load-balancer", specification,
                                                        "--listen", "127.0.0.1:5353", "--status", "127.0.0.1:9153"], stdout=open(f"{work}/dns.log", "w"), stderr=subprocess.STDOUT)
    wait_for("all is well in all eyes", lambda: all(health(at).get("globe", {}).get("score") == 100 for at in regions), 60)
    services = {"HSM", "api", "certificates", "clock", "database", "disk", "followed groups", "renewals", "replication"}
    # A report of before a node's first checks had ended is replaced by the next one.
    wait_for("every node knows every service of every region", lambda: all(set(seen(at, region).get("services", {})) == services for at in regions for region in regions), 20)
    # Each node looks at its lists every ten seconds, first when it may not have published its own.
    wait_for("the node that is asked has seen all lists", lambda: all(f"CRL of {region}" in ctl("health").stdout for region in regions), 30)
    shown = ctl("health")
    check(shown.returncode == 0 and all(region in shown.stdout for region in regions) and "globe 100" in shown.stdout, "ctl health shows it and ends with 0")
    check(gauge(west, "globe") == 100 and gauge(west, central) == 100, "so do the metrics")
    endings = health(west)["endings"]
    check({"node certificate", "root certificate", "issuing certificate", "OCSP responder certificate"} | {f"CRL of {region}" for region in regions} == {e["what"] for e in endings},
          "what ends one day is listed with the time that it has left")
    check(not any(e["late"] or e["ends_in_seconds"] <= 0 for e in endings) and "CRL of us-east-1" in shown.stdout, f"and nothing of it is late: {endings}")

    pinned = "eu-central-1.api.certmanager.com"
    wait_for("the name servers lead to each region", lambda: "127.3.0.1" in addresses(pinned), 30)

    # --- a region dies
    servers.kill(central)
    killed = time.monotonic()
    wait_for("it is out in the eyes of both others", lambda: all(seen(at, central).get("out") for at in (east, west)), 30)
    print(f"      out after {time.monotonic() - killed:.1f} s")
    wait_for("no client is led there any more", lambda: "127.3.0.1" not in addresses(pinned) | addresses("api.certmanager.com"), 15)
    check(addresses(pinned) <= {"127.1.0.1", "127.2.0.1"}, f"who has pinned it is led to the others, {time.monotonic() - killed:.1f} s after its death")
    one = seen(east, central)
    check(one["score"] == 0 and "api 0 of 1" in one["text"] and "eu-central-1/1 down" in one["text"], f"it is at 0 and the reason is told: {one['text']}")
    check(60 < health(east)["globe"]["score"] < 70, "the globe has two thirds")
    check(all(seen(east, region)["score"] == 100 for region in (east, west)), "the others are as well as before")
    log = open(os.path.join(work, f"node-{east}.log")).read()
    check("eu-central-1 is out: region 1 says 0" in log and "region 2 says 0" in log, "the log has what was said by whom")
    shown = ctl("health")
    check(shown.returncode == 1 and "OUT: api 0 of 1" in shown.stdout, "ctl health says so and ends with 1")
    check(gauge(east, central) == 0, "so do the metrics")

    # --- another one is fenced: it is heard, and cannot issue
    check(ctl("region", "fence", west, "--reason", "a test").returncode == 0, "a region is fenced")
    wait_for("it says that it cannot issue", lambda: "fenced" in seen(east, west).get("text", ""), 150)
    check(seen(east, west)["services"]["api"]["score"] == 100, "though its interface is well")
    check(ctl("region", "unfence", west).returncode == 0, "it is put back")
    carried = {one["region"]: one for one in json.loads(ctl("--json", "capacity").stdout)["regions"]}
    check(all(0 < (carried[region]["edges_busy"] or 0) < carried[region]["edges_cores"] for region in (east, west)), f"what edges use of their processors is measured: {carried}")
    check(all(carried[region]["most_signatures_per_second"] is None for region in regions), "keys in files are no token's")

    # --- the dead one comes back, with what its earlier life had counted
    counted = {"warned_and_came": 11, "warned_in_vain": 1, "came_unwarned": 2, "rightly_quiet": 240}
    with open(f"{work}/data-{central}/forecasts.json", "w") as file:
        json.dump({"forecasts": {"disk": counted}}, file)
    servers.start("node", central)
    servers.start("edge", central)
    wait_for("it is well again", lambda: seen(east, central).get("score") == 100, 60)
    back = time.monotonic()
    check(seen(east, central)["out"], "but traffic waits until it has been well for a while")
    wait_for("it is back in the eyes of all", lambda: all(seen(at, central).get("out") is False for at in regions), 90)
    print(f"      back {time.monotonic() - back:.1f} s after it was well")
    wait_for("its clients are led to it again", lambda: "127.3.0.1" in addresses(pinned), 30)
    disk = next(one for one in health(central)["forecasts"] if one["what"] == "disk")
    check((disk["warnings"], disk["warnings_that_came"], disk["events"]) == (12, 11, 13), "how often its forecasts came true has survived its death")
    kept = json.load(open(f"{work}/data-{central}/forecasts.json"))["forecasts"]
    check(kept["disk"] == counted and "memory" in kept, "and lies in its data folder with what it counts now")
    status, _ = ask_node("127.1.0.11", "/v1/health/node")
    check(status == 200, "a node's own report can be read")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
