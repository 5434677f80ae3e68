#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Anycast with real BGP: two sites and a router, each a network namespace with a BIRD of its own. The router sends the address's traffic to a site while the edge there is ready."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from checks import check, wait_for
from edges import Edges
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-anycast-")
regions = ["us-east-1", "us-west-2"]
east, west = regions
anycast = "198.51.100.53"
processes = {}
spaces = {name: f"evercert-{os.getpid()}-{name}" for name in ["router", *regions]}


def inside(name, *command):
    return ["ip", "netns", "exec", spaces[name], *command]


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def network():
    for space in spaces.values():
        ip("netns", "add", space)
        ip("-n", space, "link", "set", "lo", "up")
    for number, region in enumerate(regions, 1):
        ip("link", "add", f"ec{number}", "netns", spaces["router"], "type", "veth", "peer", "name", "uplink", "netns", spaces[region])
        for space, device, host in ((spaces["router"], f"ec{number}", 1), (spaces[region], "uplink", 2)):
            ip("-n", space, "address", "add", f"10.99.{number}.{host}/24", "dev", device)
            ip("-n", space, "link", "set", device, "up")
        ip("-n", spaces[region], "address", "add", f"{anycast}/32", "dev", "lo")


def bird_files():
    session = "protocol bgp {name} {{ local {mine} as {own}; neighbor {peer} as {other}; direct; connect retry time 1; error wait time 1, 2; ipv4 {{ import {imports}; export {exports}; }}; }}\n"
    common = "log \"{log}\" all;\nrouter id {id};\nprotocol device {{ scan time 1; }}\n"
    text = common.format(log=f"{work}/router-bird.log", id="10.99.0.1") + "protocol kernel { ipv4 { export all; import none; }; }\n"
    for number, region in enumerate(regions, 1):
        text += session.format(name=f"site{number}", mine=f"10.99.{number}.1", own=64500, peer=f"10.99.{number}.2", other=64500 + number, imports="all", exports="none")
        site = common.format(log=f"{work}/{region}-bird.log", id=f"10.99.{number}.2")
        site += f"protocol static evercert_anycast {{ disabled; ipv4; route {anycast}/32 blackhole; }}\n"
        site += session.format(name="upstream", mine=f"10.99.{number}.2", own=64500 + number, peer=f"10.99.{number}.1", other=64500, imports="none", exports='where proto = "evercert_anycast"')
        open(f"{work}/{region}.conf", "w").write(site)
    open(f"{work}/router.conf", "w").write(text)


def start_bird(name):
    processes[f"bird {name}"] = subprocess.Popen(inside(name, "bird", "-f", "-c", f"{work}/{name}.conf", "-s", f"{work}/{name}.ctl", "-P", f"{work}/{name}.pid"),
                                                 stdout=subprocess.DEVNULL, stderr=open(f"{work}/{name}-bird.err", "a"))
    wait_for(f"BIRD of {name} answers", lambda: os.path.exists(f"{work}/{name}.ctl") and "ready" in birdc(name, "show", "status"), 20)


def birdc(name, *words):
    return subprocess.run(["birdc", "-s", f"{work}/{name}.ctl", *words], capture_output=True, text=True).stdout


def sites():
    """Which the router has routes to."""
    routes = birdc("router", "show", "route", "for", anycast)
    return {region for number, region in enumerate(regions, 1) if f"site{number}" in routes}


def announce(region, *more):
    log = open(f"{work}/{region}-anycast.log", "a")
    command = inside(region, evercert, "anycast", "--cluster", f"{work}/cluster/cluster.yaml", "--region", region, "--bird", f"{work}/{region}.ctl", "--status", "127.0.0.1:9155", *more)
    processes[f"anycast {region}"] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)


def log_of(region):
    return re.sub(r"\x1b\[[0-9;]*m", "", open(f"{work}/{region}-anycast.log").read())


def end(name, how=signal.SIGKILL):
    processes[name].send_signal(how)
    return processes.pop(name).wait(20)


def status(region):
    return json.loads(subprocess.run(inside(region, "curl", "-s", "http://127.0.0.1:9155/"), capture_output=True, text=True, check=True).stdout)


def until(what, condition, limit):
    began = time.monotonic()
    wait_for(what, condition, limit)
    return time.monotonic() - began


