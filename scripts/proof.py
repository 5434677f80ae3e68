#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/proof.md from what `evercert sim --json` has measured: campaigns (any number), the planted bugs, the model.

proof.py --campaigns FILE... --bugs FILE... --model FILE > docs/proof.md

A bug that several files have is told as the last of them has it.
"""
import argparse
import json
import pathlib
import re

root = pathlib.Path(__file__).resolve().parent.parent

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--campaigns", nargs="+", required=True)
arguments.add_argument("--bugs", nargs="+", required=True)
arguments.add_argument("--model", required=True)
options = arguments.parse_args()


def load(path):
    with open(path) as file:
        return json.load(file)


def merged(runs):
    """One row for what several processes have run of one scenario and commit: numbers are added."""
    whole = {}
    for run in runs:
        key = (run["scenario"], run["commit"])
        if key not in whole:
            whole[key] = run
            continue
        for name, value in run.items():
            if isinstance(value, dict) and name != "silence":
                for part, count in value.items():
                    whole[key][name][part] = whole[key][name].get(part, 0) + count
            elif isinstance(value, list):
                whole[key][name] += value
            elif isinstance(value, (int, float)) and name != "first_seed":
                whole[key][name] += value
    return list(whole.values())


campaigns, model = merged([load(path) for path in options.campaigns]), load(options.model)
runs = [load(path) for path in options.bugs]
planted = [name for module in ("store", "coordination")
           for name in re.findall(r'\{Bug::k\w+, "(\w+)"', re.sub(r",\s+\"", ', "', (root / f"src/{module}/planted.h").read_text()))]
bugs = {bug["bug"]: {**bug, "commit": run["commit"]} for run in runs for bug in run["bugs"] if bug["bug"] in planted}.values()
commits = sorted({bug["commit"] for bug in bugs})

print("""# What was run, and what it found

Written by `scripts/proof.py` from the results of the commands named here; run them and it is written anew (`make proof`).
What the checkers look for, and what goes wrong in the runs, is in [simulation.md](simulation.md).

## Campaigns
| scenario | commit | seeds | simulated hours | operations judged | violations | simulated seconds per second of one core |
|---|---|---|---|---|---|---|""")
for one in campaigns:
    print(f"| {one['scenario']} | {one['commit']} | {one['seeds']:,} | {one['simulated_seconds'] / 3600:,.1f} "
          f"| {one['operations_judged']:,} | {one['violations']} | {one['simulated_seconds'] / one['seconds']:,.0f} |")
failing = [(one, seed) for one in campaigns for seed in one["failing_seeds"]]
if failing:
    print("\nEvery violation, as it was told. What became of each: [violations.md](violations.md).\n\n| scenario | seed | violation |\n|---|---|---|")
    for one, seed in failing:
        print(f"| {one['scenario']} | {seed['seed']} | {seed['violation'][:160]} |")
silences = [one for one in campaigns if one.get("silence")]
if silences:
    print("""
## How long nobody writes when a region dies
The longest time, in each run, in which a region's home group acknowledged no write: the region of its leader loses power and
comes back, twice, under a steady load of writes to every group.

| scenario | seeds | p50 | p99 | at most |
|---|---|---|---|---|""")
    for one in silences:
        silence = one["silence"]
        print(f"| {one['scenario']} | {one['seeds']:,} | {silence['p50_ms']:,.0f} ms | {silence['p99_ms']:,.0f} ms "
              f"| {silence['most_ms']:,.0f} ms |")
    print("\n## Faults and rare branches")
undecided = sum(one["histories_undecided"] for one in campaigns)
print(f"\nHistories that were too long to be judged: {undecided:,}. Faults in all of them together:\n")
faults = {}
for one in campaigns:
    for name, count in one["faults"].items():
        faults[name] = faults.get(name, 0) + count
print("| fault | times |\n|---|---|")
for name, count in sorted(faults.items(), key=lambda item: -item[1]):
    print(f"| {name} | {count:,} |")
branches = {}
for one in campaigns:
    for name, count in one["branches"].items():
        branches[name] = branches.get(name, 0) + count
print("\n| rare branch | taken |\n|---|---|")
for name, count in sorted(branches.items(), key=lambda item: item[1]):
    print(f"| {name} | {f'{count:,}' if count else '**never**'} |")

print(f"""
## Planted bugs
`evercert sim --bug all --seeds {max(run['seeds'] for run in runs)} --json FILE`, commit {', '.join(commits)}. Each breaks one rule (`src/store/planted.h`, `src/coordination/planted.h`); a
checker that does not find it is no checker. A run ends with its first violation.{
' A bug was given up after ' + str(runs[-1]['enough']) + ' findings.' if runs[-1].get('enough') else ''}

| planted bug | what it does | scenario | found in | first seed | as |
|---|---|---|---|---|---|""")
for bug in bugs:
    kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(bug["violations"].items(), key=lambda item: -item[1]))
    first = bug["first_seed"] if bug["found"] else "none"
    print(f"| `{bug['bug']}` | {bug['what']} | {bug['scenario']} | {bug['found']:,} of {bug['seeds']:,} | {first} | {kinds} |")

missing = [name for name in planted if name not in {bug["bug"] for bug in bugs}]
if missing:
    print(f"\nNot measured in this run, {len(missing)} of {len(planted)}: " + ", ".join(f"`{name}`" for name in missing) + ".")

print("""
## The lease rule in every order of events
`make model`: three regions of one replica, time without end, as many restarts and further elections as the table says, every order of
what can happen. See [cycles/membership.md](cycles/membership.md).

| | states | steps | result |
|---|---|---|---|""")
for one in model["sound"]:
    print(f"| as it is, {one['restarts']} restarts, {one['elections']} elections | {one['states']:,} | {one['steps']:,} "
          f"| {'VIOLATION' if one['violation'] else 'no violation'}, {'all states' if one['complete'] else 'not all states'} |")
for bug in model["bugs"]:
    print(f"| `{bug['bug']}` | {bug['states']:,} | {bug['steps']:,} | "
          f"{'found, ' + str(len(bug['violation'])) + ' steps' if bug['violation'] else 'NOT FOUND'} |")
