# SPDX-License-Identifier: Apache-2.0
"""Keys that vanish from a SoftHSM2 token while a node uses it, and come back."""
import ctypes
import glob
import os
import shutil
import subprocess
import sys

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
# PKCS #11: classes, attributes, flags.
PRIVATE_KEY, CLASS, LABEL, SERIAL_SESSION, RW_SESSION, USER = 3, 0, 3, 4, 2, 1


class Attribute(ctypes.Structure):
    _fields_ = [("type", ctypes.c_ulong), ("value", ctypes.c_void_p), ("size", ctypes.c_ulong)]


def destroy(conf, token_label, pin, key_label):
    """In a process of its own (below): the module reads its configuration once."""
    subprocess.run([sys.executable, os.path.abspath(__file__), token_label, pin, key_label], check=True, env={**os.environ, "SOFTHSM2_CONF": conf})


class VanishingKey:
    """The private key `label` of a region's token."""

    def __init__(self, cluster, region, label):
        self.cluster, self.region, self.label = cluster, region, label
        self.kept = None

    def objects(self):
        return set(glob.glob(f"{self.cluster}/tokens/*/*.object"))

    def vanish(self):
        copy = f"{self.cluster}/tokens.kept"
        shutil.copytree(f"{self.cluster}/tokens", copy)
        before = self.objects()
        conf = glob.glob(f"{self.cluster}/**/softhsm2.conf", recursive=True)[0]
        pin = open(glob.glob(f"{self.cluster}/**/{self.region}/pin", recursive=True)[0]).read().strip()
        destroy(conf, f"evercert-{self.region}"[:32], pin, self.label)
        gone = before - self.objects()
        assert len(gone) == 1, f"one object is destroyed: {gone}"
        self.kept = gone.pop()

    def come_back(self):
        shutil.copy2(self.kept.replace("/tokens/", "/tokens.kept/"), self.kept)
        # Other processes look at the folder again when its generation is another.
        generation = os.path.join(os.path.dirname(self.kept), "generation")
        number = int.from_bytes(open(generation, "rb").read(), "big")
        with open(generation, "r+b") as file:
            file.write((number + 1).to_bytes(os.path.getsize(generation), "big"))


def main(token_label, pin, key_label):
    p11 = ctypes.CDLL(MODULE)

    def call(name, *arguments):
        code = getattr(p11, name)(*arguments)
        assert code == 0, f"{name}: 0x{code:x}"

    call("C_Initialize", None)
    count = ctypes.c_ulong(64)
    slots = (ctypes.c_ulong * 64)()
    call("C_GetSlotList", 1, slots, ctypes.byref(count))
    for slot in slots[: count.value]:
        info = ctypes.create_string_buffer(256)
        call("C_GetTokenInfo", ctypes.c_ulong(slot), info)
        if info.raw[:32].decode().rstrip() != token_label:
            continue
        session = ctypes.c_ulong()
        call("C_OpenSession", ctypes.c_ulong(slot), ctypes.c_ulong(SERIAL_SESSION | RW_SESSION), None, None, ctypes.byref(session))
        call("C_Login", session, ctypes.c_ulong(USER), pin.encode(), ctypes.c_ulong(len(pin)))
        kind, label = ctypes.c_ulong(PRIVATE_KEY), ctypes.create_string_buffer(key_label.encode(), len(key_label))
        pattern = (Attribute * 2)(
            (CLASS, ctypes.cast(ctypes.byref(kind), ctypes.c_void_p), ctypes.sizeof(kind)),
            (LABEL, ctypes.cast(label, ctypes.c_void_p), len(key_label)))
        call("C_FindObjectsInit", session, pattern, ctypes.c_ulong(2))
        found, number = ctypes.c_ulong(), ctypes.c_ulong()
        call("C_FindObjects", session, ctypes.byref(found), ctypes.c_ulong(1), ctypes.byref(number))
        assert number.value == 1, f"the token has no private key {key_label}"
        call("C_FindObjectsFinal", session)
        call("C_DestroyObject", session, found)
        return
    raise AssertionError(f"there is no token {token_label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
