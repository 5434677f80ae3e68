#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who serves: an operator fences, drains and puts back a region by ctl; a region that dies is fenced by the others and
admitted again when it returns. Three real regions."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from servers import Servers
from checks import check, wait_for
from operators import Operator
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-membership-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster).ctl
start, kill, processes = servers.start, servers.kill, servers.processes


def members():
    document = json.loads(ctl("--json", "region", "list"))
    return document["epoch"], {one["region"]: one for one in document["regions"]}


def state(region):
    return members()[1][region]["state"]


def issue_at(region):
    """Asks the region's own node through its edge, so that the edge's choice of another region shows."""
    done = subprocess.run([evercert, "ctl", "--cluster", f"{cluster}/cluster.yaml", "--region", region, "--json", "issue", f"{work}/csr.pem"],
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr}


def issues_itself(region):
    return issue_at(region).get("region") == region


def ask_node(region, path, body=None):
    """The node behind the edge: what an edge would be told."""
    request = urllib.request.Request(f"http://127.{regions.index(region) + 1}.0.11:9080{path}", data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer " + open(f"{cluster}/operator/token").read().strip()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError as error:
        return 0, str(error)


def ready(region):
    return ask_node(region, "/readyz")


def ask_edge_ready(region):
    try:
        with urllib.request.urlopen(f"http://127.{regions.index(region) + 1}.0.1:8080/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def ask_to_issue(region):
    return ask_node(region, "/v1/certificates", {"csr": open(f"{work}/csr.pem").read(), "profile": "server"})


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    for region in regions:
        start("node", region)
        start("edge", region)
    east, west, central = regions
    wait_for("all regions issue", lambda: all(issues_itself(region) for region in regions), 30)
    # What is done by hand here is not for the failover controller to undo.
    with open(f"{work}/policy.json", "w") as file:
        json.dump({"modes": {"region": "manual"}}, file)
    ctl("failover", "policy", "set", f"{work}/policy.json")
    before, all_members = members()
    check(all(one["state"] == "serving" for one in all_members.values()), "all regions serve")

    # --- an operator fences
    shown = ctl("region", "fence", west, "--reason", "its HSM was stolen")
    check(f"epoch {before + 1}" in shown and "in 3 of 3 groups" in shown, "a fence makes an epoch and is carried out in all groups")
    epoch, all_members = members()
    check(epoch == before + 1 and all_members[west]["state"] == "fenced" and all_members[west]["reason"] == "its HSM was stolen", "every region shows it")
    wait_for("the fenced node knows it", lambda: ready(west)[0] == 503, 10)
    code, problem = ask_to_issue(west)
    check(code == 503 and all(word in json.loads(problem)["detail"] for word in ("fenced since", "its HSM was stolen", "unfence", f"epoch {epoch}")),
          "its node refuses to sign and says since when, why and what to do")
    check("fenced by" in ready(west)[1], "it is not ready, and says that it is fenced")
    check(issue_at(west).get("region") in (east, central), "what comes to its edge is issued by another region")
    issued = issue_at(east)
    check(issued.get("region") == east and issued["epoch"] == epoch, "the others go on, under the new epoch")
    check("409" in ctl("region", "fence", west, exit_code=2), "fenced is fenced")
    check("no region" in ctl("region", "fence", "mars", exit_code=2), "an unknown region is named")
    check(ask_node(east, "/v1/regions/mars/fence", {"reason": "?"})[0] == 404, "by REST too")
    ctl("region", "fence", east)
    check("no other region serves" in ctl("region", "fence", central, exit_code=2), "the last region that serves cannot be fenced")
    check("no other region serves" in ctl("region", "drain", central, exit_code=2), "or drained")
    ctl("region", "unfence", east)
    ctl("region", "unfence", west)
    wait_for("the region issues again", lambda: issues_itself(west) and issues_itself(east), 20)
    check(issue_at(west)["epoch"] == members()[0], "unfenced, it signs under the present epoch")
    check("409" in ctl("region", "unfence", west, exit_code=2), "serving is serving")

    # --- and drains
    ctl("region", "drain", east, "--reason", "new switches")
    wait_for("the leaders leave", lambda: all(not group["leads_here"] for group in json.loads(ask_node(east, "/v1/status")[1])["groups"]), 10)
    check(ready(east)[0] == 503 and "drained by" in ready(east)[1] and "new switches" in ready(east)[1], "a drained region is not ready and says so")
    wait_for("its edge says the same", lambda: ask_edge_ready(east)[0] == 503 and "drained by" in ask_edge_ready(east)[1], 10)
    code, issued = ask_to_issue(east)
    check(code == 201 and json.loads(issued)["region"] == east, "what comes to it still works")
    check("draining" in ctl("status"), "ctl status shows it")
    ctl("region", "unfence", east)
    wait_for("the leaders come home", lambda: any(group["leads_here"] for group in json.loads(ask_node(east, "/v1/status")[1])["groups"]), 10)
    wait_for("its edge sends it what comes", lambda: issues_itself(east), 10)
    check(ready(east)[0] == 200 and ask_edge_ready(east)[0] == 200, "undrained, it is ready")

    # --- a region dies
    epoch = members()[0]
    kill(central)
    died = time.monotonic()
    wait_for("the region is fenced", lambda: state(central) == "fenced", 20)
    fenced_after = time.monotonic() - died
    check(fenced_after > 2, f"not by a short silence: it took {fenced_after:.1f} s")
    now, all_members = members()
    check(now == epoch + 1 and all_members[central]["by"] == "attested" and "2 of 3 regions attest" in all_members[central]["reason"], "a majority attested it")
    check(issues_itself(east) and issues_itself(west), "the two others go on")
    start("node", central)
    start("edge", central)
    back = time.monotonic()
    wait_for("it is admitted again", lambda: state(central) == "serving", 20)
    print(f"      fenced {fenced_after:.1f} s after its death, admitted {time.monotonic() - back:.1f} s after its start")
    check(members()[0] == epoch + 2, "by another epoch")
    wait_for("it issues again", lambda: issues_itself(central), 20)
    check(True, "admitted, it issues")

    # --- an operator's fence is not undone by itself
    ctl("region", "fence", central)
    time.sleep(6)
    check(state(central) == "fenced", "who is well and fenced by an operator stays fenced")
    ctl("region", "unfence", central)
    wait_for("it issues again", lambda: issues_itself(central), 20)

    # --- two regions are lost for good
    issued = issue_at(west)
    kill(east)
    kill(west)
    check("failed" in issue_at(central), "one region of three issues nothing")
    recover = [evercert, "recover", "--cluster", f"{cluster}/cluster.yaml", "--region", central, "--data", os.path.join(work, "data-" + central), "--by", "alice"]
    running = subprocess.run(recover, input=central + "\n", capture_output=True, text=True)
    check(running.returncode == 1 and "in use by another process" in running.stderr, "a node that runs is not recovered")
    kill(central)
    refused = subprocess.run(recover, input="yes\n", capture_output=True, text=True)
    check(refused.returncode == 1 and "nothing was changed" in refused.stderr and "What may be lost" in refused.stdout, "recovery says what may be lost, and wants the region's name")
    done = subprocess.run(recover, input=central + "\n", capture_output=True, text=True)
    check(done.returncode == 0 and any(name.startswith("reformed-") for name in os.listdir(recover[7])), f"with it, the node is made the only voter, and a record stays {done.stderr}")
    start("node", central)
    start("edge", central)
    wait_for("the region issues alone", lambda: issues_itself(central), 20)

    def lost_is_written_down(lost):
        record = members()[1][lost]
        return record["state"] == "fenced" and record["by"] == "alice" and "made anew without it" in record["reason"]

    # The new leader writes it down in its first round, which an issuance may overtake.
    wait_for("the lost regions are fenced, and the record says why", lambda: lost_is_written_down(east) and lost_is_written_down(west), 10)
    check("good" in ctl("--region", central, "ocsp", issued["serial"]), "what they had issued is known")
    start("node", east)
    time.sleep(3)
    check(issues_itself(central) and state(east) == "fenced", "one that comes back after all is not heard")

    # --- new machines take the place of the lost ones
    servers.stop_one("node", east)
    written = next(name for name in os.listdir(recover[7]) if name.startswith("reformed-") and name.endswith(".json"))
    carried = shutil.copy(os.path.join(recover[7], written), os.path.join(work, "carried.json"))

    def join(region):
        return subprocess.run([evercert, "recover", "--join", carried, "--cluster", f"{cluster}/cluster.yaml", "--region", region, "--data", os.path.join(work, "data-" + region)],
                              capture_output=True, text=True)
    refused = join(east)
    check(refused.returncode != 0 and "has been part of a cluster" in refused.stderr, f"with its old disk a node joins nothing else {refused.stderr}")
    refused = join(central)
    check(refused.returncode != 0 and "one of those that go on" in refused.stderr, f"who goes on joins nothing {refused.stderr}")
    for region in (east, west):
        shutil.move(os.path.join(work, "data-" + region), os.path.join(work, "old-" + region))
        joined = join(region)
        check(joined.returncode == 0 and f"ctl node add {region}/1" in joined.stdout, f"an empty disk joins, and what is next is told {joined.stderr}")
        start("node", region)
        start("edge", region)
        for _ in range(30):
            added = subprocess.run([evercert, "ctl", "--cluster", f"{cluster}/cluster.yaml", "--region", central, "node", "add", f"{region}/1"], capture_output=True, text=True)
            if added.returncode == 0:
                break
            time.sleep(1)
        check(added.returncode == 0, f"it is made a node of the cluster {added.stderr}")
        ctl("--region", central, "region", "unfence", region)
        wait_for("its region serves again", lambda: state(region) == "serving", 30)
        wait_for("and issues", lambda: issues_itself(region), 30)
    check("good" in ctl("--region", east, "ocsp", issued["serial"]), "it knows what was issued before the disaster")
    kill(central)
    wait_for("the cluster bears the loss of a region again", lambda: issues_itself(east) and issues_itself(west), 30)
    print(f"membership: {checks.count} passed, 0 failed")
finally:
    servers.end()
