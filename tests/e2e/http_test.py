#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The front of an edge, as clients see it: both versions of HTTP, sessions that are resumed, a certificate of its own CA that is taken over while it serves,
a balancer in front, its log, clients that are slow or mean; and an edge that is replaced under load without a request that fails."""
import collections
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

import checks
from checks import check, wait_for
from clients import ask_node
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
work = tempfile.mkdtemp(prefix="evercert-http-")
cluster = os.path.join(work, "cluster")
east, west, central = regions = ["us-east-1", "us-west-2", "eu-central-1"]
servers = Servers(evercert, work, cluster)
address, https, plain = "127.1.0.1", 8443, 8080
log_file = os.path.join(work, "access.json")
served_by_node = "/ca/us-east-1.crt"


def context(protocols=("http/1.1",), version=None):
    made = ssl.create_default_context(cafile=f"{cluster}/public/bundle.pem")
    made.check_hostname = False
    made.set_alpn_protocols(list(protocols))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def connect(made, source=None, session=None, first=b""):
    raw = socket.create_connection((address, https), timeout=15, source_address=source)
    raw.sendall(first)
    return made.wrap_socket(raw, server_hostname=address, session=session)


def start_edge(name="edge"):
    servers.processes[name, east] = subprocess.Popen(
        [evercert, "edge", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--region", east, "--access-log", log_file, "--handover", f"{work}/edge.sock"],
        stdout=open(f"{work}/{name}.log", "a"), stderr=subprocess.STDOUT)
    return servers.processes[name, east]


def curl(*arguments):
    return subprocess.run(["curl", "--silent", "--max-time", "20", "--cacert", f"{cluster}/public/root.pem", *arguments], capture_output=True, text=True)


def answered(path=served_by_node):
    try:
        with connect(context()) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: ca\r\nConnection: close\r\n\r\n".encode())
            return link.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def closed(link):
    try:
        return link.recv(100) == b""
    except ConnectionResetError:
        return True


def metrics():
    connection = http.client.HTTPConnection(address, plain, timeout=10)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def metric(name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", metrics(), re.MULTILINE).group(1))


def entries():
    return [json.loads(line) for line in open(log_file)] if os.path.exists(log_file) else []


class Http2:
    """Streams of one connection; knows which were answered, and which the server never took."""

    def __init__(self):
        self.link = connect(context(["h2"]))
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.statuses, self.bodies, self.done, self.resets = {}, collections.defaultdict(bytes), set(), {}
        self.last = None  # of a GOAWAY
        self.buffer = b""
        self.ended = False
        self.flush()

    def flush(self):
        self.link.sendall(self.h2.data_to_send())

    def get(self, path):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", "ca")], end_stream=True)
        return stream

    def without_goaway(self, data):
        """The library takes a GOAWAY for the end, also where it says that everything will be answered."""
        self.buffer += data
        passed = b""
        while len(self.buffer) >= 9 and len(self.buffer) >= (size := 9 + int.from_bytes(self.buffer[:3], "big")):
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            if frame[3] != 7:
                passed += frame
                continue
            self.last = int.from_bytes(frame[9:13], "big")
            self.ended = self.ended or frame[13:17] != bytes(4)
        return passed

    def take(self):
        try:
            data = self.link.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return
        for event in self.h2.receive_data(self.without_goaway(data)):
            if isinstance(event, h2.events.ResponseReceived):
                self.statuses[event.stream_id] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.done.add(event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.resets[event.stream_id] = event.error_code
        try:
            self.flush()
        except OSError:
            self.ended = True


class Load(threading.Thread):
    """Requests without a pause: on fresh connections, on one that is kept as long as the server allows, or on streams."""

    def __init__(self, kind):
        super().__init__(daemon=True)
        self.kind, self.on, self.served, self.failed = kind, True, 0, []

    def run(self):
        while self.on:
            try:
                {"fresh": self.once, "kept": self.keep, "streams": self.stream}[self.kind]()
            except Exception as error:  # pylint: disable=broad-except
                self.failed.append(f"{self.kind}: {error!r}")
                time.sleep(0.05)

    def once(self):
        if not answered():
            raise RuntimeError("not answered")
        self.served += 1

    def keep(self):
        connection = http.client.HTTPSConnection(address, https, timeout=15, context=context())
        while self.on:
            connection.request("GET", served_by_node)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
            self.served += 1
            if answer.getheader("Connection") == "close":
                return

    def stream(self):
        one = Http2()
        while self.on and one.last is None:
            asked = [one.get(served_by_node) for _ in range(5)]
            one.flush()
            wanted = set(asked)
            while not one.ended and not wanted <= one.done | set(one.resets):
                one.take()
                if one.last is not None:
                    wanted = {stream for stream in asked if stream <= one.last}  # the others were surely not looked at
            bad = [stream for stream in wanted if one.statuses.get(stream) != 200 or stream not in one.done]
            if bad:
                raise RuntimeError(f"{len(bad)} of {len(wanted)} streams: {one.statuses} {one.resets}")
            self.served += len(wanted)


def under_load(during, least):
    loads = [Load(kind) for kind in ("fresh", "kept", "streams")]
    for load in loads:
        load.start()
    wait_for("the load runs", lambda: all(load.served > least or load.failed for load in loads), 60)
    during()
    before = [load.served for load in loads]
    wait_for("and goes on", lambda: all(load.served > was + least or load.failed for load, was in zip(loads, before)), 60)
    for load in loads:
        load.on = False
    for load in loads:
        load.join()
    return sum(load.served for load in loads), [failure for load in loads for failure in load.failed]


def peer_serial():
    with connect(context()) as link:
        return link.getpeercert()["serialNumber"]


try:
    subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback"], check=True, capture_output=True)
    text = open(f"{cluster}/cluster.yaml").read()
    edited = re.sub(r"(https_port: 8443, http_port: 8080)", r"\1, proxies: [127.0.0.9/32], connections_per_client: 200", text, count=1)
    check(edited != text, "the cluster file names a balancer")
    open(f"{cluster}/cluster.yaml", "w").write(edited)
    for region in regions:
        servers.start("node", region)
    start_edge()
    wait_for("the region serves", lambda: ask_node("127.1.0.11", "/readyz")[0] == 200 and answered("/readyz"), 60)

    # --- both versions
    for asked, version in (("--http1.1", "1.1"), ("--http2", "2")):
        shown = curl(asked, "--write-out", "%{http_version} %{http_code}", "--output", "/dev/null", f"https://{address}:{https}{served_by_node}")
        check(shown.stdout == f"{version} 200", f"HTTP/{version} by its own choice: {shown.stdout} {shown.stderr}")
    key, csr, request = f"{work}/new.key", f"{work}/new.csr", f"{work}/request.json"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/", "-addext",
                    "subjectAltName=DNS:edge.example.org", "-out", csr], check=True, capture_output=True)
    token = open(f"{cluster}/operator/token").read().strip()
    json.dump({"csr": open(csr).read(), "profile": "server"}, open(request, "w"))
    issued = curl("--http2", "--header", f"Authorization: Bearer {token}", "--header", "Content-Type: application/json", "--data-binary", f"@{request}",
                  f"https://{address}:{https}/v1/certificates")
    certificate = json.loads(issued.stdout) if issued.stdout.startswith("{") else {}
    check("certificate" in certificate or "chain" in certificate, f"a certificate is issued over HTTP/2: {sorted(certificate)} {issued.stdout[:200]}")
    crl = f"https://{address}:{https}/crl/{east}.crl"
    for name, more in (("whole", []), ("part", ["--range", "10-29", "--http2"])):
        got = curl("--write-out", "%{http_code}", "--output", f"{work}/{name}", *more, crl)
        check(got.stdout == {"whole": "200", "part": "206"}[name], f"a CRL, {name}: {got.stdout} {got.stderr}")
    check(open(f"{work}/whole", "rb").read()[10:30] == open(f"{work}/part", "rb").read(), "and the part is one of it")
    one = Http2()
    asked = [one.get("/healthz") for _ in range(100)]
    one.flush()
    while not one.ended and not set(asked) <= one.done:
        one.take()
    check([one.statuses.get(stream) for stream in asked] == [200] * 100, "a hundred streams at once on one connection")

    # --- sessions
    def resumed(version, session=None):
        made = context(version=version)
        made_session = None
        if session:
            made = session[0]
        with connect(made, session=session[1] if session else None) as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: ca\r\n\r\n")
            link.recv(1000)
            made_session = link.session
            return link.session_reused, (made, made_session)

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        _, session = resumed(version)
        check(resumed(version, session)[0], f"a second connection of {version.name} goes on with the session of the first")
    servers.stop_one("edge", east)
    start_edge()
    wait_for("the edge is back", answered, 60)
    check(resumed(None, session)[0], "also after a restart")
    check(metric('evercert_tls_handshakes_total{how="resumed"}') >= 1, "and it is counted")

    # --- a new certificate
    old = peer_serial()
    chain = certificate.get("chain") or certificate["certificate"]
    base = f"{cluster}/regions/{east}/edge-1"
    own = {suffix: open(base + suffix).read() for suffix in (".pem", ".key")}

    def take_over(files):
        for suffix, content in files.items():
            open(base + suffix + ".new", "w").write(content)
            os.rename(base + suffix + ".new", base + suffix)

    def renew():
        open(base + ".pem", "a").write("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        servers.processes["edge", east].send_signal(signal.SIGHUP)
        wait_for("a damaged file is noticed", lambda: metric("evercert_tls_failed_reloads_total") >= 1, 20)
        check(peer_serial() == old, "a damaged file changes nothing")
        take_over({".key": open(key).read(), ".pem": "".join(chain) if isinstance(chain, list) else chain})
        servers.processes["edge", east].send_signal(signal.SIGHUP)
        wait_for("the new certificate is served", lambda: peer_serial() != old, 20)

    served, failed = under_load(renew, 100)
    check(not failed, f"an edge takes over a certificate from its own CA: {served} requests meanwhile, none failed: {failed[:3]}")
    check(metric("evercert_tls_certificate_expiry_seconds") > time.time(), "the end of its validity is a metric")
    take_over(own)
    servers.processes["edge", east].send_signal(signal.SIGHUP)
    wait_for("and the one of before again", lambda: peer_serial() == old, 20)

    # --- a balancer in front
    with connect(context(), source=("127.0.0.9", 0), first=b"PROXY TCP4 192.0.2.77 127.1.0.1 1234 8443\r\n") as link:
        link.sendall(b"GET /healthz?secret=1 HTTP/1.1\r\nHost: ca\r\nX-Request-Id: from-the-balancer\r\nConnection: close\r\n\r\n")
        check(link.recv(1000).startswith(b"HTTP/1.1 200"), "a balancer passes a connection on")
    wait_for("it is in the access log", lambda: any(one.get("request_id") == "from-the-balancer" for one in entries()), 10)
    logged = next(one for one in entries() if one.get("request_id") == "from-the-balancer")
    check(logged["client"] == "192.0.2.77" and logged["path"] == "/healthz" and logged["status"] == 200, f"with the client's own address and without its secrets: {logged}")
    check({one["protocol"] for one in entries()} >= {"HTTP/1.1", "HTTP/2"} and any(one.get("region") == east for one in entries()), "both versions are there, and who answered")
    bare = socket.create_connection((address, plain), timeout=10, source_address=("127.0.0.9", 0))
    bare.sendall(b"GET /healthz HTTP/1.1\r\nHost: ca\r\n\r\n")
    check(closed(bare), "a balancer that does not say for whom it speaks is not served")
    os.rename(log_file, log_file + ".1")
    servers.processes["edge", east].send_signal(signal.SIGHUP)
    wait_for("the log goes on in a new file", lambda: answered() and len(entries()) > 0, 10)

    # --- slow and mean
    crowd = []
    for _ in range(260):
        crowd.append(socket.create_connection((address, plain), timeout=15, source_address=("127.0.0.8", 0)))
        crowd[-1].setblocking(False)
    time.sleep(0.5)
    turned_away = 0
    for each in crowd:
        try:
            turned_away += closed(each)
        except BlockingIOError:
            pass
    check(turned_away == 60 and answered(), f"one client has so many connections and no more ({turned_away} of 260 were closed), the others are served")
    slow = crowd[0]
    for each in crowd:
        try:
            each.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        except OSError:
            pass
    slow.settimeout(20)
    check(slow.recv(100).startswith(b"HTTP/1.1 408"), "a request that takes for ever is told so")
    for each in crowd:
        each.close()
    for header, status in ((b"X: " + b"x" * 20000, b"431"), (b"Content-Length: 10000000", b"413"), (b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"400")):
        with socket.create_connection((address, plain), timeout=10) as link:
            link.sendall(b"POST /v1/certificates HTTP/1.1\r\nHost: ca\r\n" + header + b"\r\n\r\n")
            check(link.recv(100).startswith(b"HTTP/1.1 " + status), f"{header[:20]}...: {status.decode()}")
    mean = Http2()
    sent = 0
    try:
        while not mean.ended and sent < 20000:
            stream = mean.get(served_by_node)
            mean.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            sent += 1
            if sent % 50 == 0:
                mean.flush()
                mean.link.settimeout(0.01)
                try:
                    data = mean.link.recv(65536)
                    mean.ended = not data or any(isinstance(event, h2.events.ConnectionTerminated) for event in mean.h2.receive_data(data))
                except (TimeoutError, ssl.SSLWantReadError):
                    pass
    except (OSError, h2.exceptions.ProtocolError):
        mean.ended = True
    check(mean.ended and sent < 5000 and answered(), f"who opens streams only to give them up is cut off after {sent}, and nobody else")

    # --- a new process in its place
    first = servers.processes["edge", east]

    def replace():
        start_edge("edge-next")
        check(first.wait(30) == 0, "the old process ends by itself, with 0")

    served, failed = under_load(replace, 100)
    check(not failed, f"an edge is replaced under load: {served} requests, none failed: {failed[:3]}")
    broken = subprocess.run([evercert, "edge", "--cluster", f"{cluster}/cluster.yaml", "--region", east, "--handover", f"{work}/edge.sock", "--access-log", "/nowhere/log"],
                            capture_output=True, text=True, timeout=30)
    check(broken.returncode != 0 and "/nowhere/log" in broken.stderr and answered(), "one that cannot start leaves the one that runs at work")
    second = servers.processes["edge-next", east]
    second.send_signal(signal.SIGTERM)
    check(second.wait(30) == 0 and not os.path.exists(f"{work}/edge.sock"), "the last one takes its socket along")
    print(f"{checks.count} checks passed")
finally:
    servers.end()
