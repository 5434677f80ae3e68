#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two of three regions are gone: signed answers go on, work is queued durably or refused as the cluster file says, status says
which mode and why. The node that keeps the queue is killed as well. When the regions come back, everything that was queued is
carried out exactly once, revocations first, and the report says so. Three real regions."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from operators import Operator
from servers import Servers
from checks import check, wait_for
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-degraded-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
east, west, central = regions
servers = Servers(evercert, work, cluster)
start, kill, processes = servers.start, servers.kill, servers.processes

ctl = Operator(evercert, cluster).ctl


def ask(url, method="GET", body=None, headers=None):
    """Status, document (or bytes), headers; status 0: no connection."""
    request = urllib.request.Request(url, method=method, data=None if body is None else json.dumps(body).encode(), headers=dict(headers or {}))
    request.add_header("Authorization", "Bearer " + open(f"{cluster}/operator/token").read().strip())
    try:
        with urllib.request.urlopen(request, timeout=25) as answer:
            status, raw, told = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refused:
        status, raw, told = refused.code, refused.read(), refused.headers
    except OSError as error:
        return 0, {"detail": str(error)}, {}
    try:
        return status, json.loads(raw), told
    except ValueError:
        return status, raw, told


def edge(region, method, path, body=None, **headers):
    number = regions.index(region) + 1
    return ask(f"http://127.{number}.0.1:8080{path}", method, body, {name.replace("_", "-"): value for name, value in headers.items()})


def node(region, method, path, body=None, **headers):
    number = regions.index(region) + 1
    return ask(f"http://127.{number}.0.11:9080{path}", method, body, {name.replace("_", "-"): value for name, value in headers.items()})


def make_csr(name):
    out = subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/",
                          "-addext", f"subjectAltName=DNS:{name}"], capture_output=True, text=True, check=True)
    return out.stdout


def issue(region, name, at=edge, csr=None, replaces=None, **headers):
    body = {"csr": csr or make_csr(name), "profile": "server"}
    if replaces:
        body["replaces"] = replaces
    return at(region, "POST", "/v1/certificates", body, **headers)


def revoke(region, serial, at=edge, **headers):
    return at(region, "POST", f"/v1/certificates/{serial}/revoke", {"reason": "keyCompromise"}, **headers)


def ocsp(region, issued):
    pem, issuer = issued["certificate"], issued["region"]
    leaf = os.path.join(work, "leaf.pem")
    open(leaf, "w").write(pem)
    number = regions.index(region) + 1
    out = subprocess.run(["openssl", "ocsp", "-issuer", f"{cluster}/public/{issuer}.pem", "-cert", leaf, "-url", f"http://127.{number}.0.1:8080/ocsp",
                          "-CAfile", f"{cluster}/public/bundle.pem", "-no_nonce"], capture_output=True, text=True)
    return out.stdout + out.stderr


def mode(region):
    status, document, _ = node(region, "GET", "/v1/status")
    return document["mode"]["name"] if status == 200 else None


def metric(region, name):
    text = node(region, "GET", "/metrics")[1].decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[-1])


