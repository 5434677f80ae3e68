# SPDX-License-Identifier: Apache-2.0
"""Clients that go on, whatever a test does to the cluster meanwhile."""
import json
import ssl
import threading
import time
import urllib.error
import urllib.request


class Client(threading.Thread):
    """Issues, one certificate after the other, at the first of the regions (by number, from 1) whose edge answers. What fails at all of them has failed."""

    def __init__(self, cluster, csr, numbers):
        super().__init__(daemon=True)
        self.urls = [f"https://127.{number}.0.1:8443/v1/certificates" for number in numbers]
        self.issued, self.failed, self.longest, self.on = [], [], 0.0, True
        self.pause, self.paused = threading.Event(), threading.Event()
        self.token = open(f"{cluster}/operator/token").read().strip()
        self.tls = ssl.create_default_context(cafile=f"{cluster}/public/root.pem")
        self.tls.check_hostname = False
        self.body = json.dumps({"csr": open(csr).read(), "profile": "server"}).encode()

    def issue(self, url):
        request = urllib.request.Request(url, data=self.body, headers={"Authorization": "Bearer " + self.token, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=15, context=self.tls) as answer:
            return json.loads(answer.read())

    def run(self):
        while self.on:
            if self.pause.is_set():
                self.paused.set()
                time.sleep(0.05)
                continue
            self.paused.clear()
            begun, why = time.monotonic(), []
            for url in self.urls:
                try:
                    self.issued.append(self.issue(url))
                    break
                except (urllib.error.URLError, OSError) as error:
                    why.append(f"{time.strftime('%X')} {url}: {error} {error.read().decode() if isinstance(error, urllib.error.HTTPError) else ''}")
            else:
                self.failed.append("; ".join(why))
            self.longest = max(self.longest, time.monotonic() - begun)
            time.sleep(0.02)


def ask_node(address, path, method="GET", token=None):
    """A node at its plain port: status (0: nobody answers) and body, parsed where it is JSON."""
    request = urllib.request.Request(f"http://{address}:9080{path}", method=method, headers={"Authorization": "Bearer " + token} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if text.startswith("{") else text
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError as error:
        return 0, str(error)
