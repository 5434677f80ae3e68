#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""geoDNS with the specification's document and every default: three edges (small HTTPS servers), one of them killed, one frozen, all lost; and what a client may ask or send."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
regions = ["us-east-1", "us-west-2", "eu-central-1"]
east, west, central = regions


import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from checks import check, wait_for
from edges import Edges, free_port, openssl
import checks

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-dns-")
cluster = os.path.join(work, "cluster")
os.makedirs(os.path.join(cluster, "public"))
zone = "api.certmanager.com"
processes = {}
edges = Edges(work, regions, processes)
address, start_edge = edges.address, edges.start


def end(name, how=signal.SIGKILL):
    processes[name].send_signal(how)
    return processes.pop(name).wait(20)


def write_files():
    lines = ["evercert: 1", "cluster: {name: test, id: 000102030405060708090a0b0c0d0e0f}", "acme: {caa_identity: ca.certmanager.com}", "regions:"]
    for number, region in enumerate(regions, 1):
        lines += [f"  - name: {region}", f"    edges: [{{address: {address(region)}, https_port: {edges.ports[region]}, http_port: 8080}}]",
                  f"    nodes: [{{zone: 1, address: 127.{number}.0.11, link_port: 9445, api_port: 9443, status_port: 9080, peer_port: 9444}}]"]
    open(f"{cluster}/cluster.yaml", "w").write("\n".join(lines) + "\n")
    # Networks of clients, each in the place of its region.
    open(f"{work}/places", "w").write("".join(f"10.{n}.0.0/16 {region}\n" for n, region in enumerate(regions, 1)) + "2001:db8::/32 50.1,8.7\n")
    open(f"{work}/records", "w").write('@ TXT "owner=platform"\n_acme-challenge 60 TXT "token"\nlarge TXT ' + " ".join('"' + c * 200 + '"' for c in "abcdefgh") + "\n")


def start_dns(name="dns", *more):
    log = f"{work}/{name}.log"
    command = [evercert, "dns", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--load-balancer", f"{repository}/tests/fixtures/spec/global_load_balancer.yaml",
               "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--geo-table", f"{work}/places", "--records", f"{work}/records", "--nsid", "dns-one", *more]
    processes[name] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
    found = []

    def serving():
        assert processes[name].poll() is None, open(log).read()
        found[:] = [re.search(pattern, open(log).read()) for pattern in (r"at 127\.0\.0\.1:(\d+) regions", r"status at port (\d+)")]
        return all(found)
    wait_for("the name server serves", serving, 20)
    return [int(match.group(1)) for match in found]


def log_of(name="dns"):
    return re.sub(r"\x1b\[[0-9;]*m", "", open(f"{work}/{name}.log").read())


def subnet(place, length=24):
    return dns.edns.ECSOption(f"10.{regions.index(place) + 1}.77.0", length)


def query(name=zone, kind="A", options=None, edns=None, dnssec=False):
    return dns.message.make_query(name, kind, use_edns=0 if options or dnssec else edns, options=options, want_dnssec=dnssec, payload=1232)


def ask(*words, tcp=False, to=None, **more):
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query(*words, **more), "127.0.0.1", port=to or port, timeout=5)


def told(answer, kind="A"):
    return [str(rdata) for rrset in answer.answer if rrset.rdtype == dns.rdatatype.from_text(kind) for rdata in rrset]


def first(place):
    """Where a client there is led to. (The order in the message: the library's own sets have none.)"""
    text = ask(options=[subnet(place)]).to_text()
    return re.search(r" IN A (\S+)", text).group(1)


def until(what, condition, limit):
    began = time.monotonic()
    wait_for(what, condition, limit)
    return time.monotonic() - began


