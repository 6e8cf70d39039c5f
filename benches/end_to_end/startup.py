"""From exec to the state loaded, by failing deliveries in the look-back; with the
memory that they hold and the bytes that they take on disk."""

import json
import subprocess

from lab import ROOT, STILL, Failed, Spread, disk_bytes, rules, table
from plots import growth, twice

ROWS, SHORT_ROWS = (10_000, 100_000, 1_000_000), (2_000, 10_000)
RUNS, SHORT_RUNS = 5, 2
STORED = ROOT / "target/release/stored"


def measure(lab, rows, runs):
    return {"starts": [starts(lab, count, runs) for count in rows]}


def starts(lab, rows, runs):
    """Fills a store with so many failing deliveries and starts on it again and again."""
    name = f"startup-{rows}"
    network, filled = fill(lab, rows, name)
    # What a read would change would be another store for the next start.
    hold_reports(network)
    costs = [start(lab, network, rows, name) for _ in range(runs)]
    network.stop()
    figures = {
        "deliveries": rows,
        "wall_seconds": Spread.of(cost.wall_seconds for cost in costs),
        "cpu_seconds": Spread.of(cost.cpu_seconds for cost in costs),
        "resident_bytes": Spread.of(cost.resident_bytes for cost in costs),
        "peak_bytes_of_reading": filled.peak_bytes,
        **on_disk(lab.data(name), rows),
    }
    lab.forget(name)
    return figures


def fill(lab, rows, name):
    """A network of so many failing deliveries, and what reading it all cost the service `name`,
    which has ended and left them in its store."""
    scenario = {**STILL, "history": "70h", "fixed": {"deliveries": rows, "failing": rows}}
    network = lab.simulate(scenario, f"{name}-network")
    service = lab.run(rules(network.base_url), name)
    service.wait_read()
    cost = service.cost()
    check_open(service, rows)
    service.stop()
    return network, cost


def check_open(service, rows):
    found = service.metric("postwatch_deliveries_open")
    if found != rows:
        raise Failed(f"{found:.0f} deliveries are open, {rows} were to be{service.words()}")


def hold_reports(network):
    """From now on the network answers everything but its reports."""
    for path in ("/affiliate/pixels", "/pixels/export"):
        network.order("hang", path)


def start(lab, network, rows, name):
    service = lab.run(rules(network.base_url), name)
    service.wait_loaded()
    cost = service.cost()
    check_open(service, rows)
    service.stop()
    return cost


def on_disk(data, rows):
    """The bytes for each delivery of a stopped service's store."""
    told = subprocess.run([STORED, data], stdout=subprocess.PIPE, check=True)
    kinds = json.loads(told.stdout)
    if not kinds.get("journal") or not kinds.get("texts"):
        raise Failed(f"no journal or no texts in the store: {kinds}")
    return {
        "journal_bytes_each": kinds["journal"]["bytes"] / rows,
        "texts_bytes_each": kinds["texts"]["bytes"] / rows,
        "store_bytes_each": disk_bytes(data / "sled") / rows,
        "folder_bytes_each": disk_bytes(data) / rows,
    }


def text(figures):
    rows = [
        [
            f"{it['deliveries']:,}",
            it["wall_seconds"].text(digits=2),
            it["cpu_seconds"].text(digits=2),
            it["resident_bytes"].text(1e6),
            f"{it['peak_bytes_of_reading'] / 1e6:,.0f}",
            f"{it['journal_bytes_each']:.0f}",
            f"{it['texts_bytes_each']:.0f}",
            f"{it['store_bytes_each']:.0f}",
            f"{it['folder_bytes_each']:.0f}",
        ]
        for it in figures["starts"]
    ]
    head = ["failing deliveries", "start, s", "CPU, s", "resident, MB", "peak while first read, MB"]
    head += ["B each: journal", "texts", "sled's files", "whole folder"]
    sizes = [it["deliveries"] for it in figures["starts"]]
    growing = twice("deliveries", sizes, [it["cpu_seconds"].median for it in figures["starts"]])
    return f"{table(head, rows)}\n{growing}"


def targets(figures):
    """What was promised: (what, found, at most, unit)."""
    for it in figures["starts"]:
        if it["deliveries"] == 1_000_000:
            yield "start on 1 M deliveries", it["wall_seconds"].median, 1.5, "s"
            yield "resident with 1 M deliveries", it["resident_bytes"].median / 1e6, 200, "MB"
            yield "peak while first reading 1 M", it["peak_bytes_of_reading"] / 1e6, 232, "MB"
            yield "journal of a delivery", it["journal_bytes_each"], 250, "B"
            yield "texts of a delivery", it["texts_bytes_each"], 400, "B"
            yield "sled's files for a delivery", it["store_bytes_each"], 650, "B"
        if it["deliveries"] == 10_000:
            yield "resident with 10,000 deliveries", it["resident_bytes"].median / 1e6, 30, "MB"


def draw(figures):
    starts = figures["starts"]
    sizes = [it["deliveries"] for it in starts]
    x = "failing deliveries in the look-back"
    lines = {name: [it[key] for it in starts] for name, key in TIMES.items()}
    growth("startup", "From exec to the state loaded", x, "seconds", sizes, lines, ("promised for 1 million", 1.5))
    memory = {
        "resident after a start": [it["resident_bytes"].scaled(1e-6) for it in starts],
        "highest while first reading": [Spread.of([it["peak_bytes_of_reading"] / 1e6]) for it in starts],
    }
    growth("memory", "Resident memory", x, "MB", sizes, memory, ("promised for 1 million", 200))
    disk = {"sled's files": [Spread.of([it["store_bytes_each"] * it["deliveries"] / 1e6]) for it in starts]}
    growth("disk", "The store on disk", x, "MB", sizes, disk)


TIMES = {"wall clock": "wall_seconds", "CPU": "cpu_seconds"}

