#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two regions and a witness: either region is killed under load and no client of the other fails; the witness keeps no record of any of it, has no
interface, and is neither fenced nor gone on with."""
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
work = tempfile.mkdtemp(prefix="evercert-witness-")
cluster = os.path.join(work, "cluster")
regions = east, west, watch = ["us-east-1", "us-west-2", "eu-central-1"]
storing = [east, west]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster).ctl


def ask(region, path):
    return ask_node(f"127.{regions.index(region) + 1}.0.11", path)


def ready(region):
    return ask(region, "/readyz")[0] == 200


def state(region):
    return {one["region"]: one["state"] for one in json.loads(ctl("--json", "region", "list"))["regions"]}[region]


def leaders():
    """Regions that lead a group, as the witness knows it."""
    return {group["leader"] // 256 for group in ask(watch, "/v1/status")[1]["groups"]}


def size_of(folder):
    return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(folder) for name in names)


def found_in(folder, needles):
    """Which of the byte strings stand somewhere in the files below."""
    text = b"".join(open(os.path.join(root, name), "rb").read() for root, _, names in os.walk(folder) for name in names)
    return [needle for needle in needles if needle in text]


def client(number):
    """Of one region's edge first, and of the other's when that one does not answer."""
    own = storing[number % 2]
    return Client(cluster, f"{work}/csr.pem", [regions.index(region) + 1 for region in sorted(storing, key=lambda region: region != own)])


def go_on(clients, more, seconds):
    """Each of them issues so many more."""
    before = [len(client.issued) for client in clients]
    wait_for("clients issue", lambda: all(len(c.issued) >= b + more for c, b in zip(clients, before)), seconds)


def everybody_has(certificates, region):
    status = ask(region, "/v1/status")
    return status[0] == 200 and status[1]["certificates"] >= certificates


try:
    refused = subprocess.run([evercert, "init", cluster, "--keys", "files", "--regions", "a,b", "--witness", "b"], capture_output=True, text=True)
    check(refused.returncode != 0 and "two regions at least" in refused.stderr, "a witness of one region is refused, and why is said")
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--witness", watch], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    check(not any(os.path.exists(f"{cluster}/regions/{watch}/{name}") for name in ("issuing.key", "nonce.key")), "init gives the witness no key of a CA")
    for region in regions:
        servers.start("node", region)
    for region in storing:
        servers.start("edge", region)
    wait_for("all three are ready", lambda: all(ready(region) for region in regions), 40)
    check([state(region) for region in regions] == ["serving", "serving", "witness"], "region list says who serves and who watches")
    check(ask(watch, f"/crl/{east}.crl")[0] == 404 and ask(watch, "/v1/status")[0] == 200, "at the witness's port there is its state and nothing else")
    for command in ("fence", "drain", "unfence"):
        check("is a witness" in ctl("region", command, watch, exit_code=2), f"the witness cannot be made to {command}, and why is said")
    edge = subprocess.run([evercert, "edge", "--cluster", f"{cluster}/cluster.yaml", "--region", watch], capture_output=True, text=True, timeout=20)
    check(edge.returncode != 0 and "has no edge" in edge.stderr, "and it has no edge")

    clients = [client(number) for number in range(4)]
    for client in clients:
        client.start()
    go_on(clients, 20, 60)
    for gone, left in ((west, east), (east, west)):
        servers.kill(gone)
        go_on(clients, 30, 90)
        wait_for(f"{gone} is fenced", lambda: ctl("--region", left, "--json", "region", "list") and json.loads(ctl("--region", left, "--json", "region", "list"))["regions"][regions.index(gone)]["state"] == "fenced", 40)
        check(True, f"with {gone} killed under load {left} goes on, and the witness's word fences it")
        check(not any(client.failed for client in clients), f"no request failed: {[c.failed for c in clients]}")
        servers.start("node", gone)
        servers.start("edge", gone)
        wait_for(f"{gone} serves again", lambda: state(gone) == "serving" and ready(gone), 60)
        go_on(clients, 10, 60)
    witness_score = lambda: {one["witness"]: one["score"] for one in ask(east, "/v1/health")[1]["witnesses"]}
    wait_for("the witness is on the board of health", lambda: witness_score() == {f"{watch}/1": 100}, 20)
    shown = Operator(evercert, cluster).run("--json", "capacity").stdout
    check(json.loads(shown)["regions_may_fail"]["by_majority"] == 1, "and counts in the majority that issuance needs")
    servers.processes["node", watch].kill()
    servers.processes["node", watch].wait()
    wait_for("its loss is seen", lambda: witness_score() == {f"{watch}/1": 0}, 30)
    wait_for("and told", lambda: "a witness: 0" in Operator(evercert, cluster).run("health").stdout, 20)
    check(Operator(evercert, cluster).run("health").returncode == 1, "by the exit status too")
    go_on(clients, 30, 90)
    check(not any(client.failed for client in clients), "without the witness the two regions go on")
    servers.start("node", watch)
    wait_for("the witness is there again", lambda: ready(watch), 40)
    go_on(clients, 10, 60)
    for client in clients:
        client.on = False
    for client in clients:
        client.join(60)
    issued = [certificate for client in clients for certificate in client.issued]
    check(not any(client.failed for client in clients), f"none of {len(issued)} requests failed; the longest took {max(c.longest for c in clients):.1f} s")
    wait_for("both regions have all of them", lambda: all(everybody_has(len(issued), region) for region in storing), 30)
    check(True, "both regions have every certificate")
    wait_for("no group is led by the witness", lambda: leaders() <= {1, 2}, 20)
    check(ask(watch, "/v1/status")[1]["certificates"] == 0, "the witness counts none")

    # --- what lies on its disk
    servers.stop_one("node", watch)
    servers.stop(east)
    serials = [bytes.fromhex(certificate["serial"]) for certificate in issued]
    kept = found_in(f"{work}/data-{watch}/state", serials)
    full = found_in(f"{work}/data-{east}/state", serials)
    size = size_of(f"{work}/data-{watch}")
    # A region's state is compressed, so not all of its serial numbers are to be seen either.
    check(not kept and len(full) > len(serials) / 20, f"no serial number of {len(serials)} stands in the witness's state; {len(full)} are to be seen in a region's")
    check(size < 64 << 20, f"its folder stays small: {size / 1024:.0f} KiB")
    recover = subprocess.run([evercert, "recover", "--cluster", f"{cluster}/cluster.yaml", "--region", watch, "--zone", "1", "--data", f"{work}/data-{watch}", "--yes"], capture_output=True, text=True)
    check(recover.returncode != 0 and "is a witness" in recover.stderr, "nobody goes on with the witness's log after a disaster")
    with_it = subprocess.run([evercert, "recover", "--cluster", f"{cluster}/cluster.yaml", "--region", east, "--zone", "1", "--data", f"{work}/data-{east}", "--with", watch, "--yes"],
                             capture_output=True, text=True)
    check(with_it.returncode != 0 and "is a witness" in with_it.stderr, "nor with a region and the witness")

    # --- a file that says otherwise
    text = open(f"{cluster}/cluster.yaml").read()
    other = text.replace("    edges:\n      - {address: 127.1.0.1", "    witness: true\n    edges:\n      - {address: 127.1.0.1")
    open(f"{cluster}/other.yaml", "w").write(other)
    checked = subprocess.run([evercert, "config", "check", f"{cluster}/other.yaml"], capture_output=True, text=True)
    check(checked.returncode != 0 and "neither edges nor keys" in checked.stderr, "a witness with edges is refused by 'config check'")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
