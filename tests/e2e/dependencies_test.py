#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a node depends on, broken one by one under real processes: its resolver, its clock, its issuing key in a token whose other keys are well, and the majority of each group.
Each time the score falls with the reason, of that service alone, and rises again when the thing is mended."""
import os
import subprocess
import sys
import tempfile

import checks
from checks import check, wait_for
from clients import ask_node
from names import Names
from operators import well_in_all_eyes
from servers import Servers
from tokens import VanishingKey

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-dependencies-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
names = Names({})
clock = os.path.join(work, "clock")
preloaded = {"LD_PRELOAD": os.path.join(work, "false_clock.so"), "FALSE_CLOCK": clock}
fixtures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures")


def seen(at, region):
    status, document = ask_node(f"127.{regions.index(at) + 1}.0.11", "/v1/health")
    return next((one for one in document["regions"] if one["region"] == region), {}) if status == 200 else {}


def service(at, region, name):
    """Score and words."""
    one = seen(at, region).get("services", {}).get(name, {})
    return one.get("score"), one.get("text", "")


def falls(name, score, words, seconds, region=central, at=central):
    wait_for(f"{name} of {region} falls to {score}", lambda: service(at, region, name)[0] == score, seconds)
    text = service(at, region, name)[1]
    check(all(word in text for word in words), f"{name} falls to {score}, and says why: {text}")


def rises(name, seconds, region=central, at=central):
    wait_for(f"{name} of {region} rises again", lambda: service(at, region, name)[0] == 100, seconds)
    check(True, f"{name} rises again when it is mended")


def set_clock(offset):
    with open(clock + ".new", "w") as file:
        file.write(f"{offset}\n")
    os.rename(clock + ".new", clock)


try:
    set_clock(0)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", preloaded["LD_PRELOAD"], f"{fixtures}/false_clock.c"], check=True)
    subprocess.run([evercert, "init", cluster, "--timing", "loopback"], check=True, capture_output=True)
    with open(f"{cluster}/cluster.yaml") as file:
        text = file.read()
    check("acme: {" in text and "resolver" not in text, "the cluster file has no resolver yet")
    with open(f"{cluster}/cluster.yaml", "w") as file:
        file.write(text.replace("acme: {", f'acme: {{resolver: "{names.server}", '))
    for region in regions:
        servers.start("node", region, environment=preloaded if region == central else None)
    wait_for("all is well in all eyes", well_in_all_eyes, 60)
    check({"resolver", "followed groups", "clock", "certificates", "database", "HSM"} <= set(seen(east, central)["services"]), "every dependency is one of the services")

    # --- the issuing key alone is gone: what signs OCSP answers in the same token does not show it
    key = VanishingKey(cluster, central, "issuing")
    key.vanish()

    # --- meanwhile: nobody resolves names
    names.silent = True
    falls("resolver", 75, ["resolver", "no DNS answer"], 40)
    check(service(central, central, "database")[0] == 100 and not seen(east, east)["out"], "the rest is as before, and no region is out for it")
    names.silent = False
    rises("resolver", 40)

    # --- meanwhile: the clock is off, first a little, then so that nothing is signed
    set_clock(6)
    wait_for("the clock costs points", lambda: 40 < (service(central, central, "clock")[0] or 0) < 60, 20)
    check("ahead of the median" in service(central, central, "clock")[1], "a clock that is 6 s off costs half of the points, and says so")
    set_clock(-30)
    falls("clock", 0, ["30.0 s behind the median", "nothing is signed"], 20)
    set_clock(0)
    rises("clock", 20)

    falls("certificates", 0, ["certificates down", "no key 'issuing'"], 100)
    wait_for("others see it too", lambda: service(east, central, "certificates")[0] == 0, 20)
    check(service(central, central, "HSM")[0] == 100, "though the token and its other keys are well")
    wait_for("nobody is sent to a region that cannot issue", lambda: seen(east, central).get("out"), 30)
    check(seen(east, central)["out"], "a region that cannot issue is out in others' eyes")
    key.come_back()
    rises("certificates", 80)

    # --- no majority: every group is named, those that this region needs and those that it follows
    for region in (east, west):
        servers.processes["node", region].kill()
        servers.processes["node", region].wait()
    falls("database", 0, ["no fresh read of global, eu-central-1"], 60)
    falls("followed groups", 75, ["no fresh read of us-east-1, us-west-2"], 60)
    for region in (east, west):
        servers.start("node", region)
    rises("database", 60)
    rises("followed groups", 60)
    wait_for("all regions have full scores again", lambda: all(seen(at, region).get("score") == 100 for at in regions for region in regions), 90)
    print(f"{checks.count} checks passed")
finally:
    servers.end()
