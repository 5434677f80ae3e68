#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Edges of two regions get the certificate of their names from somebody else's directory: Let's Encrypt's test server Pebble, by http-01 and by tls-alpn-01, with DNS that leads it to
an edge that did not order. pebble_test.py EVERCERT PEBBLE."""
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import checks
from checks import check, wait_for
from names import Names
from servers import Servers

evercert, pebble = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
work = tempfile.mkdtemp(prefix="evercert-pebble-")
cluster = os.path.join(work, "cluster")
east, west = regions = ["us-east-1", "us-west-2"]
address = {east: "127.1.0.1", west: "127.2.0.1"}
admin = {region: f"127.0.0.1:991{number}" for number, region in enumerate(regions, 1)}
directory, management = "127.0.0.1:14000", "127.0.0.1:15000"
servers = Servers(evercert, work, cluster)
others = []


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=work)


def certificate_of_directory():
    """The TLS of the directory itself, by a CA of its own, which the cluster file names."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "directory-ca.key", "-out", "directory-ca.pem", "-subj", "/CN=directory", "-days", "2")
    openssl("req", *curve, "-keyout", "directory.key", "-out", "directory.csr", "-subj", "/CN=acme.test")
    open(f"{work}/directory.ext", "w").write("subjectAltName=DNS:acme.test,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "directory.csr", "-CA", "directory-ca.pem", "-CAkey", "directory-ca.key", "-CAcreateserial", "-days", "2", "-extfile", "directory.ext", "-out", "directory.pem")


def start_pebble(server):
    open(f"{work}/pebble.json", "w").write(json.dumps({"pebble": {
        "listenAddress": directory, "managementListenAddress": management, "certificate": f"{work}/directory.pem", "privateKey": f"{work}/directory.key",
        "httpPort": 8080, "tlsPort": 8443, "ocspResponderURL": "", "externalAccountBindingRequired": False}}))
    log = open(f"{work}/pebble.log", "a")
    others.append(subprocess.Popen([pebble, "-config", f"{work}/pebble.json", "-dnsserver", server], stdout=log, stderr=subprocess.STDOUT,
                                   env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}))


trusted = None


def fetch(url):
    with urllib.request.urlopen(url, timeout=5, context=trusted if url.startswith("https") else None) as answer:
        return answer.read()


def answers(url):
    try:
        return fetch(url)
    except OSError:
        return None


def status(region):
    seen = answers(f"http://{admin[region]}/edge/status")
    return json.loads(seen)["certificate"] if seen else {}


def shown(region, name):
    done = subprocess.run(["openssl", "s_client", "-connect", f"{address[region]}:8443", "-servername", name, "-verify_hostname", name, "-CAfile", f"{work}/foreign-root.pem"],
                          input="", capture_output=True, text=True, timeout=20)
    return done.stdout + done.stderr


def looked():
    """How often the directory has looked by http-01, and how often it was content with a proof of either kind."""
    log = open(f"{work}/pebble.log").read()
    return log.count("Attempting to validate w/ HTTP"), log.count("set VALID by completed challenge")


def run(challenge, names):
    text = re.sub(r"^edge:.*", "", plain, flags=re.DOTALL | re.MULTILINE)
    wanted = ", ".join(f'"{name}"' for name in names)
    open(f"{cluster}/cluster.yaml", "w").write(text + f"edge:\n  acme:\n    names: [{wanted}]\n    directory: https://acme.test:14000/dir\n    trust: {work}/directory-ca.pem\n    challenge: {challenge}\n")
    for region in regions:
        servers.start("edge", region, more=["--admin", admin[region]])
    for region in regions:
        wait_for(f"{region} has a certificate by {challenge}", lambda: status(region).get("state") == "valid", 60)
        own = [name.replace("{region}", region) for name in names]
        for name in own:
            wait_for(f"{region} shows it for {name}", lambda: "Verify return code: 0 (ok)" in shown(region, name), 10)
    for region in regions:
        check(servers.stop_one("edge", region) == 0, f"the edge of {region} ends")
        os.remove(f"{cluster}/regions/{region}/edge-1-acme.pem")


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", *regions, "eu-central-1"], check=True, capture_output=True)
    certificate_of_directory()
    trusted = ssl.create_default_context(cafile=f"{work}/directory-ca.pem")
    # The common name leads to west, whoever orders; east's own name too, west's own one to east.
    names = Names({"acme.test": "127.0.0.1", "ca.edge.test": address[west], f"{east}.edge.test": address[west], f"{west}.edge.test": address[east]})
    start_pebble(names.server)
    wait_for("the directory answers", lambda: answers(f"https://{directory}/dir"), 20)
    open(f"{work}/foreign-root.pem", "wb").write(fetch(f"https://{management}/roots/0") + fetch(f"https://{management}/intermediates/0"))
    plain = re.sub(r"^acme:.*$", f'acme: {{http01_port: 8080, resolver: "{names.server}"}}', open(f"{cluster}/cluster.yaml").read(), flags=re.MULTILINE)
    run("http-01", ["ca.edge.test", "{region}.edge.test"])
    by_http, all_of_them = looked()
    check(by_http >= 4 and all_of_them >= 4, f"the directory has looked at the plain port ({by_http} times)")
    run("tls-alpn-01", ["ca.edge.test", "{region}.edge.test"])
    check(looked()[0] == by_http and looked()[1] >= all_of_them + 4, "and then at the TLS port alone")
    print(f"{checks.count} checks passed")
finally:
    servers.end(others)
