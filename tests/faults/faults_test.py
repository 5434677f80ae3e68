#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real processes, real faults: three regions in a network namespace of their own, clients in each of them, and something that
breaks. What the clients saw is judged by the simulator's checkers (`evercert judge`): nothing acknowledged is lost, no
answer was wrong, no serial or CRL number came twice. Each scenario also says who must not have noticed at all.

  faults_test.py build/evercert                 all scenarios
  faults_test.py build/evercert pause disk-full these alone; --list names them, --json FILE has the figures
"""
import argparse
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cluster import Cluster, Network, wait_for

SCENARIOS = {}


def scenario(name, **limits):
    """`unaware`: regions whose clients see no failure. `reads`: regions whose reads never fail. `write_gap`: for these
    regions, the longest time in seconds between two writes that went through; generous, as this machine is shared."""

    def register(run):
        SCENARIOS[name] = (run, limits)
        return run

    return register


ALL = ["us-east-1", "us-west-2", "eu-central-1"]
EAST, WEST, EU = ALL


@scenario("kill-region", unaware=ALL, write_gap={name: 10 for name in ALL}, acme=True)
def kill_region(cluster, network):
    """SIGKILL of everything in us-east-1; back after 12 s."""
    time.sleep(5)
    cluster.kill_region(EAST)
    time.sleep(12)
    cluster.restart_region(EAST)
    time.sleep(8)


@scenario("kill-storm", unaware=ALL)
def kill_storm(cluster, network):
    """A random node or edge is killed every 2 s and started again a second later; never two at once."""
    chance = random.Random(7)
    for _ in range(12):
        region = chance.choice(ALL)
        victim = chance.choice(cluster.processes(region))
        cluster.kill(victim)
        time.sleep(1)
        cluster.restart(victim)
        time.sleep(1.5)


@scenario("power-cut", write_gap={name: 25 for name in ALL})
def power_cut(cluster, network):
    """Every process of every region is killed in the same moment; all come back 3 s later."""
    time.sleep(5)
    for region in ALL:
        cluster.kill_region(region)
    time.sleep(3)
    for region in ALL:
        cluster.restart_region(region)
    time.sleep(12)


@scenario("two-regions-gone", reads=[EU])
def two_regions_gone(cluster, network):
    """Two of three regions are killed; the third answers what it knows, marked as possibly stale, and takes no writes."""
    time.sleep(5)
    cluster.kill_region(EAST)
    cluster.kill_region(WEST)
    time.sleep(10)
    cluster.restart_region(EAST)
    cluster.restart_region(WEST)
    time.sleep(12)


@scenario("partition", unaware=[WEST, EU], reads=ALL, write_gap={WEST: 10, EU: 10}, acme=True)
def partition(cluster, network):
    """us-east-1 is cut off from the others, both ways, with its clients; healed after 15 s."""
    time.sleep(5)
    network.cut(EAST, WEST)
    network.cut(EAST, EU)
    time.sleep(15)
    network.heal()
    time.sleep(10)


@scenario("partition-one-way", reads=ALL, write_gap={name: 12 for name in ALL})
def partition_one_way(cluster, network):
    """Packets from us-east-1 to eu-central-1 vanish; those of the other direction arrive."""
    time.sleep(5)
    network.cut_one_way(EAST, EU)
    time.sleep(15)
    network.heal()
    time.sleep(10)


@scenario("partition-bridge", reads=ALL, write_gap={name: 12 for name in ALL})
def partition_bridge(cluster, network):
    """us-east-1 and us-west-2 do not see each other; both see eu-central-1."""
    time.sleep(5)
    network.cut(EAST, WEST)
    time.sleep(15)
    network.heal()
    time.sleep(10)


@scenario("partition-flapping", reads=ALL)
def partition_flapping(cluster, network):
    """us-west-2's links come and go, each time for 0.2 to 1.5 s."""
    chance = random.Random(11)
    time.sleep(3)
    for _ in range(12):
        network.cut(WEST, EAST)
        network.cut(WEST, EU)
        time.sleep(chance.uniform(0.2, 1.5))
        network.heal()
        time.sleep(chance.uniform(0.2, 1.5))
    time.sleep(8)


