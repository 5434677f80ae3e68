#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Edges get certificates for their own names from the cluster itself, by ACME, while they serve: at the start, on demand, through another region while a node
dies, and after a restart without anybody. DNS leads the CA to an edge of another region. An OCSP answer comes along."""
import http.client
import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import checks
from checks import check, wait_for
from clients import ask_node
from names import Names
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-certificate-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
name, own_name = "ca.edge.test", {region: f"{region}.edge.test" for region in regions}
address = {region: f"127.{number}.0.1" for number, region in enumerate(regions, 1)}
admin = {region: f"127.0.0.1:990{number}" for number, region in enumerate(regions, 1)}
file = {region: f"{cluster}/regions/{region}/edge-1-acme.pem" for region in regions}


def start_edge(region):
    servers.start("edge", region, more=["--admin", admin[region]])


def tell(region, method, path):
    with urllib.request.urlopen(urllib.request.Request(f"http://{admin[region]}{path}", method=method), timeout=10) as answer:
        return answer.read().decode()


def status(region):
    try:
        return json.loads(tell(region, "GET", "/edge/status"))["certificate"]
    except OSError:
        return {}


def metric(region, wanted):
    return float(re.search(rf"^{re.escape(wanted)} (\S+)$", tell(region, "GET", "/metrics"), re.MULTILINE).group(1))


def shown(region, asked=None, more=(), root=f"{cluster}/public/root.pem"):
    """What openssl sees of an edge that is asked for a name."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"{address[region]}:8443", "-CAfile", root, *(["-servername", asked, "-verify_hostname", asked] if asked else ["-noservername"]), *more],
                          input="", capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def serial_of(text):
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL).group(0)
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True).stdout.strip().split("=")[1].lower()


def serials(region, asked):
    try:
        return [serial_of(shown(region, asked))]
    except AttributeError:  # it showed none
        return []


