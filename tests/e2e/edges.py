# SPDX-License-Identifier: Apache-2.0
"""What an edge is to a health check: small HTTPS servers of their own, one a region, with certificates of the cluster's root."""
import http.server
import os
import socket
import ssl
import subprocess
import sys

from checks import wait_for


class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"ready\n"
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(address, port, certificate, key):
    """Until it is killed."""
    server = http.server.ThreadingHTTPServer((address, int(port)), Ready)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def free_port(where):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((where, 0))
        return s.getsockname()[1]


def openssl(work, *words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=work)


class Edges:
    def __init__(self, work, regions, processes, inside=()):
        """`processes`: what is started, by region. `inside`: a command in front of theirs, as of a network namespace."""
        self.work, self.regions, self.processes, self.inside = work, regions, processes, list(inside)
        self.ports = {region: free_port(self.address(region)) for region in regions}
        os.makedirs(os.path.join(work, "cluster", "public"), exist_ok=True)

    def address(self, region):
        return f"127.{self.regions.index(region) + 1}.0.10"

    def certificates(self):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        openssl(self.work, "req", "-x509", *curve, "-keyout", "root.key", "-out", "cluster/public/root.pem", "-subj", "/CN=root", "-days", "2")
        for region in self.regions:
            openssl(self.work, "req", *curve, "-keyout", f"{region}.key", "-out", f"{region}.csr", "-subj", f"/CN={region}")
            with open(os.path.join(self.work, region + ".ext"), "w") as file:
                file.write(f"subjectAltName=IP:{self.address(region)}\n")
            openssl(self.work, "x509", "-req", "-in", f"{region}.csr", "-CA", "cluster/public/root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2", "-extfile", f"{region}.ext", "-out", f"{region}.pem")

    def start(self, region):
        command = [*self.inside, sys.executable, os.path.abspath(__file__), self.address(region), str(self.ports[region]), f"{self.work}/{region}.pem", f"{self.work}/{region}.key"]
        self.processes[region] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(f"{self.work}/edge-{region}.log", "a"))

        def listens():
            probe = [*self.inside, sys.executable, "-c", f"import socket; exit(socket.socket().connect_ex(('{self.address(region)}', {self.ports[region]})))"]
            return subprocess.run(probe).returncode == 0
        wait_for(f"the edge of {region} listens", listens, 20)


if __name__ == "__main__":
    serve(*sys.argv[1:])
