#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The edge beside HAProxy in front of the same three nodes: the same TLS, the same questions, the same client, in turn, three times. The one in front has
core 0 for itself, on one thread; the nodes and the client share the other. Also what is spent of its core for each request, which is the same however busy
the nodes are, what it adds to one request at a time, and p99 when both get the same number of requests a second: who lets more through makes the nodes busier.
usage: bench/edge.py [EVERCERT] [--seconds N] [--rounds N] [--only NAME...] [--json FILE]; needs scripts/install_dependencies.sh edge-bench"""
import argparse
import base64
import json
import os
import shutil
import signal
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("evercert", nargs="?", default="build/evercert")
parser.add_argument("--seconds", type=int, default=4)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--only", nargs="*", default=[])
parser.add_argument("--busy-poll", action="store_true", help="neither sleeps while requests come: HAProxy's busy-polling, and busy_poll_us of the edge")
parser.add_argument("--json")
options = parser.parse_args()
evercert = os.path.abspath(options.evercert)
work = tempfile.mkdtemp(prefix="evercert-edge-bench-")
cluster, region, address = os.path.join(work, "cluster"), "us-east-1", "127.1.0.1"
node_addresses = [f"127.1.0.{11 + i}" for i in range(3)]
front_core, other_core = "0", "1"
processes = []


def start(core, command, log):
    process = subprocess.Popen(command, stdout=open(f"{work}/{log}.log", "a"), stderr=subprocess.STDOUT)
    processes.append(process)
    # Afterwards: a process that finds itself on a single core lets its threads wait for each other (os::run_in_batches), which is for machines that have no other.
    time.sleep(0.3)
    subprocess.run(["taskset", "-a", "-c", "-p", core, str(process.pid)], check=True, capture_output=True)
    return process


def stop(process):
    process.terminate()
    spent = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    processes.remove(process)
    return spent.ru_utime + spent.ru_stime


def write(name, text):
    path = os.path.join(work, name)
    open(path, "w").write(text)
    return path


trusted = None


def fetch(url, data=None, headers=None):
    request = urllib.request.Request(url, data=data, headers={"Authorization": "Bearer " + token, **(headers or {})})
    with urllib.request.urlopen(request, timeout=15, context=trusted if url.startswith("https") else None) as answer:
        return answer.read()


def wait_for(what, seconds=40):
    end = time.monotonic() + seconds
    while True:
        try:
            return what()
        except OSError:
            assert time.monotonic() < end, "not ready in time: " + "".join(open(f"{work}/{log}").read()[-400:] for log in os.listdir(work) if log.endswith(".log"))
            time.sleep(0.1)


def haproxy():
    servers = {kind: "\n".join(f"  server n{i} {a}:{port} {more}" for i, a in enumerate(node_addresses)) for kind, port, more in
               (("plain", 9080, ""), ("api", 9443, f"ssl verify required ca-file {cluster}/public/root.pem crt {work}/front.pem"))}
    path = write("haproxy.cfg", f"""global
  nbthread 1
  maxconn 4096
  {"busy-polling" if options.busy_poll else ""}
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 12s
  http-reuse always
  option forwardfor
frontend front
  bind {address}:8443 ssl crt {work}/front.pem alpn http/1.1
  bind {address}:8080
  use_backend plain if {{ path_beg /ocsp /crl }}
  default_backend api
backend plain
  balance leastconn
{servers['plain']}
backend api
  balance leastconn
{servers['api']}
""")
    return ["haproxy", "-db", "-f", path]


def edge():
    return [evercert, "edge", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--region", region]


# Requests leave at times that are fixed beforehand, to a millisecond, however long answers take.
PACED = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long ns; } when; int clock_gettime(int, when*);")
local t, due = ffi.new("when"), nil
function delay()
  ffi.C.clock_gettime(1, t)
  local now = tonumber(t.s) * 1e6 + tonumber(t.ns) / 1e3
  due = math.max(due or now, now - 1e5) + EACH
  return math.max(0, math.floor((due - now) / 1e3 + 0.5))
end
"""


def load(url, question, connections, seconds, rate=None):
    method, _, body, kind = question
    script = write("load.lua", f"""wrk.method = "{method}"
wrk.headers["Authorization"] = "Bearer {token}"
""" + (f"""wrk.headers["Content-Type"] = "{kind}"
local f = io.open("{work}/body", "rb")
wrk.body = f:read("*a")
""" if body is not None else "") + (PACED.replace("EACH", str(1e6 / rate)) if rate else "") + """
done = function(summary, latency, requests)
  io.write(string.format('{"requests": %d, "us": %d, "p50": %f, "p99": %f, "failed": %d}\\n', summary.requests, summary.duration, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
""")
    if body is not None:
        open(f"{work}/body", "wb").write(body)
    out = subprocess.run(["taskset", "-c", other_core, "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", script, url], capture_output=True, text=True, check=True).stdout
    told = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    return told["requests"] / told["us"] * 1e6, told


def in_plain(question):
    """Asked without TLS where a certificate's URLs point."""
    return question[1].startswith(("/ocsp", "/crl"))


def measure(command, question, log, rate=None):
    """Requests a second and p99 with many at once, p50 of one at a time, and the core's time for each. With a rate: p99 at that rate."""
    process = start(front_core, command, log)
    try:
        base = f"https://{address}:8443"
        wait_for(lambda: fetch(base + "/acme/directory"))
        url = base + question[1]
        load(url, question, 32, 1)
        if rate:
            got, many = load(url, question, 32, options.seconds, rate)
            return {"paced_rate": got, "paced_p99_ms": many["p99"], "paced_failed": many["failed"]}
        _, alone = load(url, question, 1, 2)
        plain = load(f"http://{address}:8080" + question[1], question, 1, 2)[1]["p50"] if in_plain(question) else 0.0
        before = cpu(process.pid)
        rate, many = load(url, question, 32, options.seconds)
        spent = cpu(process.pid) - before
    finally:
        stop(process)
    return {"rate": rate, "p50_ms": many["p50"], "p99_ms": many["p99"], "alone_p50_ms": alone["p50"], "plain_p50_ms": plain, "us_each": spent / many["requests"] * 1e6, "failed": many["failed"] + alone["failed"]}


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


