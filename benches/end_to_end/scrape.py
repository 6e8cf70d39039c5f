"""`/metrics` scraped by a real Prometheus, by the number of series."""

import json
import time
import urllib.parse

from lab import STILL, Failed, Spread, answer, free_port, rules, table
from plots import doubling, growth

# Failing deliveries, offers and affiliates that make about 1,000, 10,000 and 50,000 series.
ROWS, SHORT_ROWS = (1_000, 10_000, 50_000), (1_000,)
WORLDS = {1_000: (800, 10, 20), 10_000: (8_000, 50, 200), 50_000: (26_000, 200, 1_000)}
RUNS, SHORT_RUNS = 40, 5


def measure(lab, rows, runs):
    """`rows` are series here, and a run is a scrape."""
    return {"pages": [scraped(lab, series, runs) for series in rows]}


def scraped(lab, series, runs):
    name = f"scrape-{series}"
    failing, offers, affiliates = WORLDS[series]
    fixed = {"deliveries": failing, "failing": failing}
    network = lab.simulate({**STILL, "fixed": fixed, "offers": offers, "affiliates": affiliates}, f"{name}-network")
    # One poll, and then nothing to do but to answer scrapes.
    service = lab.run({**rules(network.base_url, poll_every="1h"), "metrics": {"max_series": 1_000_000}}, name)
    service.wait_read()
    network.stop()
    page = f"{service.url}/metrics"
    prometheus = start_prometheus(lab, service.url.removeprefix("http://"), name)
    prometheus.wait_until(lambda: samples(prometheus, "scrape_duration_seconds"), "scraping", within=60)
    began_at, before = time.time(), service.cost()
    taken = lambda: [it for at, it in samples(prometheus, "scrape_duration_seconds") if at > began_at]
    prometheus.wait_until(lambda: len(taken()) >= runs, f"done with {runs} scrapes", every=0.2)
    cost, seconds = service.cost() - before, taken()
    found = samples(prometheus, "scrape_samples_scraped")[-1][1]
    text = answer(page).decode()
    prometheus.stop()
    service.stop()
    check(series, found, text)
    return {
        "series": int(found),
        "page_bytes": len(text),
        "scrape_seconds": Spread.of(seconds),
        "cpu_seconds_each": cost.cpu_seconds / len(seconds),
        "scrapes": len(seconds),
    }


def start_prometheus(lab, target, name):
    """A Prometheus that scrapes `target` each second; it knows its own `url`."""
    file, port = lab.folder / f"{name}-prometheus.yml", free_port()
    file.write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "postwatch", "static_configs": [{"targets": [target]}]}],
    }))
    command = ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={lab.folder / name}-tsdb"]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    process = lab.start(command, f"{name}-prometheus")
    process.url = f"http://127.0.0.1:{port}"
    return process


def samples(prometheus, metric):
    """Every (moment, value) that Prometheus holds of the only series of `metric`."""
    query = urllib.parse.urlencode({"query": f"{metric}[10m]"})
    told = answer(f"{prometheus.url}/api/v1/query?{query}")
    series = json.loads(told)["data"]["result"] if told else []
    return [(at, float(value)) for at, value in series[0]["values"]] if series else []


def check(wanted, found, text):
    shown = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    if shown != found or not 0.7 * wanted < found < 1.4 * wanted:
        raise Failed(f"Prometheus took {found:.0f} of {shown} samples, about {wanted} were wanted")


def text(figures):
    rows = [
        [
            f"{it['series']:,}", f"{it['page_bytes'] / 1e6:.2f}",
            it["scrape_seconds"].text(1e-3, 1), f"{it['cpu_seconds_each'] * 1e3:.1f}", it["scrapes"],
        ]
        for it in figures["pages"]
    ]
    head = ["series", "page, MB", "scrape_duration, ms", "CPU of postwatch a scrape, ms", "scrapes"]
    sizes = [it["series"] for it in figures["pages"]]
    costs = doubling(sizes, [it["cpu_seconds_each"] for it in figures["pages"]])
    return table(head, rows) + "\ntwice the series, CPU ×: " + ", ".join(f"{cost:.2f}" for cost in costs)


def targets(figures):
    for it in figures["pages"]:
        if 7_000 < it["series"] < 14_000:
            per_10_000 = 1e4 / it["series"]
            yield "scrape of 10,000 series", it["scrape_seconds"].median * 1e3 * per_10_000, 20, "ms"
            yield "CPU of it", it["cpu_seconds_each"] * 1e3 * per_10_000, 20, "ms"


def draw(figures):
    pages = figures["pages"]
    lines = {
        "Prometheus' scrape_duration_seconds": [milliseconds(it["scrape_seconds"]) for it in pages],
        "CPU of postwatch": [Spread.of([it["cpu_seconds_each"] * 1e3]) for it in pages],
    }
    sizes = [it["series"] for it in pages]
    growth("scrape", "A scrape by Prometheus", "series", "milliseconds", sizes, lines, ("promised for 10,000", 20))


def milliseconds(spread):
    return Spread(spread.median * 1e3, spread.low * 1e3, spread.high * 1e3, spread.count)
