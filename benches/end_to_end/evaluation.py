"""What judging costs, groups × rules: the grids of `cargo bench --package parts`, as a
table and a plot. Wall clock of one thread, without the rest of the service."""

import re

from lab import ROOT, Failed, Spread, plot, table
from plots import doubling, logarithmic

# A run is a second for each place of a grid.
RUNS, SHORT_RUNS = 3, 1
GRIDS = {
    "every_group_by_rules": "every group by every rule at once",
    "turn_of_100_deliveries_by_rules": "a turn with 100 deliveries",
}
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
TIME = re.compile(r"([\d.]+) (ns|µs|ms|s)\b")


def measure(lab, rows, runs):
    printed = lab.folder / "parts.txt"
    command = ["cargo", "bench", "--quiet", "--locked", "--package", "parts"]
    command += ["--manifest-path", ROOT / "Cargo.toml"]
    command += ["--", "--max-time", str(runs), *GRIDS]
    with printed.open("wb") as out:
        lab.start(command, "cargo", out).wait_end()
    times = read(printed.read_text())
    grids = {name: grid(times, name) for name in GRIDS}
    return {"grids": grids}


def read(text):
    """The times of divan's tree, by path: its name, its constants, its arguments."""
    times, path = {}, []
    for line in text.splitlines():
        found = re.match(r"([│ ]*)[├╰]─ (\S+)(.*)", line)
        if not found:
            continue
        # Three characters for each level.
        path = path[: len(found[1]) // 3] + [found[2]]
        columns = [TIME.search(column) for column in found[3].split("│")]
        if columns and all(columns[:3]):
            fastest, slowest, median = (float(it[1]) * UNITS[it[2]] for it in columns[:3])
            samples = int(found[3].split("│")[4])
            times[tuple(path)] = Spread(median, fastest, slowest, samples)
    return times


def grid(times, name):
    """What that benchmark took, by (rules, groups)."""
    found = [
        {"rules": int(path[-2]), "groups": int(path[-1]), "seconds": spread}
        for path, spread in times.items()
        if name in path
    ]
    sides = [len({it[side] for it in found}) for side in ("rules", "groups")]
    if not found or len(found) != sides[0] * sides[1]:
        raise Failed(f"`cargo bench --package parts` shows no whole grid of {name}: {len(found)} of {sides}")
    return found


def text(figures):
    return "\n\n".join(one_text(name, figures["grids"][name]) for name in figures["grids"])


def one_text(name, grid):
    rules, groups = (sorted({it[side] for it in grid}) for side in ("rules", "groups"))
    at = {(it["rules"], it["groups"]): it["seconds"] for it in grid}
    rows = [[f"{count:,} rules", *(at[count, size].text(1e-3, 3) for size in groups)] for count in rules]
    lines = [f"{GRIDS[name]}, ms", table(["", *(f"{size:,} groups" for size in groups)], rows)]
    by_groups = doubling(groups, [at[rules[-1], size].median for size in groups])
    by_rules = doubling(rules, [at[count, groups[-1]].median for count in rules])
    lines.append(f"with {rules[-1]} rules, twice the groups ×: " + ", ".join(f"{it:.2f}" for it in by_groups))
    lines.append(f"with {groups[-1]:,} groups, twice the rules ×: " + ", ".join(f"{it:.2f}" for it in by_rules))
    return "\n".join(lines)


def targets(figures):
    promised = {"every_group_by_rules": 50, "turn_of_100_deliveries_by_rules": 2}
    for name, most in promised.items():
        for it in figures["grids"][name]:
            if (it["rules"], it["groups"]) == (100, 10_000):
                # The quickest: the others tell of the machine's other work.
                yield f"{GRIDS[name]}, 10,000 groups and 100 rules", it["seconds"].low * 1e3, most, "ms"


def draw(figures):
    for name, grid in figures["grids"].items():
        rules, groups = (sorted({it[side] for it in grid}) for side in ("rules", "groups"))
        with plot(f"evaluation-{name}", GRIDS[name].capitalize(), "groups", "milliseconds") as axes:
            for count in rules:
                line = [it["seconds"].median * 1e3 for it in grid if it["rules"] == count]
                drawn = axes.plot(groups, line, marker="o", label=f"{count} rules")
                linear = [line[-1] * size / groups[-1] for size in groups]
                axes.plot(groups, linear, ":", color=drawn[0].get_color(), alpha=0.7)
            axes.plot([], [], ":", color="gray", label="exactly proportional to groups")
            logarithmic(axes, groups)
