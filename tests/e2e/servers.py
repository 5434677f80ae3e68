# SPDX-License-Identifier: Apache-2.0
"""The processes of a cluster of three regions with one zone each, as `evercert init` laid it out."""
import os
import signal
import subprocess


class Servers:
    def __init__(self, evercert, work, cluster):
        self.evercert, self.work, self.cluster = evercert, work, cluster
        self.processes = {}

    def start(self, kind, region):
        more = ["--zone", "1", "--data", os.path.join(self.work, "data-" + region)] if kind == "node" else []
        log = open(os.path.join(self.work, f"{kind}-{region}.log"), "a")
        self.processes[kind, region] = subprocess.Popen([self.evercert, kind, "--die-with-parent", "--cluster", f"{self.cluster}/cluster.yaml", "--region", region, *more],
                                                        stdout=log, stderr=subprocess.STDOUT)

    def stop(self, region):
        """Asks both to end; the node's exit status."""
        for kind in ("edge", "node"):
            self.processes[kind, region].send_signal(signal.SIGTERM)
        return [self.processes[kind, region].wait(60) for kind in ("edge", "node")][1]

    def kill(self, region):
        for kind in ("edge", "node"):
            self.processes[kind, region].send_signal(signal.SIGKILL)
            self.processes[kind, region].wait()
