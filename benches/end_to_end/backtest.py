"""`backtest` of a recorded export: three days of a network on which every kind of
incident happens, judged by the rules that come with postwatch."""

import json
import time
import urllib.request

from lab import KEY, ROOT, Failed, Spread, answer, table
from plots import growth, twice

ROWS, SHORT_ROWS = (10_000, 100_000, 1_000_000), (10_000, 20_000)
RUNS, SHORT_RUNS = 3, 2
DAYS = 3
# Simulated seconds in a real one: the three days take a few seconds.
SPEED = 50_000


def measure(lab, rows, runs):
    return {"backtests": [backtests(lab, count, runs) for count in rows]}


def backtests(lab, rows, runs):
    export = lab.folder / f"export-{rows}.ndjson"
    recorded = record(lab, rows, export)
    costs = [backtest(lab, export, recorded) for _ in range(runs)]
    size = export.stat().st_size
    export.unlink()
    return {
        "deliveries": recorded["rows"],
        "failed": recorded["failed"],
        "export_bytes": size,
        "alerts": costs[0][1]["alerts"],
        "wall_seconds": Spread.of(cost.wall_seconds for cost, _ in costs),
        "cpu_seconds": Spread.of(cost.cpu_seconds for cost, _ in costs),
        "peak_bytes": Spread.of(cost.peak_bytes for cost, _ in costs),
    }


def record(lab, rows, export):
    """Writes about so many deliveries into the file `export`; how many there are, and how many of
    them failed at least once."""
    network = lab.simulate(world(rows), f"world-{rows}", "--speed", str(SPEED))
    wait_for_the_end(network)
    day = lambda at: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
    start = clock(network)["start"]
    question = {
        "timezone_id": 67, "from": day(start - 86_400), "to": day(start + DAYS * 86_400),
        "query": {"filters": []}, "format": "json",
    }
    url = f"{network.base_url}/networks/reporting/affiliate/pixels/export"
    headers = {"X-Eflow-API-Key": KEY, "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    recorded = {"rows": 0, "failed": 0}
    with urllib.request.urlopen(request) as reply, export.open("wb") as file:
        for line in reply:
            recorded["rows"] += 1
            recorded["failed"] += b'"failed_attempts":0,' not in line
            file.write(line)
    network.stop()
    if not 0.8 * rows < recorded["rows"] < 1.2 * rows:
        raise Failed(f"the network has {recorded['rows']} deliveries, about {rows} were wanted")
    return recorded


def world(rows):
    incident = lambda kind, starts, lasts, target, share=0.8: {
        "kind": kind, "starts": f"{starts}h", "lasts": f"{lasts}h", "target": target, "share": share,
    }
    return {
        "seed": 1, "deliveries_per_day": rows / DAYS, "history": "1s", "ends_after": f"{DAYS * 24}h",
        "offers": 30, "affiliates": 60, "gzip": False,
        "incidents": [
            incident("expired_certificate", 3, 5, {"affiliate": 2}),
            incident("deactivation", 8, 6, {"affiliate": 4}, 1.0),
            incident("moved_endpoint", 15, 4, {"affiliate": 3}),
            incident("brownout", 22, 2, {"affiliate": 1}, 0.7),
            incident("bot_challenge", 30, 6, {"affiliate": 6}),
            incident("wrong_macro", 40, 5, {"affiliate": 5}, 1.0),
            incident("hosting_outage", 50, 3, {"hosting": "sharedtrack.example"}, 0.85),
            incident("dns_gone", 60, 4, {"affiliate": 8}, 0.9),
        ],
    }


def clock(network):
    return json.loads(answer(network.base_url.replace("/v1", "/simulate/clock")))


def wait_for_the_end(network):
    """Until the last delivery was fired, and its retries are over."""
    over = lambda: clock(network)["now"] > clock(network)["start"] + (DAYS + 2) * 86_400
    network.wait_until(over, "at its end", every=0.2)


def backtest(lab, export, recorded):
    """What one run cost, and the summary that it printed."""
    printed = lab.folder / "backtest.json"
    with printed.open("wb") as out:
        command = [lab.postwatch, "backtest", "--rules", ROOT / "rules.yaml", "--export", export, "--json"]
        cost = lab.start(command, "backtest", out).wait_end()
    summary = json.loads(printed.read_text())["summary"]
    found = {"rows": summary["rows"], "failed": summary["failures"]}
    if found != recorded or summary["rejected_rows"] or not summary["alerts"]:
        raise Failed(f"backtest found {found} and {summary['alerts']} alerts in {recorded}")
    return cost, summary


def text(figures):
    rows = [
        [
            f"{it['deliveries']:,}", f"{it['failed']:,}", f"{it['alerts']:,}",
            it["wall_seconds"].text(digits=2), it["cpu_seconds"].text(digits=2),
            it["peak_bytes"].text(1e6), f"{it['export_bytes'] / 1e6:,.0f}",
        ]
        for it in figures["backtests"]
    ]
    head = ["deliveries", "failed", "alerts", "wall, s", "CPU, s", "peak, MB", "export, MB"]
    sizes = [it["deliveries"] for it in figures["backtests"]]
    growing = twice("deliveries", sizes, [it["cpu_seconds"].median for it in figures["backtests"]])
    return f"{table(head, rows)}\n{growing}"


def targets(figures):
    for it in figures["backtests"]:
        if 800_000 < it["deliveries"] < 1_200_000:
            per_million = it["wall_seconds"].median * 1_000_000 / it["deliveries"]
            yield "backtest of 1 M deliveries", per_million, 8, "s"


def draw(figures):
    sizes = [it["deliveries"] for it in figures["backtests"]]
    lines = {
        "wall clock": [it["wall_seconds"] for it in figures["backtests"]],
        "CPU": [it["cpu_seconds"] for it in figures["backtests"]],
    }
    growth("backtest", "backtest of a recorded export", "deliveries", "seconds", sizes, lines, ("promised for 1 million", 8))
