#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bodies of 64 MB through an edge, either way and by way of another region, in both versions of HTTP: none of it is held whole, whoever reads or sends it slowly,
and what breaks off in the middle passes for the whole nowhere."""
import hashlib
import os
import re
import signal
import ssl
import socket
import struct
import subprocess
import sys
import tempfile
import time

import yaml

import checks
from checks import check, wait_for
from servers import Servers

evercert = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/evercert")
stand_in = os.path.join(os.path.dirname(evercert), "bodies_node")
work = tempfile.mkdtemp(prefix="evercert-bodies-")
cluster = os.path.join(work, "cluster")
servers = Servers(evercert, work, cluster)
east, west = "us-east-1", "us-west-2"
size = 64 << 20
https = 8443


def pattern(count):
    words = -(-count // 8)
    return b"".join(struct.pack("<Q", i * 0x9e3779b97f4a7c15 & 0xffffffffffffffff) for i in range(words))[:count]


def curl(*arguments, where="127.1.0.1"):
    return subprocess.run(["curl", "--silent", "--show-error", "--max-time", "120", "--cacert", f"{cluster}/public/root.pem", *[a.replace("EDGE", f"https://{where}:{https}") for a in arguments]],
                          capture_output=True)


def start_node():
    settings = yaml.safe_load(open(f"{cluster}/cluster.yaml"))
    region = next(one for one in settings["regions"] if one["name"] == east)
    node = region["nodes"][0]
    folder = f"{cluster}/regions/{east}"
    servers.processes["node", east] = process = subprocess.Popen(
        [stand_in, node["address"], str(node["link_port"]), f"{folder}/node-1.pem", f"{folder}/node-1.key", f"{cluster}/public/root.pem", settings["cluster"]["name"]],
        stdout=subprocess.PIPE, stderr=open(f"{work}/node.log", "a"))
    assert process.stdout.readline() == b"ready\n"


def memory(region, what="VmRSS"):
    return int(re.search(what + r":\s+(\d+)", open(f"/proc/{servers.processes['edge', region].pid}/status").read()).group(1)) / 1024


def forget_peak(region):
    with open(f"/proc/{servers.processes['edge', region].pid}/clear_refs", "w") as file:
        file.write("5")


def alive():
    return int(curl("EDGE/v1/alive").stdout.split()[0])


def stuck(path, read):
    """A client that has read so much and stops."""
    context = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
    context.check_hostname = False
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.settimeout(30)
    raw.connect(("127.1.0.1", https))
    link = context.wrap_socket(raw, server_hostname="127.1.0.1")
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: ca\r\n\r\n".encode())
    got = 0
    while got < read:
        got += len(link.recv(65536))
    return link


try:
    subprocess.run([evercert, "init", cluster], check=True, capture_output=True)
    start_node()
    for region in (east, west):
        servers.start("edge", region)
    wait_for("both edges serve", lambda: all(curl("EDGE/v1/alive", where=where).returncode == 0 and curl("EDGE/v1/alive", where=where).stdout.count(b" ") == 1
                                             for where in ("127.1.0.1", "127.2.0.1")), 30)
    body = pattern(size)
    right = hashlib.sha256(body).hexdigest()
    upload = os.path.join(work, "body")
    with open(upload, "wb") as file:
        file.write(body)
    del body
    curl("EDGE/v1/bodies/1000000")
    grown = {}
    for where, region, way in (("127.1.0.1", east, "the edge"), ("127.2.0.1", west, "another region's edge")):
        for version in ("--http1.1", "--http2"):
            before = memory(region)
            forget_peak(region)
            got = os.path.join(work, "got")
            done = curl(version, "-o", got, f"EDGE/v1/bodies/{size}", where=where)
            check(done.returncode == 0 and hashlib.sha256(open(got, "rb").read()).hexdigest() == right, f"64 MB come through {way} as they were ({version[2:]})")
            done = curl(version, "-o", got, f"EDGE/v1/bodies/{size}?chunked", where=where)
            check(done.returncode == 0 and hashlib.sha256(open(got, "rb").read()).hexdigest() == right, f"and without a length that is said ({version[2:]})")
            done = curl(version, "--data-binary", f"@{upload}", "-H", "Expect:", "EDGE/v1/bodies", where=where)
            check(done.stdout.decode() == f"{size} {right} pieces\n", f"64 MB go through {way} as they are ({version[2:]})")
            done = subprocess.run(f"cat {upload} | curl --silent --max-time 120 --cacert {cluster}/public/root.pem {version} -X POST -T - https://{where}:{https}/v1/bodies", shell=True, capture_output=True)
            check(done.stdout.decode() == f"{size} {right} pieces\n", f"and without a length that is said ({version[2:]})")
            grown[way, version] = memory(region, "VmHWM") - before
            check(grown[way, version] < 24, f"for which {way} took {grown[way, version]:.1f} MB more at the most")

    before = memory(east)
    forget_peak(east)
    links = [stuck(f"/v1/bodies/{size}", 500_000) for _ in range(40)]
    time.sleep(1)
    check(alive() >= 40, "40 clients have begun with 64 MB each and read no further")
    check(hashlib.sha256(curl(f"EDGE/v1/bodies/{size}").stdout).hexdigest() == right, "meanwhile another one has all of it")
    check(memory(east, "VmHWM") - before < 40, f"the edge took {memory(east, 'VmHWM') - before:.1f} MB more at the most")
    for link in links:
        link.close()
    wait_for("nothing is asked of the node any more for those that are gone", lambda: alive() == 0, 15)
    check(True, "when they are gone the node is asked for nothing more")

    slow = subprocess.Popen(["curl", "--silent", "--cacert", f"{cluster}/public/root.pem", "--limit-rate", "4M", "-o", f"{work}/cut", f"https://127.1.0.1:{https}/v1/bodies/{size}"])
    slow2 = subprocess.Popen(["curl", "--silent", "--cacert", f"{cluster}/public/root.pem", "--limit-rate", "4M", "--http2", "-o", f"{work}/cut2", f"https://127.2.0.1:{https}/v1/bodies/{size}?chunked"])
    sending = subprocess.Popen(["curl", "--silent", "--cacert", f"{cluster}/public/root.pem", "--limit-rate", "4M", "--http1.1", "--data-binary", f"@{upload}", "-H", "Expect:", "-o", f"{work}/cut3", "-w", "%{http_code}",
                                f"https://127.1.0.1:{https}/v1/bodies"], stdout=subprocess.PIPE)
    wait_for("both have begun", lambda: all(os.path.exists(f"{work}/{name}") and os.path.getsize(f"{work}/{name}") > 1 << 20 for name in ("cut", "cut2")), 30)
    servers.processes["node", east].send_signal(signal.SIGKILL)
    servers.processes["node", east].wait()
    check(slow.wait(30) != 0 and os.path.getsize(f"{work}/cut") < size, "a client whose node dies in the middle learns that it has not the whole")
    check(slow2.wait(30) != 0 and os.path.getsize(f"{work}/cut2") < size, "also in HTTP/2, without a length, by way of another region")
    # In HTTP/1.1: curl 7.88 takes an answer before the end of a request for a fault of HTTP/2.
    check(sending.communicate(timeout=60)[0] in (b"504", b"503"), "and one that sends is told that nobody knows what became of it")
    start_node()
    wait_for("the node is back", lambda: curl("EDGE/v1/alive").stdout.count(b" ") == 1, 20)
    check(hashlib.sha256(curl(f"EDGE/v1/bodies/{size}").stdout).hexdigest() == right, "with a new node all is as it was")

    done = subprocess.run(["curl", "--silent", "--http1.1", "--cacert", f"{cluster}/public/root.pem", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", f"Content-Length: {(1 << 30) + 1}", "-H", "Expect:",
                           "--data-binary", "x", "--max-time", "10", f"https://127.1.0.1:{https}/v1/bodies"], capture_output=True)
    check(done.stdout == b"413", "a request of more than 1 GB is refused before it is sent")
    print(f"bodies: {checks.count} checks passed")
finally:
    servers.end()
