#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two regions get a witness while clients go on: then either region is killed and no client of the other fails. Another witness takes its place, and the
first one is removed."""
import json
import os
import subprocess
import sys
import tempfile

from clients import Client, ask_node
from servers import Servers
from checks import check, wait_for
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-add-witness-")
cluster = os.path.join(work, "cluster")
storing = east, west = ["us-east-1", "us-west-2"]
watch, second = "watch", "second-watch"
regions = [*storing, watch, second]
servers = Servers(evercert, work, cluster)
file = "cluster.yaml"


def run(*arguments):
    return subprocess.run([evercert, *arguments], capture_output=True, text=True, timeout=60)


def ctl(*arguments, exit_code=0):
    done = run("ctl", "--cluster", f"{cluster}/{file}", *arguments)
    assert done.returncode == exit_code, f"ctl {arguments} ends with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if exit_code == 0 else done.stderr


def ask(region, path):
    return ask_node(f"127.{regions.index(region) + 1}.0.11", path)


def states(through=east):
    return {one["region"]: one["state"] for one in json.loads(ctl("--region", through, "--json", "region", "list"))["regions"]}


def said_by_edge(region, what):
    """What the region's edge said last of its own node."""
    node = f"127.{regions.index(region) + 1}.0.11:"

    def last():
        said = [line for line in open(f"{work}/edge-{region}.log") if node in line and ("is out" in line or "is back" in line)]
        return said[-1].strip() if said else ""
    wait_for(f"the edge of {region} says that its node {what}", lambda: last().endswith(what), 20)


def client(own):
    """Of one region's edge first, and of the other's when that one does not answer."""
    return Client(cluster, f"{work}/csr.pem", [regions.index(region) + 1 for region in sorted(storing, key=lambda region: region != own)])


def go_on(more, seconds):
    before = [len(one.issued) for one in clients]
    wait_for("clients issue", lambda: all(len(c.issued) >= b + more for c, b in zip(clients, before)), seconds)


def add_witness(name, number):
    """By the commands that are printed on the way: identities, the file, every node again, and the word."""
    global file
    enrolled = run("enroll-region", "--cluster", f"{cluster}/{file}", "--region", name, "--witness", "--node-address", f"127.{number}.0.11")
    assert enrolled.returncode == 0, enrolled.stderr
    lines = enrolled.stdout.split("\n")
    begin = [n for n, line in enumerate(lines) if line.startswith("  - name:")][0]
    text = open(f"{cluster}/{file}").read().split("\n")
    end = [n for n, line in enumerate(text) if line.startswith("timing:")][0]
    file = f"with-{name}.yaml"
    open(f"{cluster}/{file}", "w").write("\n".join(text[:end] + lines[begin:begin + 4] + text[end:]))
    checked = run("config", "check", f"{cluster}/{file}")
    assert checked.returncode == 0, checked.stderr
    for region in storing:
        ctl("region", "drain", region, "--reason", "a new cluster file")
        said_by_edge(region, "is out")
        servers.stop_one("node", region)
        servers.start("node", region, file=file)
        wait_for("it is back", lambda: ask(region, "/v1/status")[0] == 200, 30)
        wait_for("it serves", lambda: run("ctl", "--cluster", f"{cluster}/{file}", "region", "unfence", region).returncode == 0 or states()[region] == "serving", 30)
        wait_for("and is ready", lambda: ask(region, "/readyz")[0] == 200, 30)
        said_by_edge(region, "is back")
    for other in [region for region, state in states().items() if state == "witness"]:
        servers.stop_one("node", other)
        servers.start("node", other, file=file)
        wait_for("the witness is back", lambda: ask(other, "/readyz")[0] == 200, 30)
    servers.start("node", name, file=file)
    wait_for("the witness runs", lambda: ask(name, "/v1/status")[0] == 200, 20)
    ctl("region", "add", name, "--reason", "a third place")
    wait_for(f"{name} counts", lambda: states()[name] == "witness", 30)


