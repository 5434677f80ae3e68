#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A region is taken away from a cluster while clients go on in all regions: it is drained, removed, and stopped. What it issued stays known and is
revoked in the others."""
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
work = tempfile.mkdtemp(prefix="evercert-removal-")
cluster = os.path.join(work, "cluster")
regions = east, west, south, central = ["us-east-1", "us-west-2", "ap-south-1", "eu-central-1"]
left = [east, west, central]
servers = Servers(evercert, work, cluster)
operator = Operator(evercert, cluster)
ctl = operator.ctl


def ask(region, path, method="GET"):
    return ask_node(f"127.{regions.index(region) + 1}.0.11", path, method, open(f"{cluster}/operator/token").read().strip())


def led(region):
    status, document = ask(region, "/v1/status")
    return status == 200 and len(document["groups"]) == 5 and all(group["leader"] for group in document["groups"])


def shown(region, file="cluster.yaml"):
    return [one for one in json.loads(ctl("--json", "region", "list", file=file))["regions"] if one["region"] == region][0]


def client_of(region):
    return Client(cluster, f"{work}/csr.pem", [regions.index(region) + 1])


def said_by_edge(region, what):
    """The region's edge has seen what became of its node."""
    wait_for(f"the edge of {region} says that its node {what}", lambda: open(f"{work}/edge-{region}.log").read().strip().endswith(what), 20)


def ocsp(url, certificate):
    """What is said there of a certificate of the removed region."""
    return subprocess.run(["openssl", "ocsp", "-issuer", f"{cluster}/public/{south}.pem", "-cert", certificate, "-CAfile", f"{cluster}/public/bundle.pem",
                           "-url", url, "-no_nonce"], capture_output=True, text=True).stdout


