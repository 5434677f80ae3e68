#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A region is added to a cluster while clients go on in all others: its keys are made, the nodes are started again with the new file one after the
other, it is added, its home group begins, and it serves."""
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
work = tempfile.mkdtemp(prefix="evercert-region-")
cluster = os.path.join(work, "cluster")
founding = east, west, central = ["us-east-1", "us-west-2", "eu-central-1"]
south = "ap-south-1"
regions = [*founding, south]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster, "larger.yaml").ctl


def node_of(region):
    return f"127.{regions.index(region) + 1}.0.11"


def ask(region, path, method="GET"):
    return ask_node(node_of(region), path, method, open(f"{cluster}/operator/token").read().strip())


def led(region, groups):
    status, document = ask(region, "/v1/status")
    return status == 200 and len(document["groups"]) == groups and all(group["leader"] for group in document["groups"])


def state(region):
    return {one["region"]: one["state"] for one in json.loads(ctl("--json", "region", "list"))["regions"]}[region]


def client_of(region):
    return Client(cluster, f"{work}/csr.pem", [regions.index(region) + 1])


def edge_is_up(region):
    return subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://127.{regions.index(region) + 1}.0.1:8080/healthz"]).returncode == 0


def said_by_edge(region, what):
    """The region's edge has seen what became of its node."""
    wait_for(f"the edge of {region} says that its node {what}", lambda: open(f"{work}/edge-{region}.log").read().strip().endswith(what), 20)


