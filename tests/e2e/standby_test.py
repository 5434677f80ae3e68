#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A region that is lost goes on having its CRLs signed: by the standby of its key in another region's token, which the others'
shares open. Three real regions with keys in PKCS #11 tokens; OpenSSL is the relying party."""
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

from operators import Operator
from servers import Servers
from checks import check, wait_for
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-standby-")
cluster = os.path.join(work, "cluster")
regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
operator = Operator(evercert, cluster)
ctl = operator.ctl
start, kill, processes = servers.start, servers.kill, servers.processes


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def member(region):
    return next(one for one in json.loads(ctl("--json", "region", "list"))["regions"] if one["region"] == region)


def token_speeds():
    """By region: the most signatures a second that its tokens have shown, as the report of capacity knows it."""
    done = operator.run("--json", "capacity")
    return {one["region"]: one["most_signatures_per_second"] for one in json.loads(done.stdout)["regions"]}


def issue_at(region):
    """A certificate of the region's own issuing CA: its serial number and its file."""
    done = operator.run("--region", region, "--json", "issue", f"{work}/csr.pem")
    issued = json.loads(done.stdout) if done.returncode == 0 else {}
    if issued.get("region") != region:
        return None
    path = f"{work}/{issued['serial']}.pem"
    with open(path, "w") as file:
        file.write(issued["certificate"])
    return issued["serial"], path


def crl_url(certificate, at):
    """The distribution point of a certificate that another region's edge serves."""
    text = run("openssl", "x509", "-in", certificate, "-noout", "-ext", "crlDistributionPoints").stdout
    return next(url for url in re.findall(r"URI:(\S+)", text) if url.startswith(f"http://127.{regions.index(at) + 1}.0.1:"))


class Crl:
    """What a distribution point serves now, checked against the issuing CA."""

    def __init__(self, url, issuer):
        with urllib.request.urlopen(url, timeout=5) as answer:
            der = answer.read()
        self.path = f"{work}/crl.pem"
        subprocess.run(["openssl", "crl", "-inform", "DER", "-out", self.path], input=der, check=True, capture_output=True)
        shown = run("openssl", "crl", "-in", self.path, "-noout", "-text", "-CAfile", f"{cluster}/public/{issuer}.pem")
        assert "verify OK" in shown.stderr + shown.stdout, shown.stderr
        self.number = int(re.search(r"X509v3 CRL Number:\s*(\w+)", shown.stdout).group(1), 0)
        self.serials = {serial.lower().lstrip("0") for serial in re.findall(r"Serial Number: (\w+)", shown.stdout)}

    def lists(self, serial):
        return serial.lower().lstrip("0") in self.serials

    def verdict(self, certificate, issuer):
        return run("openssl", "verify", "-crl_check", "-CAfile", f"{cluster}/public/root.pem", "-untrusted", f"{cluster}/public/{issuer}.pem", "-CRLfile", self.path, certificate)


def shows(url, issuer, what):
    """For waiting: a relying party that gets no answer just then asks again."""
    try:
        return what(Crl(url, issuer))
    except OSError:
        return False


def log_of(region):
    with open(os.path.join(work, f"node-{region}.log")) as file:
        return file.read()


