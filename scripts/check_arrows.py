#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when an #include "module/..." is not among the DEPS that the including module's CMakeLists.txt declares,
or when those declarations form a cycle. Tests may also use the modules of their own evercert_test(... DEPS ...)."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
src = root / "src"
call = re.compile(r"evercert_(module|test)\(\s*([\w/]+)(.*?)\)", re.S)
include = re.compile(r'^\s*#include "([^"]+)"', re.M)
modules, test_deps = {}, {}
for cmake in sorted(src.rglob("CMakeLists.txt")):
    for kind, name, body in call.findall(cmake.read_text()):
        words, deps, collecting = body.split(), [], False
        for word in words:
            if word in ("DEPS", "LIBS", "SOURCES", "TIMEOUT"):
                collecting = word == "DEPS"
            elif collecting:
                deps.append(word)
        if kind == "module":
            modules[name] = deps
        else:
            test_deps.setdefault(str(cmake.parent.relative_to(src)), set()).update(deps)

errors = []


def module_of(path):
    parts = path.split("/")[:-1]
    while parts:
        if "/".join(parts) in modules:
            return "/".join(parts)
        parts.pop()
    return None


def reach(name, seen):
    for dep in modules.get(name, []):
        if dep not in seen:
            seen.add(dep)
            reach(dep, seen)
    return seen


for name, deps in modules.items():
    for dep in deps:
        if dep not in modules:
            errors.append(f"src/{name}/CMakeLists.txt: DEPS names the unknown module '{dep}'")
    if name in reach(name, set()):
        errors.append(f"src/{name}/CMakeLists.txt: the module depends on itself through its DEPS")

for file in sorted(src.rglob("*")):
    if file.suffix not in (".h", ".cc"):
        continue
    own = module_of(str(file.relative_to(src)))
    if own is None:
        continue
    allowed = {own} | reach(own, set())
    if file.stem.endswith("_test"):
        for dep in test_deps.get(own, set()):
            allowed |= {dep} | reach(dep, set())
    for line_number, line in enumerate(file.read_text().splitlines(), 1):
        match = include.match(line)
        if not match:
            continue
        target = module_of(match.group(1))
        if target and target not in allowed:
            errors.append(f"{file.relative_to(root)}:{line_number}: '{own}' includes '{target}', which its DEPS do not name")

if errors:
    print("\n".join(errors), file=sys.stderr)
    sys.exit(1)
