# SPDX-License-Identifier: Apache-2.0
"""What a person sees and orders from the command line: `evercert ctl`, and what it says of the failover controller."""
import json
import subprocess

from clients import ask_node


class Operator:
    def __init__(self, evercert, cluster, file="cluster.yaml"):
        self.evercert, self.cluster, self.file = evercert, cluster, file

    def run(self, *arguments, file=None, typed=None):
        """How it ended."""
        return subprocess.run([self.evercert, "ctl", "--cluster", f"{self.cluster}/{file or self.file}", *arguments], capture_output=True, text=True, timeout=60, input=typed)

    def ctl(self, *arguments, exit_code=0, file=None, typed=None):
        """What it prints when it ends as it should; of another end than 0, also what it complains of. `exit_code`: one, or several."""
        done = self.run(*arguments, file=file, typed=typed)
        assert done.returncode in (exit_code if isinstance(exit_code, tuple) else (exit_code,)), f"ctl {arguments} ends with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout if exit_code == 0 else done.stdout + done.stderr

    # --- the failover controller; without an answer nothing is known of it
    def status(self):
        out = self.run("--json", "failover", "status")
        return json.loads(out.stdout) if out.stdout.startswith("{") else {}

    def incident(self, subject):
        """The last one about it."""
        return next((one for one in reversed(self.status().get("incidents", [])) if one["subject"] == subject), {})

    def phase(self, subject):
        return self.incident(subject).get("phase")

    def nothing_open(self):
        return self.run("failover", "status").returncode == 0

    def entries(self):
        out = self.run("--json", "failover", "log", "--all")
        assert out.stdout, f"the log cannot be read: {out.stderr}"
        return json.loads(out.stdout)["entries"]

    def set_policy(self, path, policy):
        json.dump(policy, open(path, "w"))
        return self.run("failover", "policy", "set", path)


def well_in_the_eyes_of(number):
    """Of the first node of a region, by the region's number from 1: nothing is wrong anywhere."""
    code, document = ask_node(f"127.{number}.0.11", "/v1/health")
    return code == 200 and all(region["score"] == 100 and not region["out"] for region in document["regions"])


def well_in_all_eyes(numbers=(1, 2, 3)):
    return all(well_in_the_eyes_of(number) for number in numbers)
