#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A region whose edges are dead while its nodes are well carries nothing: nobody reaches it. Three real regions. The edge of one is killed and started again."""
import json
import os
import subprocess
import sys
import tempfile

import checks
from checks import check, wait_for
from operators import Operator, well_in_all_eyes
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-capacity-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
ctl = Operator(evercert, cluster).run


def carried():
    out = ctl("--json", "capacity").stdout
    return json.loads(out) if out.startswith("{") else {}


def of(region):
    return next((one for one in carried().get("regions", []) if one["region"] == region), {})


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    for region in regions:
        servers.start("node", region)
        servers.start("edge", region)
    wait_for("all is well in all eyes", well_in_all_eyes, 60)
    wait_for("what the edges of all regions have is known", lambda: all(of(region).get("edges_cores") for region in regions), 60)
    before = carried()
    check(before["regions_may_fail"]["now"] == 2 and not any(one["carries_nothing"] for one in before["regions"]), "two of three idle regions may fail")

    dead = servers.processes["edge", central]
    dead.kill()
    dead.wait()
    wait_for("the region counts as nothing", lambda: of(central).get("carries_nothing"), 60)
    after, one = carried(), of(central)
    check(one["nodes"] == 1 and one["cores"] > 0 and one["most_requests_per_second"] == 0, "though its node and its processors are well")
    check(one["carries_nothing"] == "none of its 1 edges answers: no client reaches its nodes", f"the reason is told: {one['carries_nothing']}")
    check(after["regions_may_fail"]["now"] == 1 and after["cores"] < before["cores"], "one region less may fail")
    shown = ctl("capacity").stdout
    check("eu-central-1 counts as nothing: none of its 1 edges answers" in shown, "ctl capacity says so")

    servers.start("edge", central)
    wait_for("it counts again", lambda: of(central).get("carries_nothing", "") is None and of(central).get("edges_cores"), 60)
    check(carried()["regions_may_fail"]["now"] == 2, "and two regions may fail again")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
