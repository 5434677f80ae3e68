#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An edge in front of three nodes of its region, and everything that it does about them: a node is drained, killed, stopped in the middle of its work,
slow under a new release; a client comes too often; more comes than may be in flight. What is asked for is answered all the same, or refused in order."""
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import checks
from checks import check, wait_for
from clients import ask_node
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-edge-")
cluster = os.path.join(work, "cluster")
region, edge_address, admin = "us-east-1", "127.1.0.1", "127.0.0.1:9901"
nodes = [f"127.1.0.{11 + i}:9445" for i in range(3)]
servers = Servers(evercert, work, cluster)


def start_edge(file, name=region):
    log = open(os.path.join(work, f"edge-{name}.log"), "a")
    servers.processes["edge", name] = subprocess.Popen([evercert, "edge", "--die-with-parent", "--cluster", f"{cluster}/{file}", "--region", region, "--admin", admin],
                                                       stdout=log, stderr=subprocess.STDOUT)


def tell(method, path):
    """The edge's admin listener: status and text."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{admin}{path}", method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError as error:
        return 0, str(error)


def status():
    return json.loads(tell("GET", "/edge/status")[1])


def endpoint(number):
    return next(one for one in status()["endpoints"] if one["name"] == nodes[number])


def metric(name):
    return sum(float(line.split()[-1]) for line in tell("GET", "/metrics")[1].splitlines() if line.startswith(name))


def pid(zone):
    return servers.processes["node", region if zone == 1 else f"{region}-{zone}"].pid


class Caller:
    """One connection to the edge from an address of its own."""

    def __init__(self, source="127.0.0.1", tls=True):
        self.source, self.tls, self.connection = source, tls, None

    def ask(self, method, path, body=None, headers=None):
        for attempt in (1, 2):
            try:
                if self.connection is None:
                    if self.tls:
                        context = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
                        context.check_hostname = False
                        self.connection = http.client.HTTPSConnection(edge_address, 8443, timeout=15, context=context, source_address=(self.source, 0))
                    else:
                        self.connection = http.client.HTTPConnection(edge_address, 8080, timeout=15, source_address=(self.source, 0))
                self.connection.request(method, path, body, {"Authorization": "Bearer " + token, **(headers or {})})
                answer = self.connection.getresponse()
                return answer.status, answer.read(), answer.headers
            except (http.client.HTTPException, OSError):
                self.connection = None
                if attempt == 2:
                    raise


class Load:
    """Clients that go on, each with a pause, and remember whoever was not served."""

    def __init__(self, count, work_of, pause=0.01):
        self.on, self.bad, self.done, self.slowest = True, [], 0, 0.0
        self.threads = [threading.Thread(target=self.run, args=(number, work_of, pause), daemon=True) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number, work_of, pause):
        caller = Caller(f"127.0.1.{number + 1}")
        while self.on:
            begun = time.monotonic()
            try:
                code, body, _ = work_of(caller, number)
                if code not in (200, 201):
                    self.bad.append((code, body[:200]))
            except OSError as error:
                self.bad.append(error)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.done += 1
            time.sleep(pause)

    def stop(self):
        self.on = False
        for thread in self.threads:
            thread.join(30)
        return self


def issue(caller, _=0):
    return caller.ask("POST", "/v1/certificates", issuance, {"Content-Type": "application/json"})


