#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Queries a second of evercert dns beside gdnsd: the same names, one UDP thread each, on a core of its own, dnsperf on another; in turn, three times.
usage: bench/dns.py [EVERCERT] [--seconds N] [--json FILE]; needs scripts/install_dependencies.sh dns-bench"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# This file's name is that of the library that it asks with.
sys.path.pop(0)
import dns.exception
import dns.message
import dns.query

parser = argparse.ArgumentParser()
parser.add_argument("evercert", nargs="?", default="build/evercert")
parser.add_argument("--seconds", type=int, default=8)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--json")
options = parser.parse_args()
evercert = os.path.abspath(options.evercert)
work = tempfile.mkdtemp(prefix="evercert-dns-bench-")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
server_core, client_core = 0, 1


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(name, text):
    path = os.path.join(work, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
    return path


def address(number):
    return f"127.{number}.0.10"


def evercert_command(port):
    cluster = "evercert: 1\ncluster: {name: bench, id: 000102030405060708090a0b0c0d0e0f}\nregions:\n" + "".join(
        f"  - name: {r}\n    edges: [{{address: {address(n)}, https_port: 443, http_port: 80}}]\n"
        f"    nodes: [{{zone: 1, address: 127.{n}.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}}]\n" for n, r in enumerate(regions, 1))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{work}/root.key", "-out", write("cluster/public/root.pem", ""),
                    "-subj", "/CN=root", "-days", "2"], check=True, capture_output=True)
    balancer = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests/fixtures/spec/global_load_balancer.yaml")
    # No limit of one network, as gdnsd has none; but what it costs to keep one is paid.
    return [evercert, "dns", "--cluster", write("cluster/cluster.yaml", cluster), "--load-balancer", balancer, "--listen", f"127.0.0.1:{port}", "--status", f"127.0.0.1:{free_port()}",
            "--geo-table", write("places", "127.0.0.0/8 us-east-1\n10.0.0.0/8 eu-central-1\n"), "--rate-limit", "10000000"]


def gdnsd_command(port):
    datacenters = ", ".join(regions)
    write("gdnsd/config", f"""options => {{
  listen => 127.0.0.1:{port}
  udp_threads => 1
  tcp_threads => 1
  run_dir => {work}/gdnsd/run
  state_dir => {work}/gdnsd/state
}}
plugins => {{ geoip => {{
  maps => {{ places => {{
    datacenters => [{datacenters}]
    nets => {{ 127.0.0.0/8 => [{datacenters}], 10.0.0.0/8 => [eu-central-1, us-east-1, us-west-2] }}
  }} }}
  resources => {{ api => {{ map => places, service_types => up, dcmap => {{
""" + "".join(f"    {r} => {address(n)}\n" for n, r in enumerate(regions, 1)) + """  } } }
} }
""")
    write("gdnsd/zones/api.certmanager.com", "@ 3600 SOA ns1 hostmaster 1 3600 600 604800 30\n@ 3600 NS ns1\nns1 3600 A 127.0.0.1\n@ 5 DYNA geoip!api\n" +
          "".join(f"{r} 5 DYNA geoip!api/{r}\n" for r in regions))
    for folder in ("run", "state"):
        os.makedirs(f"{work}/gdnsd/{folder}", exist_ok=True)
    return ["gdnsd", "-c", f"{work}/gdnsd", "start"]


def answers(port):
    try:
        return dns.query.udp(dns.message.make_query("api.certmanager.com", "A"), "127.0.0.1", port=port, timeout=0.5).answer
    except (dns.exception.Timeout, OSError):
        return None


def measure(name, command, port, queries):
    with open(f"{work}/{name}.log", "a") as log:
        server = subprocess.Popen(["taskset", "-c", str(server_core), *command], stdout=log, stderr=log)
        try:
            for _ in range(100):
                if answers(port):
                    break
                assert server.poll() is None, open(f"{work}/{name}.log").read()
                time.sleep(0.1)
            run = ["taskset", "-c", str(client_core), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", queries, "-l", str(options.seconds), "-c", "8", "-T", "1", "-q", "400"]
            out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        finally:
            server.terminate()
            spent = os.wait4(server.pid, 0)[2]
            server.returncode = 0
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", out).group(1))
    lost = int(re.search(r"Queries lost:\s+(\d+)", out).group(1))
    # What is spent of its core is the same however busy the machine is with other things.
    cost = (spent.ru_utime + spent.ru_stime) / int(re.search(r"Queries sent:\s+(\d+)", out).group(1)) * 1e6
    codes = re.search(r"Response codes:\s+(.*)", out).group(1)
    print(f"  {name:10} {rate:10,.0f} a second, {cost:.2f} us of its core each, {lost} lost, {codes}", flush=True)
    return rate, cost


try:
    queries = write("queries", "".join(f"{name} {kind}\n" for name, kind in [("api.certmanager.com", "A")] * 6 + [(f"{r}.api.certmanager.com", "A") for r in regions] +
                                        [("api.certmanager.com", "SOA"), ("api.certmanager.com", "NS"), ("ns1.api.certmanager.com", "A")]))
    rates = {"gdnsd": [], "evercert": []}
    for _ in range(options.rounds):
        for name, make in (("gdnsd", gdnsd_command), ("evercert", evercert_command)):
            port = free_port()
            rates[name].append(measure(name, make(port), port, queries))
    rate, cost = ({name: statistics.median(value[i] for value in values) for name, values in rates.items()} for i in (0, 1))
    ratio = rate["evercert"] / rate["gdnsd"]
    print(f"evercert dns {rate['evercert']:,.0f} a second, gdnsd {rate['gdnsd']:,.0f}: {ratio:.2f} of it; us of a core for a query {cost['evercert']:.2f} and {cost['gdnsd']:.2f}")
    if options.json:
        json.dump({"rates": rates, "ratio": ratio}, open(options.json, "w"), indent=1)
finally:
    shutil.rmtree(work, ignore_errors=True)