def ocsp(region, certificate):
    """What an edge says of a certificate of the new region."""
    return subprocess.run(["openssl", "ocsp", "-issuer", f"{cluster}/public/{south}.pem", "-cert", certificate, "-CAfile", f"{cluster}/public/bundle.pem",
                           "-url", f"http://127.{regions.index(region) + 1}.0.1:8080/ocsp", "-no_nonce"], capture_output=True, text=True).stdout


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    for region in founding:
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("all regions are ready", lambda: all(led(region, 4) for region in founding), 30)
    clients = {region: client_of(region) for region in founding}
    for client in clients.values():
        client.start()
    wait_for("clients issue", lambda: all(len(client.issued) > 5 for client in clients.values()), 20)

    # --- its keys, and the file that names it
    enroll = [evercert, "enroll-region", "--cluster", f"{cluster}/cluster.yaml", "--region", south, "--node-address", "127.4.0.11", "--edge-address", "127.4.0.1"]
    enrolled = subprocess.run(enroll, capture_output=True, text=True)
    check(enrolled.returncode == 0 and f"region add {south}" in enrolled.stdout, f"enroll-region makes the keys and says what comes next: {enrolled.stderr}")
    lines = enrolled.stdout.split("\n")
    block = [n for n, line in enumerate(lines) if line.startswith("  - name:")][0]
    block = lines[block:block + 5]
    again = subprocess.run(enroll, capture_output=True, text=True)
    check(again.returncode != 0 and "nothing was changed" in again.stderr, "and never a second time")
    text = open(f"{cluster}/cluster.yaml").read().split("\n")
    end = [n for n, line in enumerate(text) if line.startswith("timing:")][0]
    first = [n for n, line in enumerate(text) if line.startswith("regions:")][0] + 1
    open(f"{cluster}/larger.yaml", "w").write("\n".join(text[:end] + block + text[end:]))
    open(f"{cluster}/wrong.yaml", "w").write("\n".join(text[:first] + block + text[first:]))
    check("not in this node's cluster file" in ask(east, f"/v1/regions/{south}", "PUT")[1] or
          "no region" in ask(east, f"/v1/regions/{south}", "PUT")[1], "nodes with the old file know of no such region")

    # --- the nodes that are there get it, one after the other
    for region in founding:
        # Its clients go elsewhere before it goes.
        ctl("region", "drain", region, "--reason", "a new cluster file", file="cluster.yaml")
        said_by_edge(region, "is out")
        check(servers.stop_one("node", region) == 0, f"the node of {region} is stopped")
        if region == east:
            refused = subprocess.run([evercert, "node", "--cluster", f"{cluster}/wrong.yaml", "--region", east, "--data", f"{work}/data-{east}"],
                                     capture_output=True, text=True, timeout=30)
            check(refused.returncode != 0 and "new ones behind them" in refused.stderr + refused.stdout, "a file with the regions in another order is refused")
        servers.start("node", region, file="larger.yaml")
        wait_for("it is back", lambda: led(region, 4), 30)
        ctl("region", "unfence", region, file="cluster.yaml")
        wait_for("and ready", lambda: ask(region, "/readyz")[0] == 200, 30)
        said_by_edge(region, "is back")
        if region == east:
            status, said = ask(east, f"/v1/regions/{south}", "PUT")
            check(status == 409 and "us-west-2/1" in said and "eu-central-1/1" in said, f"it is not added before all have the file: {said}")
    check(state(south) == "not added", "a region that only stands in the file is none yet")
    servers.start("node", south, file="larger.yaml")
    wait_for("its node runs", lambda: ask(south, "/v1/status")[0] == 200, 20)
    wait_for("it has heard who the others are", lambda: "none of the cluster's yet" in ask(south, "/readyz")[1], 30)
    check(ask(south, "/readyz")[0] == 503, "and serves nobody")
    check(len(ask(east, "/v1/status")[1]["groups"]) == 4, "its home group has not begun")

    # --- it is added
    begun = time.monotonic()
    said = ctl("region", "add", south, "--reason", "clients in the south")
    wait_for("it serves", lambda: state(south) == "serving", 40)
    print(f"      it serves {time.monotonic() - begun:.1f} s after it was asked for")
    check(all(led(region, 5) for region in regions), "its home group has a leader that everybody knows")
    check("409" in ctl("region", "add", east, exit_code=2), "a region is added once")
    document = json.loads(ctl("--json", "node", "list"))
    check(all(one["state"] == "voter" and one["votes_in"] == 5 for one in document["nodes"]) and len(document["nodes"]) == 4, "all nodes vote in all groups")
    wait_for("its node is ready", lambda: ask(south, "/readyz")[0] == 200, 30)

    # --- the edges get the file too; the new one begins
    for region in founding:
        clients[region].pause.set()  # its clients have no edge for a moment
        clients[region].paused.wait(20)
        servers.stop_one("edge", region)
        servers.start("edge", region, file="larger.yaml")
        wait_for("the edge is up", lambda: edge_is_up(region), 20)
        clients[region].pause.clear()
    servers.start("edge", south, file="larger.yaml")
    wait_for("the new edge is up", lambda: edge_is_up(south), 20)
    clients[south] = client_of(south)
    clients[south].start()
    wait_for("clients issue in the new region", lambda: len(clients[south].issued) > 10, 20)
    ours = [one for one in clients[south].issued if one["region"] == south]
    check(len(ours) > 5, f"with its own key: {len(ours)} of {len(clients[south].issued)}")
    check(ours[-1]["serial"].lower().startswith("04"), "and serial numbers of its own")

    # --- what it issued is known, and revoked, everywhere
    certificate = f"{work}/certificate.pem"
    chosen = ours[-1]
    open(certificate, "w").write(next(chosen[key] for key in ("certificate", "pem", "chain") if key in chosen))
    for region in regions:
        said = ocsp(region, certificate)
        check(": good" in said, f"the edge of {region} calls its certificate good: {said.strip()[:60]}")
    ctl("--region", west, "revoke", chosen["serial"], "--reason", "keyCompromise")
    for region in regions:
        said = ocsp(region, certificate)
        check(": revoked" in said, f"the edge of {region} calls it revoked at once")
    crl = f"{work}/south.crl"

    def listed():
        subprocess.run(["curl", "-s", "-o", crl, f"http://127.3.0.1:8080/crl/{south}.crl"], check=True)
        shown = subprocess.run(["openssl", "crl", "-inform", "DER", "-in", crl, "-noout", "-text"], capture_output=True, text=True).stdout
        return chosen["serial"].upper().lstrip("0") in shown.replace(":", "").upper()
    wait_for("its CRL, from another region, names it", listed, 20)
    check(listed(), "its CRL names it, in another region")

    for client in clients.values():
        client.on = False
    for client in clients.values():
        client.join(30)
    failed = [f"{region}: {failure}" for region, client in clients.items() for failure in client.failed]
    issued = sum(len(client.issued) for client in clients.values())
    check(not failed, f"no request failed of {issued}, the longest took {max(client.longest for client in clients.values()):.2f} s: {failed[:3]}")

    # --- it counts: with another region gone the three that are left go on
    servers.kill(central)
    issue = lambda region: subprocess.run([evercert, "ctl", "--cluster", f"{cluster}/larger.yaml", "--region", region, "--json", "issue", f"{work}/csr.pem"],
                                          capture_output=True, text=True, timeout=60).returncode == 0
    wait_for("with a region gone the new one's vote counts", lambda: issue(south), 20)
    check(issue(east) and issue(west) and issue(south), "and certificates are issued in all that are left")
    print(f"adding a region: {checks.count} passed, 0 failed")
finally:
    servers.end()
