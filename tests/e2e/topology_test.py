#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes that come and go while clients go on: one is enrolled, added, takes another's place, and is removed. Three real regions, and
clients that issue in each of them all the time."""
import json
import os
import subprocess
import sys
import tempfile
import time

from clients import Client, ask_node
from operators import Operator
from servers import Servers
from checks import check, wait_for
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-topology-")
cluster = os.path.join(work, "cluster")
regions = east, west, central = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster, "larger.yaml").ctl
processes = servers.processes
new = "us-west-2/2"


def nodes():
    document = json.loads(ctl("--json", "node", "list"))
    return document, {f"{one['region']}/{one['zone']}": one for one in document["nodes"]}


def votes(name):
    document, all_nodes = nodes()
    return document["done"] and all_nodes.get(name, {}).get("state") == "voter"


def ask(address, path):
    return ask_node(address, path, token=open(f"{cluster}/operator/token").read().strip())


def client_of(region):
    return Client(cluster, f"{work}/csr.pem", [regions.index(region) + 1])


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("all regions are ready", lambda: all(ask(f"127.{n}.0.11", "/v1/status")[0] == 200 and
                                                  all(group["leader"] for group in ask(f"127.{n}.0.11", "/v1/status")[1]["groups"]) for n in (1, 2, 3)), 30)
    clients = {region: client_of(region) for region in regions}
    for client in clients.values():
        client.start()
    wait_for("clients issue", lambda: all(len(client.issued) > 5 for client in clients.values()), 20)

    # --- a node is enrolled, started and added
    enrolled = subprocess.run([evercert, "enroll", "--cluster", f"{cluster}/cluster.yaml", "--region", west, "--zone", "2", "--address", "127.2.0.12"],
                              capture_output=True, text=True)
    check(enrolled.returncode == 0 and f"node add {new}" in enrolled.stdout, "enroll makes an identity and says what comes next")
    line = next(text for text in enrolled.stdout.splitlines() if text.strip().startswith("- {zone: 2"))
    again = subprocess.run([evercert, "enroll", "--cluster", f"{cluster}/cluster.yaml", "--region", west, "--zone", "2", "--address", "127.2.0.12"], capture_output=True, text=True)
    check(again.returncode != 0 and "nothing was changed" in again.stderr, "and never a second one")
    text = open(f"{cluster}/cluster.yaml").read()
    beside = next(old for old in text.splitlines() if "127.2.0.11" in old)
    open(f"{cluster}/larger.yaml", "w").write(text.replace(beside, beside + "\n" + line))
    check("add it there, or give --address" in ctl("node", "add", new, file="cluster.yaml", exit_code=2), "an unknown node is added with its address only")
    servers.start("node", west, 2, "larger.yaml")
    wait_for("the new node is up", lambda: ask("127.2.0.12", "/v1/status")[0] == 200, 20)
    time.sleep(1)
    check(nodes()[1][west + "/1"]["state"] == "voter" and nodes()[1].get(new, {"state": "none"})["state"] == "none", "a node that only runs is none yet")
    begun = time.monotonic()
    shown = ctl("node", "add", new, "--reason", "a second zone")
    wait_for("the new node votes", lambda: votes(new), 30)
    print(f"      it votes in all groups {time.monotonic() - begun:.1f} s after it was asked for")
    document, all_nodes = nodes()
    check(all_nodes[new]["votes_in"] == 4 and document["changed"]["reason"] == "a second zone", "it votes in all four groups, and every node says so")
    check("409" in ctl("node", "add", new, exit_code=2), "a voter is a voter")
    check("409" in ctl("node", "remove", "us-west-2/7", exit_code=2), "who is none is not removed")
    check("serves and would have no node" in ctl("node", "remove", "us-east-1/1", exit_code=2), "a region that serves keeps its last node")

    def has_all(address):
        for client in clients.values():
            client.pause.set()
        for client in clients.values():
            client.paused.wait(20)
        serials = [one["serial"] for client in clients.values() for one in client.issued]
        missing = [serial for serial in serials[:20] + serials[-20:] if ask(address, "/v1/certificates/" + serial)[0] != 200]
        count = ask(address, "/v1/status")[1]["certificates"]
        for client in clients.values():
            client.pause.clear()
        return not missing and count == len(serials), f"{count} certificates of {len(serials)}, missing {missing[:3]}"

    def on_the_board():
        """Of a region whose file does not name the new node."""
        return {node["name"]: node["score"] for region in ask("127.1.0.11", "/v1/health")[1]["regions"] for node in region["nodes"]}

    wait_for("the new node is on the board of health", lambda: on_the_board().get(new, 0) > 0, 30)
    wait_for("and in the report of capacity", lambda: {one["region"]: one["nodes"] for one in json.loads(Operator(evercert, cluster).run("--json", "capacity").stdout)["regions"]}.get(west) == 2, 40)
    complete, what = has_all("127.2.0.12")
    check(complete, f"the new node has every certificate: {what}")

    # --- it takes the place of the old one, which goes
    clients[west].pause.set()  # its clients have no edge for a moment
    clients[west].paused.wait(20)
    servers.stop_one("edge", west)
    servers.start("edge", west, file="larger.yaml")
    wait_for("the edge that knows both is up", lambda: processes["edge", west].poll() is None and subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "http://127.2.0.1:8080/healthz"]).returncode == 0, 20)
    clients[west].pause.clear()
    ctl("node", "remove", "us-west-2/1", "--reason", "its machine is old")
    wait_for("the old node votes no more", lambda: nodes()[0]["done"] and nodes()[1].get("us-west-2/1", {"state": "none"})["state"] == "none", 30)
    check(servers.stop_one("node", west) == 0, "the old node is stopped")
    wait_for("the old node is missed by nobody", lambda: west + "/1" not in on_the_board(), 10)
    time.sleep(6)  # longer than a check of its interface takes to fail
    check(sorted(on_the_board()) == sorted([east + "/1", new, central + "/1"]) and not Operator(evercert, cluster).incident(west + "/1"), "nor is it an incident that it is gone")
    wait_for("clients of the region go on", lambda n=len(clients[west].issued): len(clients[west].issued) > n + 5, 20)

    # --- it remembers who the members are, and bears the loss of a region with the others
    check(servers.stop_one("node", west + "-2") == 0, "the new node is stopped")
    servers.start("node", west, 2, "larger.yaml")
    wait_for("it is back", lambda: ask("127.2.0.12", "/v1/status")[0] == 200 and all(g["leader"] for g in ask("127.2.0.12", "/v1/status")[1]["groups"]), 20)
    check(nodes()[1][new]["state"] == "voter", "after its restart it is what it was")
    for client in clients.values():
        client.on = False
    for client in clients.values():
        client.join(30)
    failed = [failure for client in clients.values() for failure in client.failed]
    issued = sum(len(client.issued) for client in clients.values())
    check(not failed, f"no request failed of {issued}, the longest took {max(client.longest for client in clients.values()):.2f} s: {failed[:3]}")
    servers.kill(central)
    issue = lambda: subprocess.run([evercert, "ctl", "--cluster", f"{cluster}/larger.yaml", "--region", west, "--json", "issue", f"{work}/csr.pem"],
                                   capture_output=True, text=True, timeout=60).returncode == 0
    wait_for("with a region gone the new node's vote counts", issue, 20)
    check(issue(), "and certificates are issued")
    print(f"topology: {checks.count} passed, 0 failed")
finally:
    servers.end()