@scenario("pause", unaware=[WEST, EU], write_gap={WEST: 10, EU: 10})
def pause(cluster, network):
    """SIGSTOP of us-east-1's node for 1 s, 5 s and 20 s: it wakes with leases and terms of another time."""
    for seconds in (1, 5, 20):
        time.sleep(3)
        victim = cluster.nodes(EAST)[0]
        victim.signal(signal.SIGSTOP)
        time.sleep(seconds)
        victim.signal(signal.SIGCONT)
    time.sleep(8)


@scenario("pause-minute", unaware=[WEST, EU], write_gap={WEST: 10, EU: 10})
def pause_minute(cluster, network):
    """SIGSTOP of all of us-east-1, edge and node, for a minute."""
    time.sleep(3)
    for process in cluster.processes(EAST):
        process.signal(signal.SIGSTOP)
    time.sleep(60)
    for process in cluster.processes(EAST):
        process.signal(signal.SIGCONT)
    time.sleep(10)


@scenario("clock-jump", unaware=ALL, write_gap={name: 10 for name in ALL})
def clock_jump(cluster, network):
    """The wall clock of us-east-1's node jumps an hour ahead, an hour back, and home again."""
    node = cluster.nodes(EAST)[0]
    cluster.kill(node)
    clock = cluster.with_faked_clock(node)
    cluster.restart(node)
    time.sleep(6)
    for offset in ("+3600", "-3600", "+0"):
        clock(offset)
        time.sleep(8)


@scenario("disk-full", unaware=[WEST, EU], write_gap={WEST: 10, EU: 10})
def disk_full(cluster, network):
    """The disk of us-east-1's node fills up: it stops, and comes back when there is room."""
    node = cluster.nodes(EAST)[0]
    volume = cluster.on_own_volume(node, megabytes=96)
    time.sleep(4)
    volume.fill()
    wait_for("the node gives up", lambda: not node.running(), 30)
    time.sleep(4)
    volume.free()
    cluster.restart(node)
    time.sleep(8)


@scenario("disk-read-only", unaware=[WEST, EU], write_gap={WEST: 10, EU: 10})
def disk_read_only(cluster, network):
    """The file system of us-east-1's node turns read-only under it, as after an I/O error; it is checked and mounted again."""
    node = cluster.nodes(EAST)[0]
    volume = cluster.on_own_volume(node, megabytes=512)
    time.sleep(4)
    volume.turn_read_only()
    wait_for("the node gives up", lambda: not node.running(), 30)
    time.sleep(4)
    volume.repair()
    cluster.restart(node)
    time.sleep(8)


@scenario("disk-lost", unaware=[WEST, EU], write_gap={WEST: 10, EU: 10})
def disk_lost(cluster, network):
    """us-east-1's node loses its disk and comes back with an empty one."""
    time.sleep(5)
    node = cluster.nodes(EAST)[0]
    cluster.kill(node)
    shutil.rmtree(node.data_dir)
    time.sleep(2)
    cluster.restart(node)
    time.sleep(15)


def check(judged, limits):
    """What is wrong with a run, in words."""
    wrong = [first_line(violation) for violation in judged["violations"]]
    if judged["undecided"]:
        wrong.append(f"{judged['undecided']} histories could not be judged")
    for name, region in judged["regions"].items():
        if region["operations"] < 100:
            wrong.append(f"{name}: no more than {region['operations']} operations")
        if name in limits.get("unaware", []) and region["failed"]:
            wrong.append(f"{name}: {region['failed']} operations failed")
        if name in limits.get("reads", []) and region["reads_failed"]:
            wrong.append(f"{name}: {region['reads_failed']} reads failed")
        longest = limits.get("write_gap", {}).get(name)
        if longest and region["longest_write_gap_ms"] > longest * 1000:
            wrong.append(f"{name}: {region['longest_write_gap_ms'] / 1000:.1f} s without a write")
        if region["last_write_before_end_ms"] > 5000:
            wrong.append(f"{name}: no write in the last {region['last_write_before_end_ms'] / 1000:.1f} s, with everything healed")
    if limits.get("acme") and not judged["acme_orders"]:
        wrong.append("no ACME order was completed")
    return wrong