def refused(*words):
    done = subprocess.run(inside(east, evercert, "anycast", "--cluster", f"{work}/cluster/cluster.yaml", *words), capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


try:
    edges = {region: Edges(work, regions, processes, inside(region)) for region in regions}
    edges[east].certificates()
    lines = ["evercert: 1", "cluster: {name: test, id: 000102030405060708090a0b0c0d0e0f}", "regions:"]
    for number, region in enumerate(regions, 1):
        lines += [f"  - name: {region}", f"    edges: [{{address: {edges[region].address(region)}, https_port: {edges[region].ports[region]}, http_port: 8080}}]",
                  f"    nodes: [{{zone: 1, address: 127.{number}.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}}]"]
    open(f"{work}/cluster/cluster.yaml", "w").write("\n".join(lines) + "\n")
    network()
    bird_files()
    for name in spaces:
        start_bird(name)
    wait_for("both sessions are established", lambda: birdc("router", "show", "protocols").count("Established") == 2, 40)

    code, text = refused("--region", "mars")
    check(code == 2 and "mars" in text, "a region that is not the cluster's is refused by name")
    code, text = refused("--region", east, "--bird", f"{work}/nothing.ctl")
    check(code == 1 and "cannot be reached" in text, "so is a BIRD that is not there")
    code, text = refused("--region", east, "--bird", f"{work}/{east}.ctl", "--protocol", "other")
    check(code == 2 and "protocol static other" in text, "and a protocol that BIRD does not have, with what to add")

    for region in regions:
        announce(region, "--hold", "3")
    time.sleep(3)
    check(not sites(), "a site whose edge is not there is not announced")
    for region in regions:
        edges[region].start(region)
    took = until("the router knows both sites", lambda: sites() == set(regions), 20)
    check(True, f"sites that are ready are announced, {took:.1f} s after their edges have started")

    end(east)
    took = until("the router leaves the site", lambda: sites() == {west}, 20)
    check(took < 10, f"an edge dies, and the router sends the traffic to the other site {took:.1f} s later")
    way = subprocess.run(["ip", "-n", spaces["router"], "route", "get", anycast], capture_output=True, text=True).stdout
    check("via 10.99.2.2" in way, "its kernel sends packets there too")
    check("withdrawn: edge us-east-1/1 failed 2 checks in a row" in log_of(east) and "refused" in log_of(east), "the log says why, with the evidence")
    check(not status(east)["announced"] and "refused" in status(east)["services"][0]["last_check"], "so does the status page")
    edges[east].start(east)
    until("the site is announced again", lambda: sites() == set(regions), 30)
    check(status(east)["changes"] == 3, "it comes back when its hold is over, by itself")

    processes[west].send_signal(signal.SIGSTOP)
    took = until("the router leaves the silent site", lambda: sites() == {east}, 20)
    check(took < 12 and "no answer within 1000 ms" in log_of(west), f"an edge that is silent is left after {took:.1f} s")
    processes[west].send_signal(signal.SIGCONT)
    until("it is announced again", lambda: sites() == set(regions), 40)

    end(f"bird {east}")
    os.remove(f"{work}/{east}.ctl")
    until("the session breaks", lambda: sites() == {west}, 30)
    wait_for("the loss of BIRD is told", lambda: "cannot be reached" in status(east)["bird"], 10)
    start_bird(east)
    until("a BIRD that starts anew is told again", lambda: sites() == set(regions), 40)
    check("cannot be reached" in log_of(east), "a BIRD that dies is missed, and told again when it is back")

    check(end(f"anycast {east}", signal.SIGTERM) == 0, "SIGTERM ends it cleanly")
    check(until("the router leaves it", lambda: sites() == {west}, 10) < 10, "with its route withdrawn first, so that the site can be emptied")
    end(f"anycast {west}")
    time.sleep(2)
    check(sites() == {west}, "one that is killed leaves the route as it is: the site still serves")
    print(f"anycast: {checks.count} checks passed")
finally:
    for process in processes.values():
        process.kill()
        process.wait()
    for space in spaces.values():
        subprocess.run(["ip", "netns", "delete", space], capture_output=True)
    if sys.exc_info()[0] is not None:
        for region in regions:
            if os.path.exists(f"{work}/{region}-anycast.log"):
                print(log_of(region)[-2000:], file=sys.stderr)
    shutil.rmtree(work, ignore_errors=True)
