#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ACME as its users see it: lego and certbot in every region, an order that wanders through all regions, and clients that
misbehave. Usage: acme_test.py CLUSTER.JSON [REGION...]"""
import base64
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import ssl

import josepy
from acme import challenges, client, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from checks import check

cluster = json.load(open(sys.argv[1]))
regions = [region for region in cluster["regions"] if len(sys.argv) < 3 or region["name"] in sys.argv[2:]]
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["LEGO_CA_CERTIFICATES"] = cluster["ca_bundle"]
tls = ssl.create_default_context(cafile=cluster["ca_bundle"])
work = tempfile.mkdtemp(prefix="evercert-acme-")
run = os.path.basename(work).split("-")[-1].lower().replace("_", "")


def must(command, what):
    out = subprocess.run(command, capture_output=True, text=True)
    check(out.returncode == 0, what if out.returncode == 0 else f"{what}: {out.stdout[-1500:]}{out.stderr[-1500:]}")


def fingerprint(path):
    return x509.load_pem_x509_certificate(open(path, "rb").read()).serial_number


def status_of(region, serial):
    request = urllib.request.Request(f"{region['edge_url']}/v1/certificates/{serial:032x}")
    request.add_header("Authorization", "Bearer " + open(cluster["operator_token"]).read().strip())
    with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
        return json.loads(answer.read())["status"]


for region in regions:
    name = f"lego.{run}.{region['name']}.test"
    home = os.path.join(work, "lego-" + region["name"])
    lego = ["lego", "--server", region["acme_directory"], "--email", "ops@example.test", "--accept-tos", "--path", home, "--domains", name]
    must([*lego, "--http", "--http.port", f"127.0.0.1:{cluster['http01_port']}", "run"], f"lego gets a certificate from {region['name']}")
    serial = fingerprint(f"{home}/certificates/{name}.crt")
    must([*lego, "revoke"], f"lego revokes it in {region['name']}")
    for each in regions:
        check(status_of(each, serial) == "revoked", f"{each['name']} knows that it is revoked")

for region in regions:
    name = f"alpn.{run}.{region['name']}.test"
    home = os.path.join(work, "lego-alpn-" + region["name"])
    must(["lego", "--server", region["acme_directory"], "--email", "ops@example.test", "--accept-tos", "--path", home, "--domains", name, "--tls", "--tls.port", "127.0.0.1:443", "run"],
         f"lego proves a name by tls-alpn-01 (RFC 8737) in {region['name']}")
    check(status_of(regions[0], fingerprint(f"{home}/certificates/{name}.crt")) == "good", f"{regions[0]['name']} knows that certificate")

for region in regions:
    name = f"certbot.{run}.{region['name']}.test"
    home = os.path.join(work, "certbot-" + region["name"])
    certbot = ["certbot", "--non-interactive", "--server", region["acme_directory"], "--config-dir", home, "--work-dir", home, "--logs-dir", home + "/logs"]
    must([*certbot, "certonly", "--agree-tos", "--email", "ops@example.test", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port",
          str(cluster["http01_port"]), "--domain", name, "--domain", "www." + name, "--cert-name", name], f"certbot gets a certificate for two names from {region['name']}")
    serial = fingerprint(f"{home}/live/{name}/cert.pem")
    must([*certbot, "revoke", "--cert-name", name, "--reason", "superseded", "--no-delete-after-revoke"], f"certbot revokes it in {region['name']}")
    check(status_of(regions[-1], serial) == "revoked", f"{regions[-1]['name']} knows that it is revoked")

# --- an order that wanders
tokens = {}


class Challenges(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = tokens.get(self.path.rsplit("/", 1)[-1])
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write((body or "").encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", cluster["http01_port"]), Challenges)
threading.Thread(target=server.serve_forever, daemon=True).start()
account_key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))


def client_of(region, key, account=None):
    network = client.ClientNetwork(key, account=account, alg=josepy.ES256, user_agent="evercert-e2e")
    return client.ClientV2(client.ClientV2.get_directory(region["acme_directory"], network), network)


def moved(url, region):
    """The same resource, through another region."""
    return region["edge_url"] + url[url.index("/acme/"):]


first = client_of(regions[0], account_key)
account = first.new_account(messages.NewRegistration.from_data(email="ops@example.test", terms_of_service_agreed=True))
clients = [first] + [client_of(region, account_key, account) for region in regions[1:]]
same = client_of(regions[-1], account_key)
try:
    same.new_account(messages.NewRegistration.from_data(email="ops@example.test", terms_of_service_agreed=True))
    check(False, "the same key made a second account")
except errors.ConflictError as conflict:
    check(conflict.location.endswith(account.uri.rsplit("/", 1)[-1]), "one key is one account in all regions")

leaf = ec.generate_private_key(ec.SECP256R1())
name = f"wanders.{run}.test"
builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
csr = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(leaf, hashes.SHA256())
csr_der = csr.public_bytes(serialization.Encoding.DER)
order = clients[0].new_order(csr.public_bytes(serialization.Encoding.PEM))
second, last = clients[1 % len(clients)], clients[-1]
for authorization in order.authorizations:
    challenge = next(c for c in authorization.body.challenges if isinstance(c.chall, challenges.HTTP01))
    tokens[challenge.chall.encode("token")] = challenge.chall.validation(account_key)
    url = moved(challenge.uri, regions[1 % len(regions)])
    answer = second._post(url, challenge.response(account_key))
    check(answer.json()["status"] == "valid", f"the order of {regions[0]['name']} is validated in {regions[1 % len(regions)]['name']}")
finalized = last._post(moved(order.body.finalize, regions[-1]), messages.CertificateRequest(csr=josepy.ComparableX509(
    __import__("OpenSSL").crypto.load_certificate_request(2, csr_der))))
check(finalized.json()["status"] == "valid", f"and finalized in {regions[-1]['name']}")
for n, region in enumerate(regions):
    pem = clients[n]._post_as_get(moved(finalized.json()["certificate"], region)).text
    got = x509.load_pem_x509_certificate(pem.encode())
    check(got.public_key() == leaf.public_key() or got.public_key().public_numbers() == leaf.public_key().public_numbers(),
          f"its certificate is downloaded from {region['name']}")

# --- the account: its orders, its contacts, another key, its end
def listed(via, region):
    page = via._post_as_get(moved(account.uri, region) + "/orders")
    return {url.rsplit("/", 1)[-1] for url in page.json()["orders"]}


for n, region in enumerate(regions):
    check(order.uri.rsplit("/", 1)[-1] in listed(clients[n], region), f"{region['name']} lists the order among the account's")
changed = clients[-1]._post(moved(account.uri, regions[-1]), messages.UpdateRegistration.from_data(email="new@example.test")).json()
check(changed["contact"] == ["mailto:new@example.test"], "its contact is changed")
next_key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
inner_payload = json.dumps({"account": account.uri, "oldKey": account_key.public_key().to_partial_json()}).encode()
inner = jws.JWS.sign(inner_payload, key=next_key, alg=josepy.ES256, nonce=None, url=clients[0].directory["keyChange"], kid=None)


class KeyChange(josepy.JSONDeSerializable):
    def to_partial_json(self):
        return json.loads(inner.json_dumps())

    @classmethod
    def from_json(cls, jobj):
        raise NotImplementedError


answer = clients[0]._post(clients[0].directory["keyChange"], KeyChange())
check(answer.headers["Location"].endswith(account.uri.rsplit("/", 1)[-1]), f"{regions[0]['name']} changes its key, not its URL")
try:
    clients[-1]._post_as_get(moved(order.uri, regions[-1]))
    check(False, "the old key is still good")
except messages.Error as error:
    check(error.typ.endswith(":unauthorized"), f"the old key is refused in {regions[-1]['name']}")
account_key = next_key
clients = [client_of(region, account_key, account) for region in regions]
second, last = clients[1 % len(clients)], clients[-1]
for n, region in enumerate(regions):
    check(order.uri.rsplit("/", 1)[-1] in listed(clients[n], region), f"the new key is good in {region['name']}")

# --- clients that misbehave
def refused(what, kind, action):
    try:
        action()
    except messages.Error as error:
        check(error.typ.rsplit(":", 1)[-1] == kind and error.detail, f"{what}: {kind}, {error.detail}")
        return
    check(False, f"{what} was accepted")


stranger_key = josepy.JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
stranger = client_of(regions[0], stranger_key)
refused("an order without an account", "accountDoesNotExist", lambda: client_of(regions[0], stranger_key, account.update(
    uri=account.uri[:-4] + "0000")).new_order(csr.public_bytes(serialization.Encoding.PEM)))
stranger_account = stranger.new_account(messages.NewRegistration.from_data(email="x@example.test", terms_of_service_agreed=True))
refused("someone else's order", "unauthorized", lambda: stranger._post_as_get(moved(order.uri, regions[0])))
refused("someone else's revocation", "unauthorized", lambda: stranger._post(
    stranger.directory["revokeCert"], messages.Revocation(certificate=josepy.ComparableX509(__import__("OpenSSL").crypto.load_certificate(1, pem.encode())), reason=0)))
unproved = clients[0].new_order(builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("unproved." + name)]), False).sign(
    leaf, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
refused("finalizing what is not proved", "orderNotReady", lambda: clients[-1]._post(
    moved(unproved.body.finalize, regions[-1]), messages.CertificateRequest(csr=josepy.ComparableX509(
        __import__("OpenSSL").crypto.load_certificate_request(2, csr_der)))))
challenge = next(c for c in unproved.authorizations[0].body.challenges if isinstance(c.chall, challenges.HTTP01))
answer = clients[0]._post(challenge.uri, challenge.response(account_key)).json()
check(answer["status"] == "invalid" and answer["error"]["detail"], f"a challenge that is not served is invalid: {answer['error']['detail']}")


def raw(region, path, body, kind="application/jose+json"):
    request = urllib.request.Request(region["edge_url"] + path, data=body, headers={"Content-Type": kind}, method="POST")
    try:
        with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


for what, body in {"no JSON": b"{", "a list": b"[]", "numbers for texts": b'{"protected":1,"payload":2,"signature":3}',
                   "no base64url": b'{"protected":"***","payload":"","signature":""}',
                   "a header that is no object": json.dumps({"protected": b64(b"[]"), "payload": "", "signature": ""}).encode(),
                   "an unknown algorithm": json.dumps({"protected": b64(b'{"alg":"none","url":"x","nonce":"y","kid":"z"}'), "payload": "", "signature": ""}).encode()}.items():
    status, document, headers = raw(regions[0], "/acme/new-account", body)
    check(status == 400 and document["type"].startswith("urn:ietf:params:acme:error:") and headers["Replay-Nonce"], f"{what}: {document['detail']}")


def signed(region, path, payload, nonce):
    url = region["edge_url"] + path
    return raw(region, path, jws.JWS.sign(json.dumps(payload).encode(), key=account_key, alg=josepy.ES256, nonce=nonce, url=url, kid=None).json_dumps().encode())


nonce = last.net.session.head(regions[-1]["edge_url"] + "/acme/new-nonce").headers["Replay-Nonce"]
decoded = base64.urlsafe_b64decode(nonce + "=" * (-len(nonce) % 4))
payload = {"onlyReturnExisting": True}
check(signed(regions[0], "/acme/new-account", payload, decoded)[0] == 200, f"a nonce of {regions[-1]['name']} is taken in {regions[0]['name']}")
status, document, headers = signed(regions[0], "/acme/new-account", payload, decoded)
check(status == 400 and document["type"].endswith(":badNonce") and headers["Replay-Nonce"], "but once: badNonce, with a fresh one")
status, document, _ = signed(regions[0], "/acme/new-account", {"contact": "me", "onlyReturnExisting": "yes", "status": 5},
                             base64.urlsafe_b64decode(headers["Replay-Nonce"] + "=="))
check(status == 200, "members of other types in an existing account's request change nothing")
clients[-1]._post(moved(account.uri, regions[-1]), messages.UpdateRegistration.from_json({"status": "deactivated"}))
refused("an account that was deactivated", "unauthorized", lambda: clients[0]._post_as_get(moved(order.uri, regions[0])))
server.shutdown()
subprocess.run(["rm", "-rf", work])