def kill_node(region):
    processes["node", region].send_signal(signal.SIGKILL)
    processes["node", region].wait()


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    with open(f"{cluster}/cluster.yaml", "a") as file:
        file.write("\ndegraded:\n  issuance: {do: queue, expires_minutes: 60}\n  renewal: queue\n  most_queued: 40\n")
    for region in regions:
        start("node", region)
        start("edge", region)
    wait_for("all regions issue", lambda: all(issue(region, "a.test")[1].get("region") == region for region in regions), 90)
    check(all(mode(region) == "normal" for region in regions), "all regions are in the normal mode")
    doomed = [issue(region, f"doomed{n}.test")[1] for n, region in enumerate([east, central, west, east, central])]
    bystander = issue(west, "bystander.test")[1]
    check(revoke(west, doomed[4]["serial"])[0] == 200, "with a majority a revocation is done at once")
    for region in (east, west):
        kill(region)
    died = time.monotonic()
    wait_for("the region that is left says that it has no majority", lambda: mode(central) == "no_majority", 15)
    print(f"      degraded {time.monotonic() - died:.1f} s after the death of the two others")
    status, document, _ = node(central, "GET", "/v1/status")
    check("no majority" in document["mode"]["why"] and document["mode"]["since"].startswith("20"), "status says which mode, since when and why")
    shown = ctl("status", exit_code=(0, 1))
    check("no quorum" in shown and "no_majority since" in shown, "so does ctl status")

    # --- signed answers go on
    check(": good" in ocsp(central, bystander), "OCSP goes on")
    check(edge(central, "GET", f"/crl/{central}.crl")[0] == 200, "CRLs go on")
    status, document, headers = edge(central, "GET", f"/v1/certificates/{bystander['serial']}")
    check(status == 200 and headers["Evercert-Stale"] == "true", "reads go on and say that they may be stale")

    # --- work is queued, in the wrong order on purpose
    issuances = {}
    for n in range(3):
        status, document, headers = issue(central, f"queued{n}.test")
        check(status == 202 and document["status"] == "queued" and headers["Location"] == "/v1/queued/" + document["id"], f"an issuance is queued ({status})")
        issuances[document["id"]] = f"queued{n}.test"
    keyed_csr = make_csr("keyed.test")
    status, keyed, _ = issue(central, "keyed.test", csr=keyed_csr, Idempotency_Key="k1")
    check(status == 202, "one with an idempotency key too")
    status, again, _ = issue(central, "keyed.test", csr=keyed_csr, Idempotency_Key="k1")
    check(status == 202 and again["id"] == keyed["id"], "its repetition finds what waits")
    check(issue(central, "other.test", Idempotency_Key="k1")[0] == 409, "the same key for another request is refused")
    status, renewal, _ = issue(central, "bystander.test", replaces=bystander["serial"])
    check(status == 202 and renewal["kind"] == "renewal", "what names the certificate that it replaces is a renewal")
    check(issue(central, "r.test", replaces="xyz")[0] == 400, "which must be a serial number")
    status, document, _ = issue(central, "under_score.test")
    check(status == 400, f"what could never be issued is refused at once: {document['detail'][:60]}")
    revocations = {}
    for n, at in enumerate([edge, node, edge]):
        status, document, _ = revoke(central, doomed[n]["serial"], at=at)
        check(status == 202 and document["kind"] == "revocation" and "no majority" in document["why"], f"a revocation is queued by {at.__name__} ({status})")
        revocations[document["id"]] = doomed[n]["serial"]
    status, unknown, _ = revoke(central, "03" + "00" * 15)
    check(status == 202, "also one of a certificate that is not known here: another region may know it")
    status, second, _ = revoke(central, doomed[4]["serial"])
    check(status == 202, "also a second one: whether it is, the group decides")
    status, dropped, _ = revoke(central, doomed[3]["serial"])
    check("dropped by" in ctl("--region", central, "queue", "drop", dropped["id"]), "an operator may drop one")

    status, document, headers = edge(central, "GET", f"/v1/certificates/{doomed[0]['serial']}")
    check(document["status"] == "good", "a revocation that waits is not told to be done")
    check("trylater" in ocsp(central, doomed[0]), "but nothing new is signed to say that it is good")
    check(": good" in ocsp(central, bystander), "of others it is")
    check("revoked" in ocsp(central, doomed[4]), "what is revoked is told so")

    status, document, headers = edge(central, "GET", "/acme/directory")
    check(status == 200, "the ACME directory is there")
    status, document, headers = edge(central, "HEAD", "/acme/new-nonce")
    status, document, headers = node(central, "POST", f"/v1/regions/{east}/fence", {"reason": "x"})
    check(status == 503 and headers["Evercert-Mode"] == "no_majority" and int(headers["Retry-After"]) >= 10, "what is not queued says which mode it is and when to come again")

    n = 0
    while n < 60:
        status, document, _ = issue(central, f"more{n}.test", csr=keyed_csr)
        if status != 202:
            break
        issuances[document["id"]] = f"more{n}.test"
        n += 1
    check(status == 503 and "full" in document["detail"], f"a full queue says so: {document['detail'][:100]}")
    status, document, _ = revoke(central, issue_serial := bystander["serial"], Idempotency_Key="last")
    check(status == 202, "and has room for a revocation")
    revocations[document["id"]] = issue_serial

    listed = json.loads(ctl("--json", "--region", central, "queue", "list"))[0]
    kinds = [one["kind"] for one in listed["operations"]]
    check(kinds == sorted(kinds, key=["revocation", "renewal", "issuance"].index), "the list has revocations first, then renewals")
    waiting = len(kinds)
    check(metric(central, 'evercert_queued{kind="revocation"}') == kinds.count("revocation") and metric(central, 'evercert_mode{mode="no_majority"}') == 1,
          "metrics say the same")

    # --- the node that keeps it is killed
    kill_node(central)
    start("node", central)
    wait_for("the node is back", lambda: node(central, "GET", "/v1/status")[0] == 200, 20)
    status, document, _ = node(central, "GET", "/v1/status")
    check(document["queue"]["waiting"] == waiting and document["queue"]["oldest"], f"all {waiting} operations are still there after SIGKILL")
    check("trylater" in ocsp(central, doomed[0]), "and are minded as before")
    for id_ in list(issuances) + list(revocations):
        status, document, _ = edge(central, "GET", f"/v1/queued/{id_}")
        assert document["status"] == "queued", (id_, status, document)
    wait_for("it knows again that it has no majority", lambda: mode(central) == "no_majority", 15)

    # --- one comes back, and the keeper dies in the middle of it
    start("node", east)
    start("edge", east)
    wait_for("it has begun to carry out", lambda: (node(central, "GET", "/v1/status")[1].get("queue") or {}).get("waiting", waiting) < waiting, 60)
    kill_node(central)
    start("node", west)
    start("edge", west)
    time.sleep(1)
    start("node", central)
    wait_for("the keeper is back", lambda: node(central, "GET", "/v1/status")[0] == 200, 20)
    goes_on = "is complete" not in open(os.path.join(work, f"node-{central}.log")).read() and node(central, "GET", "/v1/reconciliations")[1]["reconciliations"] == []
    wait_for("everything is carried out", lambda: (node(central, "GET", "/v1/status")[1].get("queue") or {}).get("waiting", 1) == 0, 60)
    wait_for("the mode is normal again", lambda: all(mode(region) == "normal" for region in regions), 30)
    wait_for("all regions issue again", lambda: all(issue(region, "a.test")[1].get("region") == region for region in regions), 30)

    # The edge's view of a node that has just started may be a moment old.
    wait_for("whoever keeps it is reached through another region", lambda: edge(east, "GET", f"/v1/queued/{next(iter(revocations))}")[0] != 503, 20)

    # --- exactly once
    for id_, serial in revocations.items():
        status, document, _ = edge(east, "GET", f"/v1/queued/{id_}")
        assert status == 200 and document["status"] == "done" and document["serial"] == serial, (status, document)
        for region in regions:
            assert edge(region, "GET", f"/v1/certificates/{serial}")[1]["status"] == "revoked", (region, serial)
    check(True, f"{len(revocations)} revocations are done, told so by another region's edge, and seen in all regions")
    check("revoked" in ocsp(west, doomed[0]) and "revoked" in ocsp(central, doomed[0]), "OCSP says so")
    check(edge(west, "GET", f"/v1/certificates/{doomed[3]['serial']}")[1]["status"] == "good", "what was dropped was not carried out")
    check(edge(west, "GET", f"/v1/queued/{dropped['id']}")[1]["status"] == "dropped", "and is told so")
    status, document, _ = edge(west, "GET", f"/v1/queued/{unknown['id']}")
    check(document["status"] == "refused" and "serial" in document["detail"], "a revocation of what does not exist is refused, with the reason")
    status, document, _ = edge(west, "GET", f"/v1/queued/{second['id']}")
    check(document["status"] == "refused" and "already revoked" in document["detail"], "and a second one")

    made = {}
    for id_, name in list(issuances.items()) + [(keyed["id"], "keyed.test"), (renewal["id"], "bystander.test")]:
        status, document, _ = edge(west, "GET", f"/v1/queued/{id_}")
        assert status == 200 and document["status"] == "done" and "BEGIN CERTIFICATE" in document["certificate"], (status, document)
        assert document["serial"] not in made, "two operations, two certificates"
        made[document["serial"]] = document
    check(True, f"{len(made)} issuances are done, and another region tells the certificates")
    status, document, _ = issue(east, "keyed.test", csr=keyed_csr, Idempotency_Key="k1")
    check(status == 201 and document["serial"] == edge(west, "GET", f"/v1/queued/{keyed['id']}")[1]["serial"], "its client asks again with its key, elsewhere, and gets the same certificate")
    names = {}
    cursor = ""
    while True:
        page = edge(west, "GET", f"/v1/certificates?limit=1000&cursor={cursor}")[1]
        for one in page["certificates"]:
            pem = edge(west, "GET", f"/v1/certificates/{one['serial']}")[1]["certificate"]
            text = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=pem, capture_output=True, text=True).stdout
            name = text.split("DNS:")[1].strip()
            names[name] = names.get(name, 0) + 1
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    expected = {"queued0.test": 1, "queued1.test": 1, "queued2.test": 1, "keyed.test": 1 + len(issuances) - 3, "bystander.test": 2}
    check({name: names[name] for name in expected} == expected, f"in the whole store there is one certificate for each, none twice {[names[name] for name in expected]}")

    # --- the report
    status, document, _ = node(central, "GET", "/v1/reconciliations")
    report = document["reconciliations"][0]
    tally = report["operations"]
    check(report["ended_at"] and "no majority" in report["why"], "the reconciliation has a report: since when, why, until when")
    check(tally["revocation"] == {"queued": len(revocations) + 3, "done": len(revocations), "refused": 2, "expired": 0, "dropped": 1}, f"it counts revocations: {tally['revocation']}")
    check(tally["issuance"] == {"queued": len(issuances) + 1, "done": len(issuances) + 1, "refused": 0, "expired": 0, "dropped": 0}, "and issuances")
    check(tally["renewal"]["done"] == 1, "and renewals")
    if goes_on:  # else SIGKILL came between the end and the line that tells of it
        wait_for("the log says so too", lambda: "reconciliation 1 is complete" in open(os.path.join(work, f"node-{central}.log")).read(), 10)
    check("revocation" in ctl("queue", "reports"), "and ctl")
    check("done" in ctl("queue", "show", keyed["id"]), "ctl shows what became of one, through any region")
    check(edge(east, "GET", "/v1/queued/" + "0" * 28)[0] == 404 and edge(east, "GET", "/v1/queued/xyz")[0] == 400, "an id that never was is told so")
    kill(central)
    status, document, _ = edge(east, "GET", f"/v1/queued/{keyed['id']}")
    check(status == 503 and central in document["detail"], f"while the keeper is gone, others say whose it is: {document['detail'][:90]}")
    print(f"degraded: {checks.count} passed, 0 failed")
finally:
    servers.end()
