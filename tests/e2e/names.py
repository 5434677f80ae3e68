# SPDX-License-Identifier: Apache-2.0
"""A name server of the tests: UDP on loopback, what it answers can change."""
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Names:
    def __init__(self, addresses):
        """`addresses`: of each name its IPv4 address. Other names do not exist; other types of these have no records."""
        self.addresses = dict(addresses)
        self.silent = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.server = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            data, peer = self.socket.recvfrom(4096)
            if self.silent:
                continue
            try:
                query = dns.message.from_wire(data)
            except Exception:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA
            question = query.question[0]
            name = str(question.name).rstrip(".").lower()
            if not any(known == name or known.endswith("." + name) for known in self.addresses):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            elif name in self.addresses and question.rdtype == dns.rdatatype.A:
                answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", "A", self.addresses[name]))
            self.socket.sendto(answer.to_wire(), peer)
