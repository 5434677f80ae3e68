#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three real regions, real clients: what clients were told must be true in every region, before, during and after the loss
of one. Runs `evercert demo --keep` and talks to it as a user would."""
import base64
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

import checks
from checks import check, wait_for

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-e2e-")
dir_ = os.path.join(work, "cluster")

demo = subprocess.Popen([evercert, "demo", "--keep", "--dir", dir_, "--wan", "off"], stdout=open(os.path.join(work, "demo.log"), "w"),
                        stderr=subprocess.STDOUT)
restarted = []
try:
    wait_for("the cluster is ready", lambda: os.path.exists(os.path.join(dir_, "cluster.json")), 40)
    cluster = json.load(open(os.path.join(dir_, "cluster.json")))
    regions = cluster["regions"]
    token = open(cluster["operator_token"]).read().strip()
    tls = ssl.create_default_context(cafile=cluster["ca_bundle"])

    def call(region, method, path, body=None, headers=None, auth=True):
        request = urllib.request.Request(region["edge_url"] + path, method=method, data=body)
        if auth:
            request.add_header("Authorization", "Bearer " + token)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, context=tls, timeout=15) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null"), error.headers

    def make_csr(name, kind="ec"):
        algorithm = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"], "weak": ["rsa:1024"], "ed": ["ed25519"]}[kind]
        out = subprocess.run(["openssl", "req", "-new", "-newkey", *algorithm, "-nodes", "-keyout", "/dev/null", "-subj", f"/CN={name}",
                              "-addext", f"subjectAltName=DNS:{name}"], capture_output=True, text=True, check=True)
        return out.stdout

    def issue(region, csr, key=None, profile="server"):
        body = json.dumps({"csr": csr, "profile": profile}).encode()
        return call(region, "POST", "/v1/certificates", body, {"Idempotency-Key": key} if key else {})

    def ocsp(region, pem, issuer, url=None):
        leaf = os.path.join(work, "leaf.pem")
        open(leaf, "w").write(pem)
        out = subprocess.run(["openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-url", url or region["ocsp_url"], "-CAfile", cluster["ca_bundle"], "-no_nonce"],
                             capture_output=True, text=True)
        return out.stdout

    def places(pem, kind):
        """The URLs that a certificate names: of its OCSP responders, its issuer, its CRL."""
        extensions = x509.load_pem_x509_certificate(pem.encode()).extensions
        if kind == "crl":
            points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
            assert len(points) == 1, "one list, not several"
            return [name.value for name in points[0].full_name]
        method = {"ocsp": AuthorityInformationAccessOID.OCSP, "issuer": AuthorityInformationAccessOID.CA_ISSUERS}[kind]
        access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        return [entry.access_location.value for entry in access if entry.access_method == method]

    def check_places(serial, alive, when):
        pem, status, issuer_region = told[serial]
        issuer = f"{dir_}/public/{issuer_region}.pem"
        issuer_der = x509.load_pem_x509_certificate(open(issuer, "rb").read()).public_bytes(Encoding.DER)
        own = next(region["ocsp_url"] for region in regions if region["name"] == issuer_region).rsplit("/", 1)[0]
        for kind in ("ocsp", "issuer", "crl"):
            urls = places(pem, kind)
            assert len(urls) == len(regions) and urls[0].startswith(own + "/"), urls
            for region in alive:
                base = region["ocsp_url"].rsplit("/", 1)[0] + "/"
                url = next(url for url in urls if url.startswith(base))
                if kind == "ocsp":
                    assert f": {status}" in ocsp(region, pem, issuer, url), url
                    continue
                with urllib.request.urlopen(url, timeout=10) as answer:
                    got = answer.read()
                if kind == "issuer":
                    assert got == issuer_der, url
                else:
                    assert x509.load_der_x509_crl(got).is_signature_valid(x509.load_der_x509_certificate(issuer_der).public_key()), url
        check(True, f"a certificate of {issuer_region} names places in every region, and they answer {when}")

    print("every region issues, and every region knows at once")
    told = {}
    for n, region in enumerate(regions):
        for kind in ("ec", "rsa", "ed"):
            status, body, _ = issue(region, make_csr(f"{kind}{n}.example.test", kind))
            check(status == 201 and body["region"] == region["name"], f"{region['name']} issues for a key of kind {kind}")
            told[body["serial"]] = (body["certificate"], "good", region["name"])
    for serial, (pem, status_told, _) in told.items():
        for region in regions:
            status, body, headers = call(region, "GET", f"/v1/certificates/{serial}")
            assert status == 200 and body["status"] == status_told and "Evercert-Stale" not in headers, (region["name"], serial, body)
    check(True, "each certificate is seen in all regions right after its issuance")
    one = next(iter(told))
    chain = os.path.join(work, "chain.pem")
    open(chain, "w").write(told[one][0])
    out = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", f"{dir_}/public/root.pem", "-untrusted", chain, chain], capture_output=True, text=True)
    check(out.returncode == 0, "openssl verifies the chain strictly")

    print("idempotency: one key, one certificate, in any region")
    csr = make_csr("again.example.test")
    first = issue(regions[0], csr, key="e2e-key")
    for region in regions:
        again = issue(region, csr, key="e2e-key")
        check(again[0] == 201 and again[1]["serial"] == first[1]["serial"], f"the same key gives the same certificate in {region['name']}")
        check(again[1]["region"] == regions[0]["name"], f"and {region['name']} names the region that signed it")
    check(issue(regions[1], make_csr("other.example.test"), key="e2e-key")[0] == 409, "the same key for another request is refused")
    told[first[1]["serial"]] = (first[1]["certificate"], "good", first[1]["region"])

    print("revocation: once, everywhere, at once")
    victim = first[1]["serial"]
    reason = json.dumps({"reason": "keyCompromise"}).encode()
    check(call(regions[2], "POST", f"/v1/certificates/{victim}/revoke", reason)[0] == 200, "revoked through another region")
    check(call(regions[1], "POST", f"/v1/certificates/{victim}/revoke", reason)[0] == 409, "a second revocation is refused")
    told[victim] = (told[victim][0], "revoked", told[victim][2])
    issuer = f"{dir_}/public/{told[victim][2]}.pem"
    for region in regions:
        check(": revoked" in ocsp(region, told[victim][0], issuer), f"OCSP of {region['name']} says revoked")
        good = told[one]
        check(": good" in ocsp(region, good[0], f"{dir_}/public/{good[2]}.pem"), f"OCSP of {region['name']} says good of another")

    print("OCSP by GET under load: an acknowledged revocation is seen by the very next request, at every edge")
    class OcspGet:
        """Kept connections to the edges, asking about one certificate."""
        def __init__(self, pem, issuer):
            leaf = os.path.join(work, f"get-{id(self)}.pem")
            der = leaf[:-3] + "der"
            with open(leaf, "w") as file:
                file.write(pem)
            subprocess.run(["openssl", "ocsp", "-issuer", issuer, "-cert", leaf, "-no_nonce", "-reqout", der], check=True, capture_output=True)
            request = open(der, "rb").read()
            self.id = request[8:]  # inside four sequences of one element each
            self.path = "/ocsp/" + urllib.parse.quote(base64.b64encode(request).decode(), safe="")
            self.connections = {}

        def status(self, region):
            host = region["ocsp_url"].split("/")[2]
            if host not in self.connections:
                self.connections[host] = http.client.HTTPConnection(host, timeout=15)
            connection = self.connections[host]
            connection.request("GET", self.path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200 and answer.getheader("Evercert-Stale") is None, (region["name"], answer.status, dict(answer.getheaders()))
            assert answer.getheader("Evercert-Ocsp-Stamp") is None, "what edges and nodes say to each other stays there"
            after = body[body.index(self.id) + len(self.id):]
            return "good" if after.startswith(b"\x80\x00") else "revoked" if after[0] == 0xA1 else "unknown"

    class Load:
        """Calls `once` again and again on some threads until it is ended; what fails is kept."""
        def __init__(self, threads, once):
            self.stopped, self.failures, self.count = threading.Event(), [], 0
            self.threads = [threading.Thread(target=self.run, args=(once, n), daemon=True) for n in range(threads)]
            for thread in self.threads:
                thread.start()

        def run(self, once, n):
            state = {}
            while not self.stopped.is_set():
                try:
                    once(n, state)
                    self.count += 1
                except Exception as error:
                    self.failures.append(repr(error))

        def end(self):
            self.stopped.set()
            for thread in self.threads:
                thread.join(20)

    def busy(n, state):
        if "get" not in state:
            state["get"] = OcspGet(told[one][0], f"{dir_}/public/{told[one][2]}.pem")
        assert state["get"].status(regions[n % 3]) == "good"
    load = Load(6, busy)
    for round_ in range(6):
        home, at = regions[round_ % 3], regions[(round_ + round_ // 3) % 3]
        _, body, _ = issue(home, make_csr(f"doomed{round_}.example.test"))
        serial, pem = body["serial"], body["certificate"]
        get = OcspGet(pem, f"{dir_}/public/{body['region']}.pem")
        for region in regions * 3:
            assert get.status(region) == "good", region["name"]
        status, _, _ = call(at, "POST", f"/v1/certificates/{serial}/revoke", reason)
        assert status == 200, status
        seen = [get.status(region) for region in regions * 20]
        assert seen == ["revoked"] * 60, seen
        told[serial] = (pem, "revoked", body["region"])
    load.end()
    check(not load.failures, f"six revocations, seen at once by 60 requests each; {load.count} others were told good {load.failures[:2]}")
    with urllib.request.urlopen(regions[0]["ocsp_url"].rsplit("/", 1)[0] + "/metrics", timeout=10) as answer:
        copies = [line for line in answer.read().decode().splitlines() if line.startswith('evercert_edge_ocsp_total{from="copy"}')]
    check(copies and int(copies[0].split()[-1]) > 100, "most answers came from the edge's own copies")

    def crl_has(serial):
        """False as long as the list is older than the revocation."""
        url = regions[1]["crl_url"].replace(regions[1]["name"] + ".crl", told[serial][2] + ".crl")
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = subprocess.run(["openssl", "crl", "-inform", "DER", "-noout", "-text"], input=answer.read(), capture_output=True).stdout.decode()
        return serial.upper() in text.replace(":", "")
    wait_for("the CRL lists the revocation", lambda: crl_has(victim), 15)
    check(True, "the CRL lists it")

    for region in regions:
        check_places(next(serial for serial, entry in told.items() if entry[2] == region["name"]), regions, "in all of them")

    print("ACME clients in every region")
    acme_test = os.path.join(os.path.dirname(os.path.abspath(__file__)), "acme_test.py")
    subprocess.run([sys.executable, acme_test, os.path.join(dir_, "cluster.json")], check=True)

    print("bad input: a clear problem, and the service goes on")
    def refused(what, want, status, body):
        check(status == want and body.get("status") == want and body.get("detail"), f"{what}: {status} {body.get('detail', '')[:80]}")
    refused("no JSON", 400, *call(regions[0], "POST", "/v1/certificates", b"{")[:2])
    refused("no CSR", 400, *issue(regions[0], "nonsense")[:2])
    refused("a weak key", 400, *issue(regions[0], make_csr("weak.example.test", "weak"))[:2])
    refused("an unknown profile", 400, *issue(regions[0], make_csr("p.example.test"), profile="root")[:2])
    refused("an impossible name", 400, *issue(regions[0], make_csr("under_score.example.test"))[:2])
    refused("no token", 401, *call(regions[0], "GET", "/v1/certificates", auth=False)[:2])
    refused("an unknown serial", 404, *call(regions[0], "GET", "/v1/certificates/01" + "00" * 15)[:2])
    refused("a wrong method", 405, *call(regions[0], "DELETE", "/v1/certificates")[:2])
    refused("an oversized body", 413, *call(regions[0], "POST", "/v1/certificates", b"x" * 400_000)[:2])
    refused("an unknown reason", 400, *call(regions[0], "POST", f"/v1/certificates/{one}/revoke", b'{"reason":"certificateHold"}')[:2])
    garbage = urllib.request.Request(regions[0]["ocsp_url"], data=b"garbage", method="POST")
    with urllib.request.urlopen(garbage, timeout=10) as answer:
        check(answer.read() == bytes([0x30, 3, 0x0A, 1, 1]), "OCSP garbage is answered malformedRequest")

    with socket.create_connection((regions[0]["ocsp_url"].split("/")[2].split(":")[0], 8080), timeout=10) as slow:
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        slow.sendall(b"POST /ocsp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"0\r\n", b"\r", b"\n"):
            time.sleep(0.2)
            slow.sendall(piece)
        check(slow.recv(100).startswith(b"HTTP/1.1 200"), "a last chunk that comes byte by byte is answered")

    print("a region dies: the others go on")
    dead = regions[0]
    for pid in [dead["edge_pid"]] + [node["pid"] for node in dead["nodes"]]:
        os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    for n in range(12):
        region = regions[1 + n % 2]
        status, body, _ = issue(region, make_csr(f"after{n}.example.test"), key=f"after-{n}")
        check(status == 201, f"{region['name']} issues {time.monotonic() - begun:.1f} s after the loss")
        told[body["serial"]] = (body["certificate"], "good", body["region"])
    status, _, _ = call(regions[1], "POST", f"/v1/certificates/{one}/revoke", json.dumps({"reason": "superseded"}).encode())
    check(status == 200, "a certificate of the dead region is revoked elsewhere")
    told[one] = (told[one][0], "revoked", told[one][2])
    check(": revoked" in ocsp(regions[2], told[one][0], f"{dir_}/public/{told[one][2]}.pem"), "and OCSP says so")
    check_places(one, regions[1:], "while its region is dead")

    subprocess.run([sys.executable, acme_test, os.path.join(dir_, "cluster.json"), regions[1]["name"], regions[2]["name"]], check=True)

    print("it comes back: nothing is lost, nothing is forgotten")
    def restart(command):
        command = [word for word in command if word != "--die-with-parent"]
        restarted.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for command in [node["command"] for node in dead["nodes"]] + [dead["edge_command"]]:
        restart(command)

    def leased(node):
        try:
            with urllib.request.urlopen(node["url"] + "/v1/status", timeout=2) as answer:
                document = json.loads(answer.read())
            return not document["recovering"] and all(group["leased"] for group in document["groups"])
        except OSError:
            return False
    wait_for("the region holds its leases again", lambda: all(leased(node) for node in dead["nodes"]), 20)
    for region in regions:
        for serial, (_, status_told, _) in told.items():
            status, body, headers = call(region, "GET", f"/v1/certificates/{serial}")
            assert status == 200 and body["status"] == status_told, (region["name"], serial, status, body)
        check(True, f"{region['name']} holds all {len(told)} certificates as clients were told")
    listed, cursor = [], ""
    while True:
        _, body, _ = call(regions[0], "GET", f"/v1/certificates?limit=7{'&cursor=' + cursor if cursor else ''}")
        listed += [entry["serial"] for entry in body["certificates"]]
        cursor = body["next_cursor"]
        if not cursor:
            break
    check(len(listed) == len(set(listed)) and set(told) <= set(listed), "listing by pages shows each once")

    print("a disk is lost: the node is rebuilt from its peers")
    node = regions[2]["nodes"][0]
    os.kill(node["pid"], signal.SIGKILL)
    time.sleep(0.5)
    subprocess.run(["rm", "-rf", node["data_dir"]], check=True)
    restart(node["command"])
    wait_for("the node is rebuilt", lambda: leased(node), 25)
    for serial, (_, status_told, _) in told.items():
        status, body, _ = call(regions[2], "GET", f"/v1/certificates/{serial}")
        assert status == 200 and body["status"] == status_told, (serial, status, body)
    check(True, "it holds every certificate again")

    print("a node is killed behind a live edge under load: nobody notices")
    lone, here = regions[1]["nodes"][0], regions[1]
    issued = []
    def work_on(n, state):
        if n % 3 == 0:
            status, body, _ = issue(here, busy_csr)
            assert status == 201, (status, body)
            issued.append((body["serial"], body["certificate"], body["region"]))
        elif n % 3 == 1:
            status, body, _ = call(here, "GET", f"/v1/certificates/{first_told}")
            assert status == 200, (status, body)
        else:
            if "get" not in state:
                pem, _, region = told[first_told]
                state["get"] = OcspGet(pem, f"{dir_}/public/{region}.pem")
            assert state["get"].status(here) == told[first_told][1]
    first_told, busy_csr = next(iter(told)), make_csr("busy.example.test")
    load = Load(9, work_on)
    time.sleep(2)
    before = load.count
    lone["pid"] = [process.pid for process in restarted if process.args == lone["command"]] or [lone["pid"]]
    os.kill(lone["pid"][0], signal.SIGKILL)
    time.sleep(5)
    during = load.count - before
    restart(lone["command"])
    wait_for("the node holds its leases again", lambda: leased(lone), 25)
    time.sleep(2)
    load.end()
    check(before > 50 and during > 50, f"the load went on: {before} requests before, {during} while the node was dead, {load.count} in all")
    check(not load.failures, f"no request failed {load.failures[:3]}")
    check(len({serial for serial, _, _ in issued}) == len(issued), f"{len(issued)} certificates, no serial twice")
    for serial, _, _ in issued[-40:]:
        status, body, _ = call(regions[2], "GET", f"/v1/certificates/{serial}")
        assert status == 200 and body["status"] == "good", (serial, status, body)

    print("the configuration documents of the specification")
    here = os.path.dirname(os.path.abspath(__file__))
    for document in ("global_load_balancer", "cassandra"):
        out = subprocess.run([evercert, "config", "check", f"{here}/../fixtures/spec/{document}.yaml"], capture_output=True, text=True)
        check(out.returncode == 0, f"{document} loads unchanged")
finally:
    if sys.exc_info()[0] is not None:
        for log in sorted(os.listdir(os.path.join(dir_, "logs")) if os.path.isdir(os.path.join(dir_, "logs")) else []):
            print(f"--- {log}\n" + open(os.path.join(dir_, "logs", log)).read()[-800:])
        print(open(os.path.join(work, "demo.log")).read()[-1500:])
    demo.send_signal(signal.SIGINT)
    try:
        demo.wait(20)
    except subprocess.TimeoutExpired:
        demo.kill()
    for process in restarted:
        process.kill()
        process.wait()
    subprocess.run(["rm", "-rf", work])
print(f"{checks.count} checks passed")