class Visitors:
    """Who comes with a new connection each time, and by name where there is a certificate for that; and one that stays."""

    def __init__(self, region):
        self.region, self.on, self.done, self.bad = region, True, 0, []
        self.any = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
        self.any.check_hostname = False
        self.kept = self.connection()
        self.threads = [threading.Thread(target=self.run, args=(kept,), daemon=True) for kept in (False, False, True)]
        for thread in self.threads:
            thread.start()

    def connection(self):
        made = http.client.HTTPSConnection(address[self.region], 8443, timeout=15, context=self.any)
        made.connect()
        return made

    def run(self, kept):
        while self.on:
            try:
                link = self.kept if kept else self.connection()
                link.request("GET", "/ca/us-east-1.crt")
                answer = link.getresponse()
                if answer.status != 200 or not answer.read():
                    self.bad.append(answer.status)
                if not kept:
                    link.close()
                self.done += 1
            except (OSError, http.client.HTTPException) as error:
                self.bad.append(error)
                if kept:
                    return
            time.sleep(0.01)

    def stop(self):
        self.on = False
        for thread in self.threads:
            thread.join(20)
        return self


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", *regions], check=True, capture_output=True)
    check(open(f"{cluster}/regions/{east}/edge-account.key").read() == open(f"{cluster}/regions/{west}/edge-account.key").read(), "the edges of all regions have one account")
    # East's own name leads to west: whoever is asked must be able to answer.
    names = Names({name: address[west], own_name[east]: address[west], own_name[west]: address[east], own_name[central]: address[central]})
    text = open(f"{cluster}/cluster.yaml").read()
    text = re.sub(r"^acme:.*$", f'acme: {{http01_port: 8080, resolver: "{names.server}"}}', text, flags=re.MULTILINE)
    open(f"{cluster}/cluster.yaml", "w").write(text + f"edge:\n  acme:\n    names: [{name}, \"{{region}}.edge.test\"]\n    contacts: [\"mailto:ops@edge.test\"]\n"
                                               "profiles: {server: {usage: server, must_staple: true}}\n")
    for region in regions:
        servers.start("node", region)
    for number, region in enumerate(regions, 1):
        wait_for(f"the node of {region} is ready", lambda: ask_node(f"127.{number}.0.11", "/readyz")[0] == 200, 90)
    for region in regions:
        start_edge(region)
    wait_for("east serves", lambda: "Verify return code: 0 (ok)" in shown(east), 30)
    visitors = Visitors(east)
    for region in regions:
        wait_for(f"{region} has a certificate of its own", lambda: status(region).get("state") == "valid", 60)
        wait_for(f"{region} serves it", lambda: status(region).get("serial") in serials(region, own_name[region]), 5)
        seen = shown(region, own_name[region])
        check("Verification: OK" in seen and "Verify return code: 0 (ok)" in seen, f"{region} shows a certificate for {own_name[region]} to who asks by that name")
    seen = shown(east, name)
    check("Verify return code: 0 (ok)" in seen and serial_of(seen) == status(east)["serial"], f"and for {name}")
    check(serial_of(shown(east)) != status(east)["serial"], "who says no name, as other edges do, gets the one that init made")
    check(stat.S_IMODE(os.stat(file[east]).st_mode) == 0o600, "key and certificate are for their owner alone")

    def stapled(region, asked):
        seen = shown(region, asked, ["-status"])
        return "OCSP Response Status: successful" in seen and "Cert Status: good" in seen
    check(stapled(east, own_name[east]) and stapled(west, name), "an OCSP answer is stapled: good")
    pem = open(file[east]).read()
    feature = subprocess.run(["openssl", "x509", "-noout", "-ext", "tlsfeature"], input=pem[pem.index("-----BEGIN CERTIFICATE"):], capture_output=True, text=True, check=True).stdout
    check("status_request" in feature and status(east)["must_staple"], "which the certificate asks clients to insist on (RFC 7633), as the profile says")
    check("OCSP response: no response sent" in shown(east, None, ["-status"]), "none to the certificate that has none")
    check(metric(east, "evercert_edge_certificate_expiry_seconds") > time.time() and metric(east, "evercert_edge_staple_expiry_seconds") > time.time(), "both ends are in the metrics")

    first = status(east)["serial"]
    tell(east, "POST", "/edge/renew")
    wait_for("a new one is served after an operator asked for it", lambda: serial_of(shown(east, name)) not in (first, serial_of(shown(east))), 30)
    check(stapled(east, name), "with an OCSP answer of its own from the first connection on")
    check([one for one in os.listdir(os.path.dirname(file[east])) if one.startswith("edge-1-acme.pem.")] == [f"edge-1-acme.pem.{status(east)['serial']}.ocsp"], "the answer of the old one is gone from the disk")

    # --- the region's node dies in the middle of an order: the challenge is held back until it is dead
    second = status(east)["serial"]
    servers.processes["edge", west].send_signal(signal.SIGSTOP)
    tell(east, "POST", "/edge/renew")
    wait_for("the order is under way", lambda: status(east).get("ordering"), 10)
    victim = servers.processes["node", east]
    victim.kill()
    victim.wait()
    servers.processes["edge", west].send_signal(signal.SIGCONT)
    wait_for("it is done all the same, by another region", lambda: status(east).get("serial", second) != second, 120)
    check(not visitors.bad, f"of {visitors.done} requests meanwhile none has failed: {visitors.bad[:3]}")
    servers.start("node", east)

    # --- proof is not possible: the old one stays
    third = status(east)["serial"]
    names.addresses[own_name[east]] = "127.9.9.9"
    tell(east, "POST", "/edge/renew")
    wait_for("the failure is told", lambda: status(east).get("failures", 0) > 0, 120)
    check(own_name[east] in status(east)["last_error"], f"with the reason: {status(east)['last_error']}")
    check(serial_of(shown(east, name)) == third and metric(east, "evercert_edge_certificate_failures") > 0, "the old one is served")
    names.addresses[own_name[east]] = address[west]
    wait_for("it is tried again by itself", lambda: status(east).get("serial", third) != third, 150)
    check(not visitors.stop().bad, f"of {visitors.done} requests in all none has failed: {visitors.bad[:3]}")

    # --- everything but the edge is gone
    last = status(east)["serial"]
    for region in regions:
        servers.processes["node", region].kill()
        servers.processes["node", region].wait()
    check(servers.stop_one("edge", east) == 0, "the edge ends")
    start_edge(east)
    wait_for("the edge serves again", lambda: status(east).get("state") == "valid", 20)
    check(serial_of(shown(east, name)) == last and stapled(east, name), "after a restart without a node it shows the same certificate, with its OCSP answer")
    check(servers.processes["edge", east].poll() is None, "and runs")
    os.remove(f"{cluster}/regions/{east}/edge-account.key")
    done = subprocess.run([evercert, "edge", "--cluster", f"{cluster}/cluster.yaml", "--region", east], capture_output=True, text=True, timeout=20)
    check(done.returncode != 0 and "openssl genpkey" in done.stderr, f"without the account's key an edge does not start, and says what to do: {done.stderr.strip()[-200:]}")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
