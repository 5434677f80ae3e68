# SPDX-License-Identifier: Apache-2.0
"""Cuts between addresses of this network namespace, as nftables makes them: what is sent is gone, and nobody is told."""
import subprocess


def nft(*words):
    subprocess.run(["nft", *words], check=True, capture_output=True)


class Links:
    def __init__(self):
        nft("add", "table", "ip", "cuts")
        nft("add", "chain", "ip", "cuts", "sent", "{ type filter hook output priority 0; }")

    def cut(self, *pairs):
        """Both ways between each two networks."""
        for a, b in pairs:
            for source, destination in ((a, b), (b, a)):
                nft("add", "rule", "ip", "cuts", "sent", "ip", "saddr", source, "ip", "daddr", destination, "drop")

    def mend(self):
        nft("flush", "chain", "ip", "cuts", "sent")

    def end(self):
        subprocess.run(["nft", "delete", "table", "ip", "cuts"], capture_output=True)
