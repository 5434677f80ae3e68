#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What makes a session is in the store: an ACME account's requests come to one node, and go on at another when that dies; an order and a listing that were begun in one
region are finished in another after its death; a repetition under an idempotency key too. The client sees nothing of it but another address."""
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import josepy
from acme import challenges, client, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import checks
from checks import check, wait_for
from names import Names
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-sessions-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
url = {region: f"https://127.{number}.0.1:8443" for number, region in enumerate(regions, 1)}
servers = Servers(evercert, work, cluster)
name, tokens = "session.test", {}
os.environ["REQUESTS_CA_BUNDLE"] = f"{cluster}/public/root.pem"


class Challenges(BaseHTTPRequestHandler):
    def do_GET(self):
        body = tokens.get(self.path.rsplit("/", 1)[-1], "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def ask(region, path, body=None, headers=None):
    context = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
    request = urllib.request.Request(url[region] + path, data=body, headers={"Authorization": "Bearer " + token, "Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=15, context=context) as answer:
        return json.loads(answer.read())


def moved(where, region):
    """The same resource, through another region."""
    return url[region] + where[where.index("/acme/"):]


def acme(region, key, account=None):
    network = client.ClientNetwork(key, account=account, alg=josepy.ES256, user_agent="evercert-e2e")
    return client.ClientV2(client.ClientV2.get_directory(url[region] + "/acme/directory", network), network)


def requests_of(region):
    """By node, how many requests its edge has sent there."""
    with urllib.request.urlopen(f"http://{url[region][8:].split(':')[0]}:8080/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {backend: int(count) for backend, count in re.findall(r'^evercert_edge_backend_requests_total\{backend="([^"]+)",kind="node"\} (\d+)$', text, re.MULTILINE)}


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", *regions, "--zones", "2"], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Challenges)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = Names({name: "127.0.0.1"})
    text = open(f"{cluster}/cluster.yaml").read()
    text = re.sub(r"^acme:.*$", f'acme: {{http01_port: {server.server_port}, resolver: "{names.server}"}}', text, flags=re.MULTILINE)
    open(f"{cluster}/cluster.yaml", "w").write(text)
    token = open(f"{cluster}/operator/token").read().strip()
    for region in regions:
        for zone in (1, 2):
            servers.start("node", region, zone)
        servers.start("edge", region)
    leaf = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(leaf, hashes.SHA256())
    issuance = json.dumps({"csr": csr.public_bytes(serialization.Encoding.PEM).decode(), "profile": "server"}).encode()

    why = []

    def issues(region):
        try:
            return ask(region, "/v1/certificates", issuance)["serial"]
        except OSError as error:
            why[:] = [f"{error} {error.read().decode() if isinstance(error, urllib.error.HTTPError) else ''}"]
            return None
    for region in regions:
        try:
            wait_for(f"{region} issues", lambda: issues(region), 150)
        except AssertionError as error:
            raise AssertionError(f"{error}: {why}") from None

    def own_nodes_work():
        before = sum(requests_of(east).values())
        issues(east)
        return sum(requests_of(east).values()) > before
    wait_for("the edge has seen its own nodes", own_nodes_work, 60)
    for _ in range(25):
        issues(east)

    # --- one node for one account
    key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    first = acme(east, key)
    account = first.new_account(messages.NewRegistration.from_data(email="ops@example.test", terms_of_service_agreed=True))

    def dozen():
        """Of twelve of the account's requests: how many came to each node of the region. On a busy machine other regions may be asked for a while."""
        before = requests_of(east)
        for _ in range(12):
            first._post_as_get(account.uri)
        return {node: count - before[node] for node, count in requests_of(east).items()}
    wait_for("the region's nodes are asked", lambda: sum(dozen().values()) >= 12, 60)
    grown = dozen()
    home = max(grown, key=grown.get)
    check(grown[home] >= 12 and sum(grown.values()) - grown[home] < 6, f"an account's requests come to one node: {grown}")

    # --- that node dies in the middle of an order
    pem = csr.public_bytes(serialization.Encoding.PEM)
    order = first.new_order(pem)
    number = int(home.split(":")[0].rsplit(".", 1)[1]) - 10
    victim = servers.processes["node", east if number == 1 else f"{east}-{number}"]
    victim.kill()
    victim.wait()
    challenge = next(c for c in order.authorizations[0].body.challenges if isinstance(c.chall, challenges.HTTP01))
    tokens[challenge.chall.encode("token")] = challenge.chall.validation(key)
    answer = first._post(challenge.uri, challenge.response(key))
    check(answer.json()["status"] == "valid", "its order goes on at another node when it has died, with the nonce that the dead one gave")

    # --- the whole region dies: an order, a listing, an issuance under a key
    page = ask(east, "/v1/certificates?limit=10")
    check(len(page["certificates"]) == 10 and page["next_cursor"], "a listing was begun in the region")
    repeated = ask(east, "/v1/certificates", issuance, {"Idempotency-Key": "one"})["serial"]
    second = first.new_order(pem)
    challenge = next(c for c in second.authorizations[0].body.challenges if isinstance(c.chall, challenges.HTTP01))
    tokens[challenge.chall.encode("token")] = challenge.chall.validation(key)
    nonces = list(first.net._nonces)
    servers.processes["edge", east].kill()
    for zone in (1, 2):
        process = servers.processes["node", east if zone == 1 else f"{east}-{zone}"]
        process.kill()
        process.wait()
    began = time.monotonic()
    network = client.ClientNetwork(key, account=account, alg=josepy.ES256, user_agent="evercert-e2e")
    network._nonces = set(nonces)
    there = client.ClientV2(client.ClientV2.get_directory(url[west] + "/acme/directory", network), network)

    def goes_on(action, what):
        result = []

        def tried():
            try:
                result.append(action())
                return True
            except (messages.Error, OSError) as error:
                assert "serverInternal" in str(error) or "503" in str(error) or isinstance(error, OSError), error
                return False
        wait_for(what, tried, 30)
        return result[-1]
    answer = goes_on(lambda: there._post(moved(challenge.uri, west), challenge.response(key)), "the proof is taken in another region")
    check(answer.json()["status"] == "valid", f"the order of the dead region is proved in another one, {time.monotonic() - began:.1f} s after its death")
    done = goes_on(lambda: there._post(moved(second.body.finalize, west), messages.CertificateRequest(csr=josepy.ComparableX509(
        __import__("OpenSSL").crypto.load_certificate_request(2, csr.public_bytes(serialization.Encoding.DER))))), "it is finalized there")
    check(done.json()["status"] == "valid", "and finalized")
    got = goes_on(lambda: acme(central, key, account)._post_as_get(moved(done.json()["certificate"], central)).text, "it is downloaded in a third region")
    check(x509.load_pem_x509_certificate(got.encode()).public_key().public_numbers() == leaf.public_key().public_numbers(), "a third one gives out the certificate")
    seen = {one["serial"] for one in page["certificates"]}
    pages = 1
    while page.get("next_cursor"):
        page = goes_on(lambda: ask(west, "/v1/certificates?limit=10&cursor=" + page["next_cursor"]), "the next page comes")
        fresh = {one["serial"] for one in page["certificates"]}
        check(not fresh & seen, f"page {pages + 1} of the listing comes from another region, and nothing twice")
        seen |= fresh
        pages += 1
    check(len(seen) >= 28, f"nothing is left out: {len(seen)}")
    check(goes_on(lambda: ask(west, "/v1/certificates", issuance, {"Idempotency-Key": "one"}), "the repetition is answered")["serial"] == repeated,
          "a repetition under its key gets the certificate that the dead region issued")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