def read(caller, _=0):
    return caller.ask("GET", f"/v1/certificates/{serial}")


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", region, "--zones", "3"], check=True, capture_output=True)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{work}/key.pem", "-subj", "/",
                    "-addext", "subjectAltName=DNS:a.test", "-out", f"{work}/csr.pem"], check=True, capture_output=True)
    text = open(f"{cluster}/cluster.yaml").read()
    token = open(f"{cluster}/operator/token").read().strip()
    issuance = json.dumps({"csr": open(f"{work}/csr.pem").read(), "profile": "server"})
    open(f"{cluster}/usual.yaml", "w").write(text + "\nedge:\n  rate_limits: {client: {per_second: 200, burst: 300}, account: {per_second: 100000}, prefix: {per_second: 100000}, loopback: true}\n"
                                             "  canary: {zones: [3], percent: 0}\n")
    # So few that the slowest machine is faster.
    open(f"{cluster}/seldom.yaml", "w").write(text + "\nedge:\n  rate_limits: {client: {per_second: 1, burst: 40}, loopback: true}\n")
    open(f"{cluster}/narrow.yaml", "w").write(text + "\nedge:\n  in_flight: {initial: 2, slack_ms: 1}\n  most_waiting: 8\n")
    for zone in (1, 2, 3):
        servers.start("node", region, zone)
    wait_for("the nodes are ready", lambda: all(ask_node(f"127.1.0.{10 + zone}", "/readyz")[0] == 200 for zone in (1, 2, 3)), 60)
    start_edge("usual.yaml")

    def ready():
        try:
            return all(one["standing"] == "good" for one in status()["endpoints"]) and issue(Caller())[0] == 201
        except (ValueError, OSError):
            return False
    wait_for("the region issues", ready, 60)
    serial = json.loads(issue(Caller())[1])["serial"]

    print("what it knows")
    check({one["name"] for one in status()["endpoints"]} == set(nodes), "the status page names all nodes, and they stand well")
    check(Caller().ask("GET", "/edge/status")[0] == 404, "strangers have no status page")
    check(metric('evercert_edge_requests_total{class="issuance"}') > 0 and metric("evercert_edge_request_seconds_count") > 0, "the metrics count by class")

    print("a node is drained")
    check(tell("POST", f"/edge/drain?endpoint={nodes[1]}")[0] == 200, "an operator drains a node")
    before, load = endpoint(1)["requests"], Load(4, issue)
    time.sleep(1.5)
    load.stop()
    check(not load.bad and load.done > 40, f"{load.done} issuances meanwhile, none refused: {load.bad[:2]}")
    check(endpoint(1)["requests"] == before and endpoint(1)["standing"] == "poor", "it gets none of them")
    check(tell("POST", f"/edge/undrain?endpoint={nodes[1]}")[0] == 200, "and takes it back")
    load = Load(4, issue)
    wait_for("it gets requests again", lambda: endpoint(1)["requests"] > before, 30)
    check(not load.stop().bad, "nobody has noticed")
    for path, code, words in (("/edge/drain?endpoint=10.0.0.1:1", 404, nodes[0]), ("/edge/drain", 400, "?endpoint="), ("/edge/canary?percent=many", 400, "no number"),
                              ("/edge/canary?percent=101", 400, "between 0 and 100"), ("/edge/canary?percent=-1", 400, "between 0 and 100"), ("/edge/nonsense", 404, "/edge/status")):
        told, said = tell("POST", path)
        check(told == code and words in said, f"POST {path}: {code}, and says what would be right")
    check(tell("GET", f"/edge/drain?endpoint={nodes[1]}")[0] == 405, "a change is no GET")

    print("a node dies, another hangs, in the middle of the work")
    load = Load(6, lambda caller, number: issue(caller) if number % 2 else read(caller))
    time.sleep(1)
    os.kill(pid(2), signal.SIGKILL)
    servers.processes["node", f"{region}-2"].wait()
    wait_for("it is out", lambda: endpoint(1)["standing"] == "last-resort", 10)
    time.sleep(1)
    servers.start("node", region, 2)
    wait_for("it is back", lambda: endpoint(1)["standing"] == "good", 40)
    time.sleep(1)
    load.stop()
    check(not load.bad and load.done > 200, f"a node was killed and came back: {load.done} requests, none failed: {load.bad[:2]}")
    retries = metric("evercert_edge_retries_total")
    check(retries > 0, f"what it had was asked for elsewhere ({retries:.0f} times)")

    load = Load(6, lambda caller, number: issue(caller) if number % 2 else read(caller))
    time.sleep(1)
    check(servers.stop_one("node", f"{region}-2") == 0, "a node is asked to end")
    time.sleep(1)
    servers.start("node", region, 2)
    wait_for("it is back", lambda: endpoint(1)["healthy"] and not endpoint(1)["draining"], 40)
    time.sleep(1)
    load.stop()
    check(not load.bad and open(f"{work}/edge-{region}.log").read().count("127.1.0.12:9445 drains\n") == 2, f"it said so, and nothing was lost ({load.done}): {load.bad[:2]}")

    load = Load(6, read)
    time.sleep(2)
    won, bursts, end = metric("evercert_edge_hedges_won_total"), 0, time.monotonic() + 60
    # Whoever was slow once is asked less: it takes a while until a read is there when it stops.
    while bursts < 12 or (metric("evercert_edge_hedges_won_total") == won and time.monotonic() < end):
        for zone in (1, 3):
            os.kill(pid(zone), signal.SIGSTOP)
            time.sleep(0.15)
            os.kill(pid(zone), signal.SIGCONT)
            time.sleep(0.25)
        bursts += 1
    load.stop()
    check(not load.bad, f"nodes that stop again and again cost no read ({load.done}): {load.bad[:2]}")
    check(metric("evercert_edge_hedges_won_total") > won, "copies of reads that took long were sent to another node, and won")

    print("a new release")
    check(tell("POST", "/edge/canary?percent=50")[0] == 200, "half of the clients get the node with the new release")
    before = [endpoint(i)["requests"] for i in range(3)]
    always, never = Caller("127.0.2.1"), Caller("127.0.2.1")
    for _ in range(20):
        check_always = always.ask("GET", f"/v1/certificates/{serial}", headers={"Evercert-Canary": "always"})
        assert check_always[0] == 200
    first = [endpoint(i)["requests"] - before[i] for i in range(3)]
    check(first[2] >= 20 and first[0] + first[1] <= 2, f"a client that wants it always gets it: {first}")
    before = [endpoint(i)["requests"] for i in range(3)]
    for _ in range(20):
        assert never.ask("GET", f"/v1/certificates/{serial}", headers={"Evercert-Canary": "never"})[0] == 200
    second = [endpoint(i)["requests"] - before[i] for i in range(3)]
    check(second[2] <= 2 and second[0] + second[1] >= 20, f"one that never wants it, never: {second}")

    def wish(caller, number):
        # What is refused by the node alone: no copy is sent of it, and no other node is needed.
        code, body, headers = caller.ask("POST", f"/v1/certificates/{serial}/revoke", '{"reason": "unheard of"}',
                                         {"Content-Type": "application/json", "Evercert-Canary": "always" if number % 2 else "never"})
        return (200 if code == 400 else code), body, headers
    load = Load(4, wish, pause=0.005)
    time.sleep(2)
    check(not status()["canary"]["rolled_back"], "while it does as well as the old one, it stays")
    end = time.monotonic() + 60
    while time.monotonic() < end and not status()["canary"]["rolled_back"]:
        for _ in range(10):
            os.kill(pid(3), signal.SIGSTOP)
            time.sleep(0.04)
            os.kill(pid(3), signal.SIGCONT)
            time.sleep(0.04)
    load.stop()
    check(status()["canary"]["rolled_back"] and status()["canary"]["why"], f"it has become slow, and is rolled back by itself: {status()['canary']['why']}")
    check(not load.bad, f"no request was lost by it: {load.bad[:2]}")
    why = status()["canary"]["why"]
    servers.stop_one("edge", region)
    start_edge("usual.yaml")
    wait_for("the region issues", ready, 30)
    check(status()["canary"]["rolled_back"] and status()["canary"]["why"] == why, "the process that comes after it knows")
    check(tell("POST", "/edge/canary?percent=1")[0] == 200 and not status()["canary"]["rolled_back"], "a person begins anew")

    print("a client that comes too often")
    servers.stop_one("edge", region)
    start_edge("seldom.yaml")
    wait_for("the region issues", ready, 30)
    flood, refused = Caller("127.0.9.9"), []
    for _ in range(300):
        code, body, headers = flood.ask("GET", f"/v1/certificates/{serial}")
        if code != 200:
            refused.append((code, body, headers))
    check(len(refused) > 10 and all(code == 429 for code, _, _ in refused), f"is refused with 429, {len(refused)} times of 300")
    _, body, headers = refused[0]
    check(int(headers["Retry-After"]) >= 1 and json.loads(body)["status"] == 429 and "requests" in json.loads(body)["detail"], "told when to come again, as a problem (RFC 7807)")
    check(read(Caller("127.0.9.8"))[0] == 200, "its neighbour is not")
    check(metric('evercert_edge_turned_away_total{class="issuance",reason="rate"}') >= len(refused), "it is counted")
    wait_for("it is logged", lambda: "turned away" in open(f"{work}/edge-{region}.log").read(), 10)

    print("more than may be in flight")
    servers.stop_one("edge", region)
    start_edge("narrow.yaml")
    wait_for("the region issues", ready, 30)
    # Each limit falls to what is at work: listings of all find no room beside each other, and the CRL finds its own.
    listed, crl = [], []

    def listing(number):
        caller = Caller(f"127.0.3.{number + 1}")
        for _ in range(12):
            listed.append(caller.ask("GET", "/v1/certificates?limit=1000"))

    def revocation_list(number):
        caller = Caller(f"127.0.4.{number + 1}", tls=False)
        for _ in range(40):
            crl.append(caller.ask("GET", f"/crl/{region}.crl"))
    threads = [threading.Thread(target=listing, args=(n,)) for n in range(30)] + [threading.Thread(target=revocation_list, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shed = [one for one in listed if one[0] == 503]
    check(shed and all(code in (200, 503) for code, _, _ in listed), f"listings are turned away: {len(shed)} of {len(listed)}, the others served")
    check(all(int(headers["Retry-After"]) >= 30 and json.loads(body)["status"] == 503 for _, body, headers in shed), "with the time to come again, as a problem")
    check(len(crl) == 120 and all(code == 200 for code, _, _ in crl), "every CRL was served")
    check(metric("evercert_edge_waited_total") > 0, "some waited a moment at the door and were let in")
    check(metric('evercert_edge_turned_away_total{class="crl"') == 0 and metric('evercert_edge_turned_away_total{class="listing"') >= len(shed), "the metrics say who")

    print("what cannot be")
    open(f"{cluster}/wrong.yaml", "w").write(text + "\nedge: {canary: {zones: [9], percent: 5}}\n")
    for arguments, words in ((["--cluster", f"{cluster}/usual.yaml", "--admin", "0.0.0.0:9902"], "loopback"), (["--cluster", f"{cluster}/usual.yaml", "--admin", "9902"], "ADDRESS:PORT"),
                             (["--cluster", f"{cluster}/wrong.yaml"], "zone 9")):
        done = subprocess.run([evercert, "edge", "--region", region, *arguments], capture_output=True, text=True, timeout=20)
        check(done.returncode != 0 and words in done.stderr, f"edge {' '.join(arguments[2:]) or 'with a zone that is not there'}: refused, with the way out")
    print(f"edge_test: {checks.count} checks passed")
finally:
    for name, process in servers.processes.items():
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
    servers.end()