def ask_for_share(region, issuer, certificate, key):
    """By a client certificate of the cluster, straight at a node."""
    context = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
    context.check_hostname = False
    context.load_cert_chain(certificate, key)
    try:
        with urllib.request.urlopen(f"https://127.{regions.index(region) + 1}.0.11:9443/v1/standby/{issuer}/share", timeout=10, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


try:
    subprocess.run([evercert, "init", cluster, "--keys", "hsm", "--timing", "loopback"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    east, west, central = regions
    secrets = {name: os.listdir(f"{cluster}/regions/{name}") for name in regions}
    check(all(f"standby-{issuer}.wrapped" in secrets[region] and f"standby-{issuer}.share" in secrets[region] for region in regions for issuer in regions if issuer != region),
          "a standby of every region's key lies in every other region, with a share of what opens it")
    for region in regions:
        start("node", region)
        start("edge", region)
    wait_for("all regions issue", lambda: all(issue_at(region) for region in regions), 40)
    (victim, victim_file), (other, other_file) = issue_at(central), issue_at(central)
    url = crl_url(other_file, west)
    wait_for("the first list is published", lambda: run("curl", "-sf", "-o", "/dev/null", url).returncode == 0, 20)
    last = Crl(url, central)
    check(not last.lists(victim) and "OK" in last.verdict(victim_file, central).stdout, "the region signs its own list")
    check(member(central)["crls"] == {"signed_by": central, "epoch": 0}, "and region list says so")
    node = f"{cluster}/regions/{east}/node-1"
    code, text = ask_for_share(west, central, node + ".pem", node + ".key")
    check(code == 403 and "does not stand in" in text, "while it serves, nobody is given a share of its standby")

    # --- the region is lost
    kill(central)
    wait_for("the region is fenced", lambda: member(central)["state"] == "fenced", 20)
    activation = member(central)
    check(activation["crls"]["signed_by"] == east and activation["crls"]["epoch"] == activation["fence"]["epoch"], "one of the others signs its lists, since the epoch of the fence")
    check(east in next(line for line in ctl("region", "list").splitlines() if line.startswith(central)), "ctl region list shows who")
    wait_for("the stand-in signs", lambda: shows(url, central, lambda crl: crl.number > last.number), 30)
    last = Crl(url, central)
    check("OK" in last.verdict(victim_file, central).stdout, "its first list verifies by the region's own CA certificate")
    ctl("--region", west, "revoke", victim, "--reason", "keyCompromise")
    wait_for("the list tells what is revoked since", lambda: shows(url, central, lambda crl: crl.lists(victim)), 20)
    now = Crl(url, central)
    check(now.number > last.number and not now.lists(other), "the list that another region's edge serves at the certificate's distribution point tells it, by a higher number")
    refused = now.verdict(victim_file, central)
    check(refused.returncode != 0 and "certificate revoked" in refused.stdout + refused.stderr, "openssl verify -crl_check refuses the revoked certificate")
    accepted = now.verdict(other_file, central)
    check(accepted.returncode == 0, f"and accepts the other {accepted.stderr}")
    epoch = activation["crls"]["epoch"]
    log = log_of(east)
    check(f"stands in for {central}, which is fenced: activation of epoch {epoch}" in log and f"opened the standby of {central} under the activation of epoch {epoch} with shares of {east}, {west}" in log
          and f"signed list {now.number} of {central}" in log, "the stand-in's log names the activation, whose shares opened it, and each list")
    check(f"the share of {central} under the activation of epoch {epoch}" in log_of(west), "and the log of who gave a share says to whom and under which")
    for name, certificate in (("a node of its own region", f"{cluster}/regions/{west}/node-1"), ("the operator", f"{cluster}/operator/operator")):
        code, text = ask_for_share(west, central, certificate + ".pem", certificate + ".key")
        check(code == 403 and "Forbidden" in text, f"a share is not given to {name}")

    # --- and comes back
    start("node", central)
    start("edge", central)
    wait_for("it is admitted again", lambda: member(central)["state"] == "serving", 30)
    wait_for("it signs its own lists again", lambda: shows(url, central, lambda crl: crl.number > now.number), 30)
    mine = Crl(url, central)
    check(member(central)["crls"]["signed_by"] == central and mine.lists(victim), "by a higher number, and with what was revoked meanwhile")
    wait_for("the stand-in stops", lambda: f"stands in for {central} no longer" in log_of(east), 10)
    signed = log_of(east).count(f" of {central} with ")
    ctl("revoke", other)
    wait_for("the region lists it", lambda: shows(url, central, lambda crl: crl.lists(other)), 20)
    check(log_of(east).count(f" of {central} with ") == signed and Crl(url, central).number > mine.number, "the region lists what is revoked next, and the stand-in signs no more")

    # --- a stand-in that does not serve is relieved
    serial, file = issue_at(west)
    url = crl_url(file, east)
    before = Crl(url, west).number
    ctl("region", "fence", west, "--reason", "its HSM is gone")
    check(member(west)["crls"]["signed_by"] == central, "an operator's fence has a stand-in too")
    wait_for("it signs", lambda: shows(url, west, lambda crl: crl.number > before), 30)
    before = Crl(url, west).number
    os.remove(f"{cluster}/regions/{east}/standby-{west}.share")  # as if too few regions were left
    ctl("region", "drain", central)
    check(member(west)["crls"]["signed_by"] == east, "when that is drained, the next one relieves it")
    wait_for("it cannot, and says so", lambda: f"the list of {west} is not published" in log_of(east), 20)
    check(Crl(url, west).number == before, "without enough shares nothing is signed")
    shutil.copy(f"{cluster}/root/standby-{west}.key", f"{cluster}/regions/{east}/")
    wait_for("it signs", lambda: shows(url, west, lambda crl: crl.number > before), 40)
    check(f"the activation of epoch {member(west)['crls']['epoch']} with the key in " in log_of(east), "what lay with the root's key opens the standby without the others")
    ctl("revoke", serial)
    wait_for("the list tells it", lambda: shows(url, west, lambda crl: crl.lists(serial)), 20)
    check(f"opened the standby of {west}" in log_of(east) and f"opened the standby of {west}" in log_of(central), "each opened its own standby")
    wait_for("what tokens can sign is in the report of capacity", lambda: all((speed or 0) > 1 for speed in token_speeds().values()), 30)
    print(f"standby: {checks.count} passed, 0 failed")
finally:
    servers.end()