try:
    for tool in ("haproxy", "wrk"):
        assert shutil.which(tool), f"{tool} is missing: run scripts/install_dependencies.sh edge-bench"
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", region, "--zones", "3"], check=True, capture_output=True)
    if options.busy_poll:
        open(f"{cluster}/cluster.yaml", "a").write("edge: {busy_poll_us: 1000}\n")
    token = open(f"{cluster}/operator/token").read().strip()
    trusted = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
    trusted.check_hostname = False
    own = f"{cluster}/regions/{region}/edge-1"
    write("front.pem", open(own + ".pem").read() + open(own + ".key").read())
    for zone in (1, 2, 3):
        start(other_core, [evercert, "node", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--region", region, "--zone", str(zone), "--data", f"{work}/data-{zone}"], f"node-{zone}")
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    issuance = json.dumps({"csr": open(f"{work}/csr.pem").read(), "profile": "server"}).encode()
    process = start(front_core, edge(), "edge")
    issued = json.loads(wait_for(lambda: fetch(f"https://{address}:8443/v1/certificates", issuance, {"Content-Type": "application/json"})))
    wait_for(lambda: fetch(f"http://{address}:8080/crl/{region}.crl"))
    stop(process)
    write("leaf.pem", issued["certificate"])
    subprocess.run(["openssl", "ocsp", "-issuer", f"{cluster}/public/{region}.pem", "-cert", f"{work}/leaf.pem", "-no_nonce", "-reqout", f"{work}/request.der"], check=True, capture_output=True)
    asked = open(f"{work}/request.der", "rb").read()
    questions = {
        "OCSP by GET": ("GET", "/ocsp/" + urllib.parse.quote(base64.b64encode(asked).decode(), safe=""), None, None),
        "OCSP by POST": ("POST", "/ocsp", asked, "application/ocsp-request"),
        "CRL": ("GET", f"/crl/{region}.crl", None, None),
        "ACME directory": ("GET", "/acme/directory", None, None),
        "issuance": ("POST", "/v1/certificates", issuance, "application/json"),
    }
    results = {}
    for name, question in questions.items():
        if options.only and not any(word in name for word in options.only):
            continue
        print(name, flush=True)
        rounds = {"haproxy": [], "edge": []}
        for _ in range(options.rounds):
            for front, command in (("haproxy", haproxy()), ("edge", edge())):
                rounds[front].append(measure(command, question, front))
        result = {front: {key: statistics.median(one[key] for one in seen) for key in seen[0]} for front, seen in rounds.items()}
        # Of the same work: three quarters of what the slower one can do.
        rate = 0.75 * min(result[front]["rate"] for front in result)
        paced = {"haproxy": [], "edge": []}
        for _ in range(options.rounds):
            for front, command in (("haproxy", haproxy()), ("edge", edge())):
                paced[front].append(measure(command, question, front, rate))
        for front, seen in paced.items():
            result[front].update({key: statistics.median(one[key] for one in seen) for key in seen[0]})
        result["paced_p99_ratio"] = result["haproxy"]["paced_p99_ms"] / result["edge"]["paced_p99_ms"]
        result["ratio"] = result["edge"]["rate"] / result["haproxy"]["rate"]
        result["p99_ratio"] = result["haproxy"]["p99_ms"] / result["edge"]["p99_ms"]
        if in_plain(question):
            direct = statistics.median(load(f"http://{node_addresses[0]}:9080" + question[1], question, 1, 2)[1]["p50"] for _ in range(options.rounds))
            result["direct_p50_ms"] = direct
            added = {front: [(result[front][key] - direct) * 1000 for key in ("plain_p50_ms", "alone_p50_ms")] for front in rounds}
            result["added_p50_us"] = {front: {"http": http, "https": https} for front, (http, https) in added.items()}
            print(f"  one at a time to a node itself: p50 {direct:.3f} ms; asked as certificates name it (http) " +
                  " and ".join(f"{front} adds {http:.0f} us (https, with the client's own share of it: {https:.0f})" for front, (http, https) in added.items()))
        result["edge_to_haproxy_p50_ms"] = result["edge"]["alone_p50_ms"] - result["haproxy"]["alone_p50_ms"]
        for front in rounds:
            one = result[front]
            print(f"  {front:8} {one['rate']:9,.0f} a second  p50 {one['p50_ms']:6.2f} ms  p99 {one['p99_ms']:6.2f} ms  {one['us_each']:6.1f} us of its core each"
                  f"  alone: p50 {one['alone_p50_ms']:.3f} ms  failed {one['failed']:.0f}")
        print("  at the same rate: " + ", ".join(f"{front} {result[front]['paced_rate']:,.0f} a second p99 {result[front]['paced_p99_ms']:.2f} ms failed {result[front]['paced_failed']:.0f}" for front in rounds))
        print(f"  ratio {result['ratio']:.2f}, p99 {result['p99_ratio']:.2f}, at the same rate {result['paced_p99_ratio']:.2f}; one at a time {result['edge_to_haproxy_p50_ms'] * 1000:+.0f} us", flush=True)
        results[name] = result
    if options.json:
        json.dump(results, open(options.json, "w"), indent=2)
finally:
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait()
    shutil.rmtree(work, ignore_errors=True)
