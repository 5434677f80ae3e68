#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""h2spec, all of its cases, against an edge: h2spec.py EVERCERT H2SPEC. What fails must be among the exceptions below, and these must fail: each has its reason."""
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import xml.etree.ElementTree

# Section and case, as h2spec names them.
exceptions = {
    "Sends stream identifier that is numerically smaller than previous": "RFC 9113 section 5.1.1 wants the connection to end. libnghttp2 takes such a stream for one that "
                                                                         "is closed, whose frames may still be on their way, and skips it; no handler sees it.",
}

evercert, h2spec = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
work = tempfile.mkdtemp(prefix="evercert-h2spec-")
cluster, address = os.path.join(work, "cluster"), "127.1.0.1"
subprocess.run([evercert, "init", cluster, "--keys", "files", "--timing", "loopback", "--regions", "us-east-1"], check=True, capture_output=True)
log = open(os.path.join(work, "edge.log"), "w")
edge = subprocess.Popen([evercert, "edge", "--die-with-parent", "--cluster", f"{cluster}/cluster.yaml", "--region", "us-east-1"], stdout=log, stderr=subprocess.STDOUT)
try:
    end = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(f"http://{address}:8080/healthz", timeout=5).read()
            break
        except OSError:
            assert time.monotonic() < end and edge.poll() is None, open(log.name).read()
            time.sleep(0.1)
    report = os.path.join(work, "report.xml")
    began = time.monotonic()
    done = subprocess.run([h2spec, "--tls", "--insecure", "--host", address, "--port", "8443", "--path", "/healthz", "--timeout", "3", "--junit-report", report], capture_output=True, text=True, timeout=300)
    cases = xml.etree.ElementTree.parse(report).getroot().findall(".//testcase")
    failed = {case.get("classname") if case.get("classname") in exceptions else case.get("name") or case.get("classname"): case for case in cases
              if case.find("failure") is not None or case.find("error") is not None}
    unexpected = [name for name in failed if name not in exceptions]
    missing = [name for name in exceptions if name not in failed]
    for name in failed:
        print(f"  {'exception' if name in exceptions else 'FAILED'}: {failed[name].get('package')}: {name}" + (f": {exceptions[name]}" if name in exceptions else ""))
    for name in missing:
        print(f"  no exception any more, take it out of {os.path.basename(__file__)}: {name}")
    print(f"h2spec: {len(cases) - len(failed)} of {len(cases)} after {time.monotonic() - began:.0f} s")
    if unexpected or missing or len(cases) < 140:
        print(done.stdout[-3000:])
        sys.exit(1)
finally:
    edge.kill()
    edge.wait()
    subprocess.run(["rm", "-rf", work])
