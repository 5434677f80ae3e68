# SPDX-License-Identifier: Apache-2.0
"""Three regions on this machine, and the ways to break them."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time

ADDRESSES = {"us-east-1": "127.1.0.0/16", "us-west-2": "127.2.0.0/16", "eu-central-1": "127.3.0.0/16"}


def wait_for(what, condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Network:
    """Packet filter of the namespace: regions are told apart by their addresses, as every process binds its own region's."""

    def __init__(self):
        self._nft("add table inet faults", "add chain inet faults cut { type filter hook input priority 0 ; }")

    def cut_one_way(self, source, target):
        self._nft(f"add rule inet faults cut ip saddr {ADDRESSES[source]} ip daddr {ADDRESSES[target]} drop")

    def cut(self, one, other):
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def heal(self):
        self._nft("flush chain inet faults cut")

    def _nft(self, *commands):
        subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, check=True)


class Process:
    def __init__(self, pid, command, data_dir=None):
        self.pid, self.command, self.data_dir, self.environment, self.child = pid, command, data_dir, {}, None

    def signal(self, number):
        os.kill(self.pid, number)

    def running(self):
        if self.child:
            return self.child.poll() is None
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False


class Volume:
    """A file system of its own for one node, in a file."""

    def __init__(self, image, mount_point, megabytes):
        self.image, self.mount_point = image, mount_point
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)

    def mount(self):
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", self.image, self.mount_point], check=True)

    def fill(self):
        with open(os.path.join(self.mount_point, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 << 10))
                    os.fsync(file.fileno())
            except OSError:
                pass

    def free(self):
        os.remove(os.path.join(self.mount_point, "filler"))

    def turn_read_only(self):
        source = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.mount_point], capture_output=True, text=True, check=True)
        with open(f"/sys/fs/ext4/{os.path.basename(source.stdout.strip())}/trigger_fs_error", "w") as trigger:
            trigger.write("told to by a test")

    def repair(self):
        subprocess.run(["umount", self.mount_point], check=True)
        subprocess.run(["e2fsck", "-fy", self.image], stdout=subprocess.DEVNULL, check=False)
        self.mount()


class Cluster:
    def __init__(self, evercert, work):
        self.evercert, self.work, self.dir = evercert, work, os.path.join(work, "cluster")
        self.file = os.path.join(self.dir, "cluster.yaml")
        self.regions = {}

    def __enter__(self):
        self.demo = self.popen(["demo", "--keep", "--dir", self.dir, "--wan", "off"], "demo.log")
        description = os.path.join(self.dir, "cluster.json")
        wait_for("the cluster is ready", lambda: os.path.exists(description) or self.demo.poll() is not None, 60)
        for region in json.load(open(description))["regions"]:
            nodes = [Process(node["pid"], node["command"], node["data_dir"]) for node in region["nodes"]]
            self.regions[region["name"]] = (nodes, Process(region["edge_pid"], region["edge_command"]))
        return self

    def __exit__(self, *_):
        self.demo.send_signal(signal.SIGINT)
        self.demo.wait(30)

    def popen(self, arguments, log):
        with open(os.path.join(self.work, log), "a") as out:
            return subprocess.Popen([self.evercert, *arguments], stdout=out, stderr=subprocess.STDOUT)

    def nodes(self, region):
        return self.regions[region][0]

    def processes(self, region):
        return [*self.regions[region][0], self.regions[region][1]]

    def kill(self, process):
        process.signal(signal.SIGKILL)
        wait_for("a killed process ends", lambda: not process.running(), 10)

    def kill_region(self, region):
        for process in self.processes(region):
            process.signal(signal.SIGKILL)
        for process in self.processes(region):
            wait_for("a killed process ends", lambda: not process.running(), 10)

    def restart(self, process):
        command = [word for word in process.command if word != "--die-with-parent"]
        with open(os.path.join(self.work, "restarted.log"), "a") as out:
            process.child = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **process.environment})
        process.pid = process.child.pid

    def restart_region(self, region):
        for process in self.processes(region):
            self.restart(process)

    def with_faked_clock(self, process):
        """From its next start on; the answer sets its clock's distance from the true one, in seconds."""
        # The C library's allocator before jemalloc, which reads the clock before libfaketime can answer.
        names = ("faketime/libfaketimeMT.so.1", "libc.so.6", "libstdc++.so.6")
        libraries = [glob.glob(f"/usr/lib/*-linux-gnu/{name}")[0] for name in names]
        # AWS-LC gives memory back by jemalloc's own call where that is linked, also what the C library's allocator gave out.
        source, shim = os.path.join(self.work, "sdallocx.c"), os.path.join(self.work, "sdallocx.so")
        with open(source, "w") as file:
            file.write("#include <stdlib.h>\nvoid sdallocx(void* p, size_t size, int flags) { (void)size; (void)flags; free(p); }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source], check=True)
        libraries.insert(1, shim)
        path = os.path.join(self.work, "clock")

        def set_offset(offset):
            with open(path + ".new", "w") as file:
                file.write(offset + "\n")
            os.rename(path + ".new", path)

        set_offset("+0")
        process.environment = {"LD_PRELOAD": " ".join(libraries), "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_CACHE_DURATION": "1",
                               "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return set_offset

    def on_own_volume(self, process, megabytes):
        """Moves a node's data to a file system of its own; the node is restarted."""
        self.kill(process)
        volume = Volume(os.path.join(self.work, "volume"), process.data_dir, megabytes)
        kept = process.data_dir + ".kept"
        shutil.copytree(process.data_dir, kept)
        volume.mount()
        shutil.copytree(kept, process.data_dir, dirs_exist_ok=True)
        shutil.rmtree(kept)
        os.sync()  # what the test itself has copied is no loss that the node would have to bear
        self.restart(process)
        return volume