clients = []
try:
    made = run("init", cluster, "--keys", "files", "--timing", "loopback", "--regions", ",".join(storing))
    assert made.returncode == 0, made.stderr
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    for region in storing:
        servers.start("node", region)
        servers.start("edge", region)
    for region in storing:
        wait_for(f"{region} is ready", lambda: ask(region, "/readyz")[0] == 200, 40)

    # --- what is wrong is said before anything is made
    refused = run("enroll-region", "--cluster", f"{cluster}/{file}", "--region", watch, "--node-address", "127.3.0.11")
    check(refused.returncode != 0 and "--witness" in refused.stderr, "a region without an edge is refused, and what a witness is called is said")
    both = run("enroll-region", "--cluster", f"{cluster}/{file}", "--region", watch, "--node-address", "127.3.0.11", "--witness", "--edge-address", "127.3.0.1")
    check(both.returncode != 0, "and so is a witness with an edge")

    # --- the witness comes; the root's key is not needed
    os.rename(f"{cluster}/root", f"{work}/root-elsewhere")
    clients = [client(region) for region in (east, west, east, west)]
    for one in clients:
        one.start()
    go_on(5, 60)
    add_witness(watch, 3)
    check(states() == {east: "serving", west: "serving", watch: "witness"}, "two regions have a witness, and its enrolment needed no root's key")
    again = run("enroll-region", "--cluster", f"{cluster}/{file}", "--region", watch, "--witness", "--node-address", "127.3.0.11")
    check(again.returncode != 0 and "there already" in again.stderr, "it is enrolled once")
    check("409" in ctl("region", "fence", watch, exit_code=2), "it cannot be fenced")
    go_on(10, 60)
    failed = [failure for one in clients for failure in one.failed]
    check(not failed, f"no request failed meanwhile: {failed[:3]}")

    # --- it bears the loss of either region
    for gone, left in ((west, east), (east, west)):
        servers.kill(gone)
        go_on(20, 90)
        wait_for(f"{gone} is fenced", lambda: states(left)[gone] == "fenced", 40)
        check(True, f"with {gone} killed under load {left} goes on, and the witness's word fences it")
        servers.start("node", gone, file=file)
        servers.start("edge", gone, file=file)
        wait_for(f"{gone} serves again", lambda: states(left)[gone] == "serving" and ask(gone, "/readyz")[0] == 200, 60)
        go_on(5, 60)
    failed = [failure for one in clients for failure in one.failed]
    check(not failed, f"no request failed: {failed[:3]}")
    check(ask(watch, "/v1/status")[1]["certificates"] == 0, "the witness counts no certificate")

    # --- another takes its place
    add_witness(second, 4)
    check(states()[second] == "witness", "a second witness is added")
    ctl("region", "remove", watch, "--yes")
    wait_for("the first is gone", lambda: states()[watch] == "removed", 30)
    servers.stop_one("node", watch)
    voters = sorted(one["node"] for one in json.loads(ctl("--json", "node", "list"))["nodes"] if one["state"] == "voter")
    check(voters == [257, 513, 1025], f"and the first removed, without a drain: {voters} vote")
    servers.kill(west)
    go_on(20, 90)
    check(True, "with a region killed the second witness bears it")
    servers.start("node", west, file=file)
    servers.start("edge", west, file=file)
    wait_for("it serves again", lambda: states()[west] == "serving" and ask(west, "/readyz")[0] == 200, 60)
    for one in clients:
        one.on = False
    for one in clients:
        one.join(60)
    issued = [certificate for one in clients for certificate in one.issued]
    failed = [failure for one in clients for failure in one.failed]
    check(not failed, f"none of {len(issued)} requests failed; the longest took {max(c.longest for c in clients):.1f} s: {failed[:3]}")
    for region in storing:
        wait_for(f"{region} has all of them", lambda: ask(region, "/v1/status")[1]["certificates"] >= len(issued), 30)
    check(True, "both regions have every certificate")
    print(f"adding a witness: {checks.count} passed, 0 failed")
finally:
    servers.end()
