# SPDX-License-Identifier: Apache-2.0
"""The processes of a cluster of three regions as `evercert init` laid it out, and of nodes that came later. A node of a further zone is named region-zone."""
import os
import shutil
import signal
import subprocess
import sys


class Servers:
    def __init__(self, evercert, work, cluster):
        self.evercert, self.work, self.cluster = evercert, work, cluster
        self.processes = {}

    def start(self, kind, region, zone=1, file="cluster.yaml", more=(), environment=None):
        name = region if zone == 1 else f"{region}-{zone}"
        more = list(more) + (["--zone", str(zone), "--data", os.path.join(self.work, "data-" + name)] if kind == "node" else [])
        log = open(os.path.join(self.work, f"{kind}-{name}.log"), "a")
        self.processes[kind, name] = subprocess.Popen([self.evercert, kind, "--die-with-parent", "--cluster", f"{self.cluster}/{file}", "--region", region, *more],
                                                      stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})

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

    def end(self, others=()):
        """Ends everything. When the test has failed, the ends of all logs are shown."""
        for process in [*self.processes.values(), *others]:
            process.kill()
        for process in [*self.processes.values(), *others]:
            process.wait()
        if sys.exc_info()[0] is not None:
            for name in sorted(os.listdir(self.work)):
                if name.endswith(".log"):
                    print(f"--- {name}\n" + "".join(open(os.path.join(self.work, name)).readlines()[-12:]), file=sys.stderr)
        shutil.rmtree(self.work, ignore_errors=True)
