# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests have in common: promises are checked one by one, printed and counted."""
import time

count = 0


def check(condition, what):
    global count
    count += 1
    if not condition:
        raise AssertionError(what)
    print(f"  ok  {what}", flush=True)


def wait_for(what, condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")
