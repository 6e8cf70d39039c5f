"""What postwatch costs while nothing happens: one source, polls every 60 s, with no
delivery and with many in the look-back."""

import time

from lab import STILL, Failed, plot, rules, table
from startup import check_open, fill

ROWS, SHORT_ROWS = (0, 1_000_000), (0, 10_000)
# A run is a minute.
RUNS, SHORT_RUNS = 5, 1
# How many hours of failures are read again every so many minutes, with the network of `fill`.
# The first poll after a start reads all of them once; in five minutes only the last hour is.
SWEEPS = {5: 1, 15: 6, 60: 70}
SLOW_SWEEPS_AN_HOUR = sum(hours * 60 / minutes for minutes, hours in SWEEPS.items() if minutes > 5)


def measure(lab, rows, runs):
    """All at the same time: what is measured is CPU."""
    watches = [watch(lab, count) for count in rows]
    before = [service.cost() for service, _ in watches]
    time.sleep(60 * runs)
    after = [service.cost() for service, _ in watches]
    for (service, _), count in zip(watches, rows):
        check_open(service, count)
        service.wait_whole(1 + runs)
    return {
        "rests": [
            {
                "deliveries": count,
                "seconds": later.wall_seconds - earlier.wall_seconds,
                "core_share": share(later - earlier),
                "sweep_cpu_seconds": sweep,
                "core_share_with_sweeps": share(later - earlier) + share_of_slow_sweeps(sweep),
                "resident_bytes": later.resident_bytes,
            }
            for count, earlier, later, (_, sweep) in zip(rows, before, after, watches)
        ]
    }


def watch(lab, count):
    """A service that knows so many deliveries and has just read them once more, and the CPU
    seconds that this took."""
    name = f"rest-{count}"
    network = fill(lab, count, name)[0] if count else lab.simulate({**STILL, "deliveries_per_day": 0}, f"{name}-network")
    service = lab.run(rules(network.base_url), name)
    service.wait_loaded()
    loaded = service.cost()
    wait_idle(service)
    sweep = service.cost() - loaded
    # Asked only now: a page of metrics costs more than many rows.
    service.wait_whole()
    repeated = service.metric("postwatch_poll_rows_total", kind="repeated")
    if repeated < count:
        raise Failed(f"{repeated:.0f} of {count} deliveries were read again")
    return service, sweep.cpu_seconds


def wait_idle(service, seconds=5):
    """Until it has done nothing for so long."""
    busy = [(0.0, time.monotonic())]

    def is_idle():
        used = service.cost().cpu_seconds
        # Its timers alone take less.
        if used - busy[-1][0] > 0.01 * seconds:
            busy.append((used, time.monotonic()))
        return time.monotonic() - busy[-1][1] > seconds

    service.wait_until(is_idle, "idle", every=0.2)


def share_of_slow_sweeps(sweep):
    """Of a core, in the long run, by the CPU seconds that all sweeps once took together."""
    return sweep * SLOW_SWEEPS_AN_HOUR / sum(SWEEPS.values()) / 3600


def share(cost):
    return cost.cpu_seconds / cost.wall_seconds


def text(figures):
    rows = [
        [
            f"{it['deliveries']:,}", f"{it['core_share']:.3%}", f"{it['sweep_cpu_seconds']:.2f}",
            f"{it['core_share_with_sweeps']:.3%}", f"{it['resident_bytes'] / 1e6:,.0f}", f"{it['seconds']:.0f}",
        ]
        for it in figures["rests"]
    ]
    head = ["failing deliveries", "of a core", "all sweeps once, CPU s", "of a core with sweeps", "resident, MB", "measured, s"]
    return table(head, rows)


def targets(figures):
    for it in figures["rests"]:
        yield f"at rest with {it['deliveries']:,} deliveries", it["core_share_with_sweeps"] * 100, 0.5, "% of a core"


def draw(figures):
    with plot("rest", "At rest: one source, polls every 60 s", None, "% of a core") as axes:
        names = [f"{it['deliveries']:,} failing deliveries\nin the look-back" for it in figures["rests"]]
        polls = [it["core_share"] * 100 for it in figures["rests"]]
        sweeps = [(it["core_share_with_sweeps"] - it["core_share"]) * 100 for it in figures["rests"]]
        axes.bar(names, polls, 0.5, label="polls")
        axes.bar(names, sweeps, 0.5, polls, label="reading older failures again, every 15 and 60 polls")
        axes.axhline(0.5, color="firebrick", linestyle="--", label="promised")
        axes.margins(y=0.4)
        axes.legend(frameon=False)
