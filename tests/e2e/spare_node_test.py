#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A spare node is not run in calm times. When a region dies, the failover controller has the other regions start theirs: it becomes one of the nodes, is asked, is on the
board of health and in the report of capacity; when the region is back it is none again, and ends. Real processes, with clients that go on."""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import checks
from checks import check, wait_for
from clients import Client, ask_node
from operators import Operator, well_in_all_eyes
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-spare-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
spare, spare_address = f"{west}/2", "127.2.0.12"
servers = Servers(evercert, work, cluster)
operator = Operator(evercert, cluster)
policy = {"confirm_seconds": 1, "pause_seconds": 2, "well_seconds": 2, "stage_seconds": 2, "stages": [100], "requests_seconds": 5}


def nodes():
    return {f"{one['region']}/{one['zone']}": one for one in json.loads(operator.ctl("--json", "node", "list"))["nodes"]}


def on_the_board(at):
    """Nodes, as a node sees them."""
    code, document = ask_node(f"127.{regions.index(at) + 1}.0.11", "/v1/health")
    return {node["name"]: node["score"] for region in document["regions"] for node in region["nodes"]} if code == 200 else {}


def counted():
    """Nodes that carry something, by region."""
    out = operator.run("--json", "capacity")
    return {one["region"]: one["nodes"] for one in json.loads(out.stdout)["regions"]} if out.stdout.startswith("{") else {}


def asked_of_spare():
    page = urllib.request.urlopen("http://127.2.0.1:8080/metrics", timeout=5).read().decode()
    found = re.search(rf'^evercert_edge_backend_requests_total{{backend="{spare_address}:\d+",kind="node"}} (\d+)$', page, re.M)
    return int(found[1]) if found else 0


def runs():
    return ask_node(spare_address, "/v1/status")[0] == 200


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--zones", "2"], check=True, capture_output=True)
    text = open(f"{cluster}/cluster.yaml").read()
    line = next(one for one in text.splitlines(True) if spare_address in one)
    text = "".join(one for one in text.splitlines(True) if not re.search(r"zone: 2.*127\.[13]\.", one)).replace(line, line.replace("}", ", spare: true}"))
    open(f"{cluster}/cluster.yaml", "w").write(text)
    first = next(one for one in text.splitlines(True) if "127.2.0.11" in one)
    open(f"{cluster}/wrong.yaml", "w").write(text.replace(first, "").replace(line.replace("}", ", spare: true}"), line.replace("}", ", spare: true}") + first))
    refused = subprocess.run([evercert, "node", "--cluster", f"{cluster}/wrong.yaml", "--region", east, "--data", f"{work}/none"], capture_output=True, text=True, timeout=30)
    check(refused.returncode == 2 and "wrong.yaml:" in refused.stderr and "put it behind one that runs" in refused.stderr, "a spare node that would have to start itself is refused")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=a.test",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/a.csr"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("all is well in all eyes", well_in_all_eyes, 120)
    wait_for("a controller is elected and nothing is wrong", lambda: operator.status().get("controller") and operator.nothing_open(), 60)
    check(operator.set_policy(f"{work}/policy.json", policy).returncode == 0, "the policy is set")
    check(not runs() and sorted(on_the_board(east)) == sorted(f"{region}/1" for region in regions), "in calm times it does not run, and nobody misses it")
    check(nodes()[spare]["state"] == "none", "and it votes nowhere")
    client = Client(cluster, f"{work}/a.csr", [2, 1, 3])
    client.start()
    wait_for("clients issue", lambda: len(client.issued) > 10, 20)

    # --- a region dies
    servers.kill(central)
    wait_for("the region's incident has its plan", lambda: operator.phase(central) == "stabilised", 60)
    steps = {step["kind"]: step for step in operator.incident(central)["steps"]}
    check(steps["add capacity"]["state"] == "done" and f"{west}/1: 1 workers" in steps["add capacity"]["evidence"], f"the controller has asked for capacity: {steps['add capacity']['evidence']}")
    wait_for("the spare node runs and votes", lambda: nodes()[spare]["state"] == "voter" and nodes()[spare]["votes_in"] == nodes()[spare]["groups"], 60)
    wait_for("it is on the board of another region, and well", lambda: on_the_board(east).get(spare) == 100, 30)
    wait_for("its processors are counted", lambda: counted().get(west) == 2, 30)
    wait_for("its region's edge asks it", lambda: asked_of_spare() > 5, 30)

    # --- the controller is replaced: the next one stands by what this one has started, and changes go under its lock
    def standing():
        code, said = ask_node("127.2.0.11", "/v1/failover/node")
        return said if code == 200 else {}

    token = operator.status()["controller"]["token"]
    check(standing()["wanted_workers"] == 1 and standing()["wanted_token"] == token, "the spare node runs by the controller's word")
    check(operator.run("kv", "del", "failover/leader/", "--prefix").returncode == 0, "the controller's lock is taken from it")
    wait_for("another time in office begins", lambda: ((operator.status().get("controller") or {}).get("token") or 0) > token, 60)
    wait_for("the spare node goes on by the new controller's word", lambda: standing().get("wanted_token", 0) > token, 30)
    check(standing()["wanted_workers"] == 1 and nodes()[spare]["state"] == "voter", "without having been let go meanwhile")

    before = len(operator.entries())

    # --- and comes back
    servers.start("node", central)
    servers.start("edge", central)
    wait_for("the region has its traffic", lambda: operator.phase(central) == "closed", 90)
    wait_for("the spare node votes no more and has ended", lambda: nodes()[spare]["state"] == "none" and not runs(), 60)
    wait_for("nobody misses it", lambda: sorted(on_the_board(east)) == sorted(f"{region}/1" for region in regions) and well_in_all_eyes(), 60)
    wait_for("nothing is wrong", operator.nothing_open, 30)
    check(not any(spare in entry["text"] for entry in operator.entries()[before:]), "and no incident was made of its going")
    issued = len(client.issued)
    wait_for("clients go on", lambda: len(client.issued) > issued + 10, 20)
    client.on = False
    client.join(20)
    check(not client.failed, f"{len(client.issued)} certificates, none failed; the longest took {client.longest:.1f} s: {client.failed[:1]}")
    check(operator.run("failover", "log", "--all").returncode == 0, "the log is whole")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
