#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules that a compiler does not know: no clock, sleep or chance outside the operating system's module and the network's;
one licence line a file; files of a readable length; the repository speaks of the product alone."""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
files = [root / f for f in subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, text=True, capture_output=True, check=True).stdout.split("\n") if f]
errors = []
forbidden = [
    (re.compile(r"std::chrono::\w*_clock::now|\bsteady_clock::now|\bsystem_clock::now"), "reads a clock: take a MonotonicClock or WallClock"),
    (re.compile(r"std::this_thread::sleep|\busleep\(|\bnanosleep\("), "sleeps: take an Executor"),
    (re.compile(r"std::random_device|std::mt19937|\bs?rand\(\)|\brand_r\("), "draws chance: take a Random"),
    (re.compile(r"\btime\(nullptr\)|\bgettimeofday\(|\bclock_gettime\("), "reads a clock: take a MonotonicClock or WallClock"),
]
# The edge of the program: here the real thing is wrapped, or (demo, bench) processes are waited for.
edges = ("src/base/os/", "src/net/", "src/demo/", "src/bench/", "apps/", "src/sim/")
for file in files:
    if not file.is_file():
        continue
    name = str(file.relative_to(root))
    if file.suffix not in (".h", ".cc", ".py", ".sh", ".rs", ".proto", ".cmake") and file.name not in ("CMakeLists.txt", "Makefile"):
        continue
    text = file.read_text()
    lines = text.splitlines()
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        errors.append(f"{name}:1: the licence line is missing")
    if len(lines) > 600:
        errors.append(f"{name}: {len(lines)} lines: split it (600 at most)")
    for number, line in enumerate(lines, 1):
        if file.suffix in (".h", ".cc") and not name.startswith(edges) and not name.endswith("_test.cc"):
            for pattern, why in forbidden:
                if pattern.search(line):
                    errors.append(f"{name}:{number}: {why}")
        if re.search(r"/work/(main|shared)", line) and not name.endswith("lint.py"):
            errors.append(f"{name}:{number}: names a machine's own path")
sources = [str(f) for f in files if f.suffix in (".h", ".cc") and f.is_file()]
formatted = subprocess.run(["clang-format-14", "--dry-run", "--Werror", *sources], cwd=root, text=True, capture_output=True)
if formatted.returncode != 0:
    places = sorted({line.split(": error")[0] for line in formatted.stderr.splitlines() if ": error" in line})
    errors += [f"{place}: not formatted: run make format" for place in places[:20]]
if errors:
    print("\n".join(errors), file=sys.stderr)
    sys.exit(1)
