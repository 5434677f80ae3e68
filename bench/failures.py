#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the clients of a region notice when things behind its edge fail: five nodes, real processes. Two followers are killed under load (as many nodes as
leave a majority), one is stopped for 200 ms again and again, and three times as much comes as can be served. Three clients at fixed rates (h2load): OCSP and CRLs,
which are protected, and issuances; each request's time and status is looked at.
On one machine all nodes share its cores: who dies takes no capacity along. What a loss of capacity does, the simulation of test_traffic_policy says.
usage: bench/failures.py [EVERCERT] [--seconds N] [--only NAME...] [--json FILE]; needs scripts/install_dependencies.sh edge-bench"""
import argparse
import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("evercert", nargs="?", default="build/evercert")
parser.add_argument("--seconds", type=int, default=10, help="before and after each event")
parser.add_argument("--only", nargs="*", default=[])
parser.add_argument("--json")
options = parser.parse_args()
evercert = os.path.abspath(options.evercert)
work = tempfile.mkdtemp(prefix="evercert-failures-")
cluster, region, address, zones = os.path.join(work, "cluster"), "us-east-1", "127.1.0.1", 5
processes = {}


def start(name, *arguments):
    processes[name] = subprocess.Popen([evercert, *arguments, "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--region", region],
                                       stdout=open(f"{work}/{name}.log", "a"), stderr=subprocess.STDOUT)


def start_node(zone):
    start(f"node-{zone}", "node", "--zone", str(zone), "--data", f"{work}/data-{zone}")


def fetch(url, data=None):
    request = urllib.request.Request(url, data=data, headers={"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=15, context=trusted if url.startswith("https") else None) as answer:
        return answer.read()


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            if what() is not False:
                return
        except OSError:
            pass
        assert time.monotonic() < end, "not ready in time"
        time.sleep(0.2)


class Stream:
    """One client class at a fixed rate; afterwards every request's beginning, status and time."""

    def __init__(self, name, path, rate, seconds, body=None, connections=32):
        self.name, self.log = name, f"{work}/{name}.tsv"
        if os.path.exists(self.log):
            os.unlink(self.log)
        command = ["h2load", "--h1", "-t", "1", "-c", str(connections), "--rps", f"{rate / connections:.3f}", "-D", str(seconds), "--log-file", self.log,
                   "-H", "Authorization: Bearer " + token, *(["-d", body, "-H", "Content-Type: application/json"] if body else []), f"https://{address}:8443{path}"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rows(self):
        self.process.wait()
        return [tuple(map(int, line.split("\t")[:3])) for line in open(self.log)]


def told(rows, begin, end):
    """Of the requests that began in [begin, end), seconds since the epoch."""
    inside = [row for row in rows if begin <= row[0] / 1e6 < end]
    good = sorted(row[2] for row in inside if row[1] in (200, 201))
    return {"requests": len(inside), "p50_ms": good[len(good) // 2] / 1000, "p99_ms": good[len(good) * 99 // 100] / 1000,
            "failed": sum(1 for row in inside if row[1] not in (200, 201, 503)), "turned_away": sum(1 for row in inside if row[1] == 503)} if good else {"requests": len(inside)}


def streams(rates, seconds, connections=32):
    return [Stream("ocsp", ocsp_path, rates["ocsp"], seconds), Stream("crl", f"/crl/{region}.crl", rates["crl"], seconds),
            Stream("issuance", "/v1/certificates", rates["issuance"], seconds, f"{work}/body", connections)]


def around(name, rates, event, settle=0.0):
    """A calm half, the event, the other half."""
    begun, running = time.time(), streams(rates, 2 * options.seconds + 3)
    time.sleep(options.seconds + 2)
    at = time.time()
    stop = event()
    result = {}
    time.sleep(options.seconds)
    if stop:
        stop()
    for stream in running:
        rows = stream.rows()
        before, after = told(rows, begun + 2, at), told(rows, at + settle, at + options.seconds)
        result[stream.name] = {"before": before, "after": after, "p99_ratio": after["p99_ms"] / before["p99_ms"]}
    show(name, result)
    return result


def show(name, result):
    print(name)
    for stream, one in result.items():
        for when in ("before", "after"):
            figures = one[when]
            print(f"  {stream:9} {when:6} {figures['requests']:6} requests  p50 {figures['p50_ms']:7.2f} ms  p99 {figures['p99_ms']:7.2f} ms  failed {figures['failed']}"
                  f"  turned away {figures['turned_away']}" + (f"  p99 x {one['p99_ratio']:.2f}" if when == "after" else ""))
    print(flush=True)


def rate_of_issuance(connections=64, seconds=4):
    """Closed loop: what the region can issue."""
    script = f"{work}/issue.lua"
    open(script, "w").write(f"""wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
local f = io.open("{work}/body", "rb")
wrk.body = f:read("*a")
done = function(s, l, r) io.write(string.format('{{"good": %d, "us": %d}}\\n', s.requests - s.errors.status, s.duration)) end
""")
    out = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "15s", "-s", script, f"https://{address}:8443/v1/certificates"],
                         capture_output=True, text=True, check=True).stdout
    document = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    return document["good"] / document["us"] * 1e6


