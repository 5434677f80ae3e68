#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does not fit is refused, with the reason and the way out: a cluster file that is not the data folder's, a foreign cluster's node, a second process
with one identity, data of a newer version. Three real regions."""
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

from servers import Servers
from checks import check, wait_for
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-refusal-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
east, west, central = regions
servers = Servers(evercert, work, cluster)
extra = []


def data(region):
    return os.path.join(work, "data-" + region)


def log_of(region):
    return open(os.path.join(work, f"node-{region}.log")).read()


def node_command(file, region, folder, zone=1):
    return [evercert, "node", "--die-with-parent", "--cluster", file, "--region", region, "--zone", str(zone), "--data", folder]


def refused(command, *words, seconds=20):
    """The process ends by itself with an error that says all of it."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    missing = [word for word in words if word not in done.stderr]
    assert done.returncode != 0 and not missing, f"exit status {done.returncode}, without {missing}: {done.stderr}"
    return True


def start_elsewhere(name, file, region, folder):
    """Another process, whose log is a file of its own."""
    path = os.path.join(work, name + ".log")
    extra.append(subprocess.Popen(node_command(file, region, folder), stdout=open(path, "w"), stderr=subprocess.STDOUT))
    return extra[-1], lambda: open(path).read()


def changed_file(directory, name, *changes):
    """A copy of the cluster file beside it, with words changed."""
    text = open(f"{directory}/cluster.yaml").read()
    for old, new in changes:
        assert old in text, f"{old} is not in the cluster file"
        text = text.replace(old, new)
    path = f"{directory}/{name}.yaml"
    open(path, "w").write(text)
    return path


def contents(folder):
    """Every byte of it, but for the lock, which says who looked last."""
    all_files = {}
    for base, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(base, name)
            if name not in ("lock", "LOCK"):
                all_files[path] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return all_files


def ready(region):
    try:
        with urllib.request.urlopen(f"http://127.{regions.index(region) + 1}.0.11:9080/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def all_ready():
    return all(ready(region) for region in regions)


try:
    file = f"{cluster}/cluster.yaml"
    foreign = os.path.join(work, "foreign")
    for directory in (cluster, foreign):
        subprocess.run([evercert, "init", directory, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
    wait_for("all regions are ready", all_ready, 30)

    # --- one identity, one process
    for _ in range(6):
        servers.processes["node", central].kill()
        servers.processes["node", central].wait()
        servers.start("node", central)
        time.sleep(0.4)
    check(refused(node_command(file, east, data(east)), data(east), f"in use by another process ({servers.processes['node', east].pid})", "--data"),
          "a second process on the same folder is refused, and told who has it")
    elsewhere = changed_file(cluster, "elsewhere", ("address: 127.1.0.11", "address: 127.1.0.97"))
    check(refused(node_command(elsewhere, east, os.path.join(work, "copied")), "refuses this node", "runs already", "127.1.0.11", "127.1.0.97", "same identity", "End one of them"),
          "a second process on another machine is refused by its peers, and stops")
    check(all(f"refused: node 257" in log_of(region) and "runs already" in log_of(region) for region in (west, central)), "their logs name both")
    check(servers.processes["node", east].poll() is None and all_ready(), "the first one goes on")
    wait_for("all are ready", all_ready, 20)
    check(servers.processes["node", central].poll() is None, "a node that was killed and started again and again is no second one")
    check(not any("node 769 (" in line and "runs already" in line for region in (east, west) for line in log_of(region).splitlines()), "and nobody says so")

    # --- a foreign cluster's node
    stranger, its_log = start_elsewhere("stranger", changed_file(foreign, "moved", ("address: 127.1.0.11", "address: 127.1.0.98")), east, os.path.join(work, "stranger"))
    wait_for("the stranger says why nobody hears it", lambda: "do not come from the same root" in its_log() and "public/root.pem" in its_log(), 15)
    wait_for("those it asked say so too", lambda: all("a connection from ipv4:127.1.0.98 was refused" in log_of(region) and "public/root.pem" in log_of(region) for region in (west, central)), 15)
    check(True, "a node with another root is refused, and both logs say why")
    stranger.kill()
    ident = next(line for line in open(file) if line.strip().startswith("id: ")).split()[1]
    other_id = ("0" if ident[0] != "0" else "1") + ident[1:]
    stranger, its_log = start_elsewhere("renamed", changed_file(cluster, "renamed", (ident, other_id), ("address: 127.1.0.11", "address: 127.1.0.99")), east, os.path.join(work, "renamed"))
    wait_for("it says why nobody hears it", lambda: f"belongs to cluster {other_id}, and this node to cluster {ident}" in its_log(), 15)
    wait_for("those it asked say so too", lambda: all(f"refused: node 257" in log_of(region) and f"belongs to cluster {other_id}" in log_of(region) for region in (west, central)), 15)
    check(True, "a node with our root and another cluster's id is refused, and both logs say why")
    stranger.kill()
    check(all_ready(), "the cluster never minded")

    # --- files and folders that do not fit
    for region in regions:
        servers.processes["node", region].kill()
        servers.processes["node", region].wait()
    before = contents(data(east))
    check(len(before) > 3, "a node leaves its log and its state")
    check(refused(node_command(f"{foreign}/cluster.yaml", east, data(east)), data(east), f"{foreign}/cluster.yaml", ident, "--cluster"), "another cluster's file is refused")
    check(refused(node_command(file, west, data(east)), data(east), "holds the data of region 'us-east-1', zone 1", "not of region 'us-west-2'"), "another node's folder is refused")
    check(refused(node_command(file, "mars", data(east)), file, "no region 'mars'", "us-east-1, us-west-2, eu-central-1"), "a region that the file does not name is refused")
    check(refused(node_command(file, east, data(east), zone=2), file, "no zone 2"), "so is a zone")
    swapped = changed_file(cluster, "swapped", ("name: us-east-1", "name: x-x"), ("name: us-west-2", "name: us-east-1"), ("name: x-x", "name: us-west-2"))
    check(refused(node_command(swapped, east, data(east)), swapped, "region number 1", "never changes", "us-east-1, us-west-2, eu-central-1"), "regions in another order are refused")
    recover = [evercert, "recover", "--cluster", f"{foreign}/cluster.yaml", "--region", east, "--data", data(east), "--yes"]
    check(refused(recover, data(east), ident), "by 'evercert recover' too")
    check(contents(data(east)) == before, "nothing of it was changed")

    # --- a newer version's data
    identity = os.path.join(data(east), "identity")
    text = open(identity).read()
    open(identity, "w").write(text.replace("format 2", "format 3"))
    before = contents(data(east))
    check(refused(node_command(file, east, data(east)), identity, "newer version", "format 3", "Nothing was changed"), "a newer version's folder is refused")
    check(contents(data(east)) == before, "nothing of it was changed")
    open(identity, "w").write(text)
    for region in regions:
        servers.start("node", region)
    wait_for("what fits goes on", all_ready, 30)
    check(True, "what fits goes on")
    print(f"refusal: {checks.count} passed, 0 failed")
finally:
    servers.end(extra)
