# SPDX-License-Identifier: Apache-2.0
"""The processes of a cluster of three regions as `evercert init` laid it out, and of nodes that came later. A node of a further zone is named region-zone."""
import os
import signal
import subprocess


class Servers:
    def __init__(self, evercert, work, cluster):
        self.evercert, self.work, self.cluster = evercert, work, cluster
        self.processes = {}

    def start(self, kind, region, zone=1, file="cluster.yaml"):
        name = region if zone == 1 else f"{region}-{zone}"
        more = ["--zone", str(zone), "--data", os.path.join(self.work, "data-" + name)] if kind == "node" else []
        log = open(os.path.join(self.work, f"{kind}-{name}.log"), "a")
        self.processes[kind, name] = subprocess.Popen([self.evercert, kind, "--die-with-parent", "--cluster", f"{self.cluster}/{file}", "--region", region, *more],
                                                      stdout=log, stderr=subprocess.STDOUT)

    def stop(self, region):
        """Asks both to end; the node's exit status."""
        for kind in ("edge", "node"):
            self.processes[kind, region].send_signal(signal.SIGTERM)
        return [self.processes[kind, region].wait(60) for kind in ("edge", "node")][1]

    def stop_one(self, kind, name):
        self.processes[kind, name].send_signal(signal.SIGTERM)
        return self.processes[kind, name].wait(60)

    def kill(self, region):
        for kind in ("edge", "node"):
            self.processes[kind, region].send_signal(signal.SIGKILL)
            self.processes[kind, region].wait()
