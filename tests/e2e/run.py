#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the end-to-end tests, several at once, each in a network namespace of its own, so that none meets the other's
addresses: run.py EVERCERT [NAME...]. They wait more than they work: twice as many as there are processors. Those that take
minutes and show what unit tests and others show in part are run by name, or all of them as `long`."""
import concurrent.futures
import os
import subprocess
import sys
import time

# The longest first.
tests = ["incidents", "failover", "health", "flapping", "adding_witness", "edge", "sessions", "edge_certificate", "region_loss", "adding_region", "removing_region", "membership", "coordination", "dns", "witness", "anycast", "topology", "degraded", "bodies", "http", "standby", "refusal", "busy_node"]
long = ["dependencies", "capacity", "spare_node"]
here = os.path.dirname(os.path.abspath(__file__))


def alone(command):
    """In a namespace whose only interface is loopback; without the right to make one, where we are."""
    return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def run(name):
    command = [sys.executable, os.path.join(here, name + "_test.py"), sys.argv[1]]
    began = time.monotonic()
    done = subprocess.run(alone(command) if apart else command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return name, done.returncode, time.monotonic() - began, done.stdout


wanted = [name for word in sys.argv[2:] for name in (long if word == "long" else [word])] or tests
unknown = [name for name in wanted if not os.path.exists(os.path.join(here, name + "_test.py"))]
if len(sys.argv) < 2 or unknown:
    sys.exit(f"run.py EVERCERT [NAME...], a NAME of {', '.join(tests + long)}, or `long` for the last {len(long)}" + (f"; there is no {', '.join(unknown)}" if unknown else ""))
apart = subprocess.run(alone(["true"]), capture_output=True).returncode == 0
failed = []


def told(name, code, took, text, how=""):
    print(f"--- {name}: {'failed' if code else 'passed'}{how} after {took:.0f} s\n{text}", end="", flush=True)
    return code


print(f"end to end: {', '.join(wanted)}", flush=True)
with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1) if apart else 1) as pool:
    for job in concurrent.futures.as_completed([pool.submit(run, name) for name in wanted]):
        if told(*job.result()):
            failed.append(job.result()[0])
# What several clusters at once on a small machine were too slow for, is looked at once more, alone. Both are told.
beside = failed
if apart and len(wanted) > 1:
    failed = [name for name in beside if told(*run(name), " alone")]
slow = [name for name in beside if name not in failed]
print("end to end: " + (f"failed: {', '.join(failed)}" if failed else "all passed") + (f"; only alone: {', '.join(slow)}" if slow else ""))
sys.exit(1 if failed else 0)