def at_edge(region):
    return f"http://127.{regions.index(region) + 1}.0.1:8080/ocsp"


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", ",".join(regions)], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("all regions are ready", lambda: all(led(region) and ask(region, "/readyz")[0] == 200 for region in regions), 40)
    clients = {region: client_of(region) for region in regions}
    for client in clients.values():
        client.start()
    wait_for("clients issue", lambda: all(len(client.issued) > 5 for client in clients.values()), 20)
    # Its edge may have looked at its node before that was there.
    wait_for("the region that is to go issues by itself", lambda: any(one["region"] == south for one in clients[south].issued), 20)
    ours = [one for one in clients[south].issued if one["region"] == south]
    check(ours and ours[0]["serial"].lower().startswith("03"), "the region that is to go has issued some with its own key")
    certificate = f"{work}/certificate.pem"
    open(certificate, "w").write(next(ours[0][key] for key in ("certificate", "pem", "chain") if key in ours[0]))

    # --- what is refused
    check("409" in ctl("region", "remove", south, "--yes", exit_code=2), "a region that serves is not removed")
    check("no region 'mars'" in ctl("region", "remove", "mars", "--yes", exit_code=2), "nor one that there is not")
    check(ask(east, "/v1/regions/mars", "DELETE")[0] == 404, "which is a 404 by REST")

    # --- drained, and removed
    ctl("region", "drain", south, "--reason", "the lease of the building ends")
    said_by_edge(south, "is out")
    check("nothing was changed" in ctl("region", "remove", south, exit_code=1, typed="us-east-1\n"), "the name is to be typed again")
    check(shown(south)["state"] == "draining", "and nothing has changed without it")
    begun = time.monotonic()
    said = ctl("region", "remove", south, "--reason", "the lease of the building ends", typed=f"{south}\n")
    print(f"      its nodes are out of all groups {time.monotonic() - begun:.1f} s after it was asked for")
    check("out of all groups" in said, f"it is removed, and its nodes with it: {said}")
    check(shown(south)["state"] == "removed" and shown(south)["fence"]["groups_done"] == 4, "the list says so")
    check(shown(south)["crls"]["signed_by"] == central, "another region signs its CRLs")
    document = json.loads(ctl("--json", "node", "list"))
    votes = {one["region"]: one["votes_in"] for one in document["nodes"]}
    check(document["done"] and votes == {east: 5, west: 5, central: 5, south: 0}, f"the nodes of the others vote, in all groups: {votes}")
    wait_for("its own node has heard of it", lambda: "removed from the cluster" in ask(south, "/readyz")[1], 20)
    for verb in ("unfence", "drain", "fence"):
        check("for good" in ctl("region", verb, south, exit_code=2), f"'{verb}' comes too late")
    check("for good" in ctl("region", "add", south, exit_code=2), "and so does 'add'")
    check("409" in ctl("region", "remove", south, "--yes", exit_code=2), "it is removed once")
    check("for good" in ctl("node", "add", f"{south}/1", exit_code=2), "its nodes are none any more")

    # --- what it issued is known, and revoked, everywhere else
    for region in left:
        check(": good" in ocsp(at_edge(region), certificate), f"the edge of {region} calls its certificate good")
    ctl("--region", west, "revoke", ours[0]["serial"], "--reason", "keyCompromise")
    for region in regions:
        said = ocsp(at_edge(region), certificate)
        check(": revoked" in said, f"the edge of {region} calls it revoked at once")
    said = ocsp(f"http://127.{regions.index(south) + 1}.0.11:9080/ocsp", certificate)
    check(": good" not in said, "and the node that was left behind does not call it good")
    crl = f"{work}/south.crl"

    def listed():
        subprocess.run(["curl", "-s", "-o", crl, f"http://127.1.0.1:8080/crl/{south}.crl"], check=True)
        text = subprocess.run(["openssl", "crl", "-inform", "DER", "-in", crl, "-noout", "-text"], capture_output=True, text=True).stdout
        return ours[0]["serial"].upper().lstrip("0") in text.replace(":", "").upper()
    wait_for("its CRL, signed by another, names it", listed, 30)
    check(listed(), "its CRL, signed by another, names it")

    # --- it goes: its clients first, then its servers
    clients[south].on = False
    clients[south].join(30)
    servers.stop_one("edge", south)
    servers.stop_one("node", south)
    text = open(f"{cluster}/cluster.yaml").read().split("\n")
    first = [n for n, line in enumerate(text) if line.strip() == f"- name: {south}"][0]
    end = [n for n, line in enumerate(text) if n > first and (line.startswith("  - name:") or (line and not line.startswith(" ")))][0]
    smaller = "\n".join(text[:first] + [f"  - {{name: {south}, removed: true}}"] + text[end:])
    open(f"{cluster}/smaller.yaml", "w").write(smaller)
    for region in left:
        ctl("region", "drain", region, "--reason", "a new cluster file")
        said_by_edge(region, "is out")
        check(servers.stop_one("node", region) == 0, f"the node of {region} is stopped")
        servers.start("node", region, file="smaller.yaml")
        wait_for("it is back", lambda: led(region), 30)
        ctl("region", "unfence", region)
        wait_for("and ready", lambda: ask(region, "/readyz")[0] == 200, 30)
        said_by_edge(region, "is back")
    refused = subprocess.run([evercert, "node", "--cluster", f"{cluster}/smaller.yaml", "--region", south, "--data", f"{work}/data-{south}"],
                             capture_output=True, text=True, timeout=30)
    check(refused.returncode != 0 and "was removed" in refused.stderr + refused.stdout, "with that file its node does not start")
    check(shown(south, "smaller.yaml")["state"] == "removed", "the record goes on saying so")

    for client in clients.values():
        client.on = False
    for client in clients.values():
        client.join(30)
    failed = [f"{region}: {failure}" for region, client in clients.items() for failure in client.failed]
    issued = sum(len(client.issued) for client in clients.values())
    check(not failed, f"no request failed of {issued}, the longest took {max(client.longest for client in clients.values()):.2f} s: {failed[:3]}")
    late = [one for client in clients.values() for one in client.issued[-20:] if one["region"] == south]
    check(not late, "and nothing is issued by the removed region's key any more")

    # --- three regions bear the loss of one, as three regions do
    servers.kill(central)
    issue = lambda region: operator.run("--region", region, "--json", "issue", f"{work}/csr.pem", file="smaller.yaml").returncode == 0
    wait_for("with another region gone the two that are left go on", lambda: issue(east), 20)
    check(issue(west), "and certificates are issued in both")
    print(f"removing a region: {checks.count} passed, 0 failed")
finally:
    servers.end()