def leaders():
    """The zones that lead a group: to slow one of those is to slow every write, whoever is asked."""
    status = json.loads(urllib.request.urlopen("http://127.1.0.11:9080/v1/status", timeout=5).read())
    return {group["leader"] % 256 for group in status["groups"]}


def followers():
    return [zone for zone in range(zones, 0, -1) if zone not in leaders()]


def kill_two():
    for zone in followers()[:2]:
        processes[f"node-{zone}"].kill()
        processes[f"node-{zone}"].wait()


def slow_one():
    going = [True]

    def run():
        pid = processes[f"node-{followers()[0]}"].pid
        while going[0]:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.05)
    thread = threading.Thread(target=run)
    thread.start()

    def stop():
        going[0] = False
        thread.join()
    return stop


def all_ready():
    return all(json.loads(urllib.request.urlopen(f"http://127.1.0.{10 + zone}:9080/v1/status", timeout=5).read()) for zone in range(1, zones + 1)) and \
        fetch(f"http://{address}:8080/readyz") is not None


try:
    for tool in ("h2load", "wrk"):
        assert shutil.which(tool), f"{tool} is missing: run scripts/install_dependencies.sh edge-bench"
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", region, "--zones", str(zones)], check=True, capture_output=True)
    token = open(f"{cluster}/operator/token").read().strip()
    trusted = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
    trusted.check_hostname = False
    for zone in range(1, zones + 1):
        start_node(zone)
    start("edge", "edge")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    body = json.dumps({"csr": open(f"{work}/csr.pem").read(), "profile": "server"})
    open(f"{work}/body", "w").write(body)
    issued = []
    wait_for(lambda: issued.append(json.loads(fetch(f"https://{address}:8443/v1/certificates", body.encode()))))
    wait_for(lambda: fetch(f"http://{address}:8080/crl/{region}.crl"))
    open(f"{work}/leaf.pem", "w").write(issued[0]["certificate"])
    subprocess.run(["openssl", "ocsp", "-issuer", f"{cluster}/public/{region}.pem", "-cert", f"{work}/leaf.pem", "-no_nonce", "-reqout", f"{work}/request.der"], check=True, capture_output=True)
    ocsp_path = "/ocsp/" + urllib.parse.quote(base64.b64encode(open(f"{work}/request.der", "rb").read()).decode(), safe="")
    best = max(rate_of_issuance(64), rate_of_issuance(256))
    print(f"issuance, the best of 64 and 256 at once: {best:.0f} a second\n", flush=True)
    # Reads are a small part of the work: the issuances alone make 60 %.
    rates = {"ocsp": 200, "crl": 100, "issuance": 0.6 * best}
    results = {"best_issuance_per_second": best}
    wanted = lambda name: not options.only or any(word in name for word in options.only)
    if wanted("slow"):
        results["one stopped for 200 ms of each 250"] = around("one of five is stopped for 200 ms of each 250", rates, slow_one)
        time.sleep(3)
    if wanted("overload"):
        # So many connections that hardly any of them waits for its last answer when the next request is due.
        running = streams({**rates, "issuance": 3 * best}, options.seconds + 2, 1000)
        begun = time.time()
        result = {}
        for stream in running:
            rows = stream.rows()
            result[stream.name] = told(rows, begun + 2, begun + options.seconds)
            if stream.name == "issuance":
                result["goodput"] = sum(1 for row in rows if row[1] == 201 and begun + 2 <= row[0] / 1e6 < begun + options.seconds) / (options.seconds - 2) / best
        print("three times as many issuances as can be served")
        for name, one in result.items():
            print(f"  {name:9} {one if isinstance(one, dict) else f'{one:.2f} of the best'}")
        print(flush=True)
        results["three times the capacity"] = result
        time.sleep(3)
    if wanted("killed"):
        results["two of five killed"] = around("two of five are killed", rates, kill_two)
    if options.json:
        json.dump(results, open(options.json, "w"), indent=2)
finally:
    for process in processes.values():
        process.kill()
        process.wait()
    shutil.rmtree(work, ignore_errors=True)