def raw(message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(1)
        s.sendto(message, ("127.0.0.1", port))
        try:
            return s.recv(4096)
        except TimeoutError:
            return None


def check_answers():
    for region in regions:
        check(first(region) == address(region), f"a client near {region} is led there")
    answer = ask(options=[subnet(central)])
    check(answer.flags & dns.flags.AA and not answer.flags & dns.flags.RA, "the server is the zone's authority")
    check(len(told(answer)) == 2 and answer.answer[0].ttl == 5, "the next-best region stands behind, for 5 s")
    check(any(o.otype == 8 and o.scopelen == 16 for o in answer.options), "the answer is true for the whole network of the table")
    check(all(len(set(told(ask(f"{r}.{zone}")))) == 1 and told(ask(f"{r}.{zone}"))[0] == address(r) for r in regions), "an endpoint's name leads to its region")
    https = ask(kind="HTTPS", options=[subnet(west)])
    order = sorted((r.priority, str(r.target)) for r in https.answer[0])
    check(order[0] == (1, f"{west}.{zone}."), "HTTPS records name the nearest region first")
    check(told(ask(kind="CAA"), "CAA") == ['0 issue "ca.certmanager.com"'], "CAA is the cluster's identity")
    check(told(ask(kind="TXT"), "TXT") == ['"owner=platform"'], "TXT comes from the file of records")
    check(told(ask("_acme-challenge." + zone, "TXT"), "TXT") == ['"token"'], "also below the zone's name")
    soa = ask(kind="SOA").answer[0][0]
    check(str(soa.rname) == f"hostmaster.{zone}.", "SOA is there")
    check(told(ask(kind="NS"), "NS") == [f"ns1.{zone}."] and ask(kind="NS").additional, "NS comes with its address")
    missing = ask("nothing." + zone)
    check(missing.rcode() == dns.rcode.NXDOMAIN and missing.authority[0].rdtype == dns.rdatatype.SOA and missing.authority[0].ttl == 30, "a name that is not there is denied, with the SOA")
    check(ask(kind="MX").rcode() == 0 and not ask(kind="MX").answer and ask(kind="MX").authority, "a type that is not there too")
    check(ask(kind="AAAA").rcode() == 0, "AAAA of a zone without IPv6 as well")
    check(ask("example.org").rcode() == dns.rcode.REFUSED, "another zone is refused")
    check(told(ask(kind="ANY"), "HINFO") == ['"RFC8482" ""'], "ANY gets the least")
    check(any(o.otype == 3 and o.data == b"dns-one" for o in ask(options=[dns.edns.GenericOption(3, b"")]).options), "NSID is the server's name")
    cut = ask("large." + zone, "TXT", edns=0)
    check(cut.flags & dns.flags.TC and not cut.answer, "what has no room by UDP is cut")
    check(len(told(ask("large." + zone, "TXT", tcp=True), "TXT")) == 1, "and whole by TCP")
    spelled = ask("aPI.CertManager.com")
    check("aPI.CertManager.com" in spelled.question[0].to_text() and told(spelled), "a name comes back in its spelling")
    future = bytearray(query(edns=0).to_wire())
    future[-5] = 1
    check(dns.message.from_wire(raw(bytes(future))).rcode() == dns.rcode.BADVERS, "EDNS of the future is answered with BADVERS")


def check_malformed():
    fine = query().to_wire()
    check(raw(b"") is None and raw(b"abc") is None, "what is no message is not answered")
    check(raw(fine[:2] + bytes([fine[2] | 0x80]) + fine[3:]) is None, "an answer is not answered")

    def rcode_of(message):
        answer = raw(message)
        return None if answer is None else answer[3] & 15
    check(all(rcode_of(fine[:n]) == 1 for n in range(12, len(fine))), "a message that is cut off is FORMERR")
    check(rcode_of(fine[:12] + b"\xc0\x0c" + struct.pack(">HH", 1, 1)) == 1, "a name that points to itself too")
    check(rcode_of(fine[:4] + b"\0\2" + fine[6:]) == 1, "two questions too")
    check(rcode_of(fine[:2] + b"\x28\0" + fine[4:]) == 4, "an update is not implemented")
    bad = query(options=[dns.edns.GenericOption(8, bytes([0, 1, 24, 24, 10, 1, 2]))]).to_wire()
    check(rcode_of(bad) == 1, "a client subnet with a scope is FORMERR")
    seen = 0
    noise = int.from_bytes(os.urandom(8), "big")
    for _ in range(3000):
        noise = (noise * 6364136223846793005 + 1442695040888963407) % 2**64
        message = bytearray(bad)
        message[noise % len(message)] ^= noise >> 40 & 0xff
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(bytes(message), ("127.0.0.1", port))
            seen += 1
    check(first(east) == address(east), f"{seen} damaged messages later the answers are the same")


def status():
    with urllib.request.urlopen(f"http://127.0.0.1:{status_port}/", timeout=5) as answer:
        return json.load(answer)


def check_failover():
    began = time.monotonic()
    end(east)
    wait_for("answers without the dead region", lambda: first(east) != address(east), 30)
    took = time.monotonic() - began
    check(took < 15, f"a region is killed, and answers lead elsewhere {took:.1f} s later (15)")
    check(address(east) not in told(ask(options=[subnet(east)])), "it is not among the next-best either")
    check(first(east) == address(west), "its clients are led to the region that is next to it")
    check(told(ask(f"{east}.{zone}", options=[subnet(east)])) and address(east) not in told(ask(f"{east}.{zone}", options=[subnet(east)])), "its own name leads to the next best")
    check(first(central) == address(central), "clients of other regions stay where they were")
    check(powerdns_leads(east) and address(east) not in powerdns_leads(east), "PowerDNS leads nobody there either")
    check(f"region={east} out: 1 of 1 edges unhealthy, the threshold is 50 %" in log_of() and "refused" in log_of(), "the log says why, with the evidence")
    check(not status()["regions"][0]["in"] and "refused" in status()["regions"][0]["edges"][0]["last_check"], "so does the status page")
    start_edge(east)
    took = until("answers with the region", lambda: first(east) == address(east), 60)
    check(f"region={east} in:" in log_of(), f"it comes back, and so do its clients, {took:.1f} s later")
    began = time.monotonic()
    processes[central].send_signal(signal.SIGSTOP)
    wait_for("answers without the frozen region", lambda: first(central) != address(central), 30)
    took = time.monotonic() - began
    check(took < 15, f"a region that is silent is out after {took:.1f} s (15)")
    check("no answer within 2000 ms" in log_of(), "the log says that it was silent")


def check_all_lost():
    left = set(told(ask(options=[subnet(west)])))
    for region in (east, west):
        end(region)
    wait_for("the server sees that all are lost", lambda: status()["blind"], 40)
    check(set(told(ask(options=[subnet(west)]))) == left, "when all regions look out, the last good answers stay, all of them")
    check("every region looks out" in log_of(), "and the log says so")


def check_signed():
    openssl(work, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "zone.key")
    os.chmod(f"{work}/zone.key", 0o600)
    secure, _ = start_dns("signed", "--dnssec-key", f"{work}/zone.key")
    import dns.dnssec
    keys = ask(kind="DNSKEY", dnssec=True, to=secure).answer
    name = dns.name.from_text(zone)
    trusted = {name: keys[0]}
    dns.dnssec.validate(keys[0], keys[1], trusted)
    for kind in ("A", "SOA", "CAA", "HTTPS", "NS"):
        sets = ask(kind=kind, dnssec=True, to=secure).answer
        dns.dnssec.validate(sets[0], sets[1], trusted)
    denied = ask("nothing." + zone, dnssec=True, to=secure)
    pairs = {}
    for rrset in denied.authority:
        pairs.setdefault(rrset.covers if rrset.rdtype == dns.rdatatype.RRSIG else rrset.rdtype, {})[rrset.rdtype] = rrset
    for kind, both in pairs.items():
        dns.dnssec.validate(both[kind], both[dns.rdatatype.RRSIG], trusted)
    check(dns.rdatatype.NSEC in pairs, "answers and denials are signed, and another library says so")
    printed = subprocess.run([evercert, "dns", "--cluster", f"{cluster}/cluster.yaml", "--load-balancer", f"{repository}/tests/fixtures/spec/global_load_balancer.yaml",
                              "--dnssec-key", f"{work}/zone.key", "--print-ds"], capture_output=True, text=True, check=True).stdout
    ds = dns.dnssec.make_ds(name, keys[0][0], "SHA256")
    check(ds.digest.hex() in printed.lower().replace(" ", ""), "the DS record that is printed is the key's")
    check(end("signed", signal.SIGTERM) == 0, "SIGTERM ends it cleanly")


def start_powerdns():
    """Debian's PowerDNS, which asks the same server for the zone."""
    behind = int(re.search(r"PowerDNS asks at port (\d+)", log_of()).group(1))
    own = free_port("127.0.0.1")
    settings = {"launch": "remote", "remote-connection-string": f"http:url=http://127.0.0.1:{behind}/dns", "local-address": "127.0.0.1", "local-port": own, "edns-subnet-processing": "yes",
                "cache-ttl": 0, "query-cache-ttl": 0, "negquery-cache-ttl": 0, "socket-dir": work, "daemon": "no", "guardian": "no", "setuid": "", "setgid": "", "version-string": "anonymous"}
    os.makedirs(f"{work}/powerdns")
    open(f"{work}/powerdns/pdns.conf", "w").write("".join(f"{name}={value}\n" for name, value in settings.items() if value != ""))
    processes["powerdns"] = subprocess.Popen(["pdns_server", f"--config-dir={work}/powerdns"], stdout=subprocess.DEVNULL, stderr=open(f"{work}/powerdns.log", "w"))

    def answers():
        assert processes["powerdns"].poll() is None, open(f"{work}/powerdns.log").read()
        try:
            return ask(kind="SOA", to=own).answer
        except (dns.exception.Timeout, OSError):
            return False
    wait_for("PowerDNS answers", answers, 20)
    return own


def powerdns_leads(place):
    return told(ask(options=[subnet(place)], to=powerdns_port))


def check_powerdns():
    for region in regions:
        check(set(powerdns_leads(region)) == set(told(ask(options=[subnet(region)]))) and address(region) in powerdns_leads(region), f"PowerDNS leads a client near {region} where the server itself does")
    answer = ask(options=[subnet(central)], to=powerdns_port)
    check(any(o.otype == 8 and o.scopelen == 16 for o in answer.options), "and says for which network that is true")
    for kind in ("SOA", "NS", "CAA", "TXT", "HTTPS"):
        check(sorted(told(ask(kind=kind, to=powerdns_port), kind)) == sorted(told(ask(kind=kind), kind)), f"{kind} records are the same")
    check(ask("nothing." + zone, to=powerdns_port).rcode() == dns.rcode.NXDOMAIN and ask("example.org", to=powerdns_port).rcode() == dns.rcode.REFUSED, "names that are not there, and other zones, are refused by both")


def check_refusals():
    wrong = f"{work}/wrong.yaml"
    open(wrong, "w").write(open(f"{repository}/tests/fixtures/spec/global_load_balancer.yaml").read().replace('region: "us-west-2"', 'region: "us-west-9"'))
    done = subprocess.run([evercert, "dns", "--cluster", f"{cluster}/cluster.yaml", "--load-balancer", wrong], capture_output=True, text=True, timeout=20)
    check(done.returncode == 2 and "wrong.yaml:27: " in done.stderr and "remove the endpoint" in done.stderr, "a region that is not the cluster's is refused, by file, line and fix")


try:
    edges.certificates()
    write_files()
    for each in regions:
        start_edge(each)
    port, status_port = start_dns("dns", "--powerdns", "127.0.0.1:0")
    powerdns_port = start_powerdns()
    check_answers()
    check_powerdns()
    check_malformed()
    check_signed()
    check_refusals()
    check_failover()
    check_all_lost()
    check(end("dns", signal.SIGTERM) == 0, "SIGTERM ends the server cleanly")
    print(f"dns: {checks.count} checks passed")
finally:
    for process in processes.values():
        process.kill()
        process.wait()
    if sys.exc_info()[0] is not None and os.path.exists(f"{work}/dns.log"):
        print(log_of()[-3000:], file=sys.stderr)
    shutil.rmtree(work, ignore_errors=True)