def first_line(text):
    return text.splitlines()[0]


def run_inside(name, evercert, work):
    """In the namespaces: one cluster, one story. Leaves judgement.json in `work`."""
    run, limits = SCENARIOS[name]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Cluster(evercert, work) as cluster:
        network = Network()
        history = os.path.join(work, "history.jsonl")
        acme = ["--acme-dir", os.path.join(work, "acme")] if limits.get("acme") else []
        load = cluster.popen(["load", "--cluster", cluster.file, "--history", history, *acme], "load.log")
        try:
            run(cluster, network)
        finally:
            network.heal()
            load.send_signal(signal.SIGINT)
            load.wait(60)
        judge = cluster.popen(["judge", "--cluster", cluster.file, "--json", os.path.join(work, "judgement.json"), history], "judge.log")
        judge.wait(120)
        judgement = os.path.join(work, "judgement.json")
        if not os.path.exists(judgement):
            said = open(os.path.join(work, "judge.log")).read().strip()
            ended = [f"a restarted process of {region} ended with {process.child.poll()}" for region in cluster.regions
                     for process in cluster.processes(region) if process.child and process.child.poll() is not None]
            raise AssertionError("; ".join(["no judgement: " + said, *ended]))
        wrong = check(json.load(open(judgement)), limits)
    json.dump(wrong, open(os.path.join(work, "wrong.json"), "w"))


def run_outside(name, evercert):
    """Namespaces for network, mounts and processes, so that nothing leaks out and everything ends with the scenario."""
    work = tempfile.mkdtemp(prefix=f"evercert-faults-{name}-")
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, os.path.abspath(__file__), evercert, "--inside", name, "--work", work]
    log = os.path.join(work, "scenario.log")
    with open(log, "w") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT).returncode
    judgement, wrong = (os.path.join(work, file) for file in ("judgement.json", "wrong.json"))
    figures = json.load(open(judgement)) if os.path.exists(judgement) else None
    problems = json.load(open(wrong)) if os.path.exists(wrong) else []
    if code != 0 and not problems:
        problems = [open(log).read().strip().splitlines()[-1] if os.path.getsize(log) else f"ended with {code}"]
    if problems:
        problems.append(f"kept: {work}")
    else:
        shutil.rmtree(work)
    return figures, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evercert")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--list", action="store_true", help="the scenarios")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args()
    evercert = os.path.abspath(options.evercert)
    if options.inside:
        run_inside(options.inside, evercert, options.work)
        return 0
    if options.list:
        for name, (run, _) in SCENARIOS.items():
            print(f"{name:20} {run.__doc__}")
        return 0
    unknown = [name for name in options.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario '{unknown[0]}'; there are: {' '.join(SCENARIOS)}")
    names = options.names or list(SCENARIOS)
    if "clock-jump" in names and not glob.glob("/usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1"):
        parser.error("libfaketime is missing: run scripts/install_dependencies.sh faults")
    results, failed = {}, 0
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}: {SCENARIOS[name][0].__doc__}", flush=True)
        begun = time.monotonic()
        figures, problems = run_outside(name, evercert)
        results[name] = {"figures": figures, "problems": problems}
        if figures:
            gaps = ", ".join(f"{region} {values['longest_write_gap_ms'] / 1000:.1f} s" for region, values in figures["regions"].items())
            failures = sum(values["failed"] for values in figures["regions"].values())
            operations = sum(values["operations"] for values in figures["regions"].values())
            print(f"    {operations} operations, {failures} failed, {figures['stale']} stale answers, {figures['unknown_outcomes']} writes of unknown outcome; "
                  f"longest without a write: {gaps}")
        print(f"    {'ok' if not problems else 'BROKEN'} in {time.monotonic() - begun:.0f} s", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        failed += bool(problems)
    if options.json:
        json.dump(results, open(options.json, "w"), indent=2)
    print(f"{len(names) - failed} of {len(names)} scenarios kept every promise")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
