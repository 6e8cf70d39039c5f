"""`/metrics` scraped by a real Prometheus: by the number of series, and with few series by
the number of failing deliveries that they count."""

import json
import time
import urllib.parse

from lab import STILL, Failed, Spread, answer, free_port, rules, table
from plots import growth, twice

# Series; failing deliveries, offers and affiliates that make about so many.
ROWS, SHORT_ROWS = (1_000, 10_000, 50_000), (1_000,)
WORLDS = {1_000: (800, 10, 20), 10_000: (6_000, 50, 200), 50_000: (26_000, 200, 1_000)}
# Failing deliveries of 12 offers and 24 affiliates.
CROWDS, SHORT_CROWDS = (10_000, 100_000, 1_000_000), (10_000,)
RUNS, SHORT_RUNS = 40, 5


def measure(lab, rows, runs):
    """`rows` are series here, and a run is a scrape."""
    pages = []
    for series in rows:
        pages.append(scraped(lab, *WORLDS[series], runs))
        if not 0.7 * series < pages[-1]["series"] < 1.4 * series:
            raise Failed(f"{pages[-1]['series']} series, about {series} were wanted")
    crowds = SHORT_CROWDS if rows == SHORT_ROWS else CROWDS
    return {"pages": pages, "crowds": [scraped(lab, failing, 12, 24, runs) for failing in crowds]}


def scraped(lab, failing, offers, affiliates, runs):
    name = f"scrape-{failing}-{offers}"
    world = {"fixed": {"deliveries": failing, "failing": failing}, "offers": offers, "affiliates": affiliates}
    network = lab.simulate({**STILL, **world}, f"{name}-network")
    # One poll, and then nothing to do but to answer scrapes.
    service = lab.run({**rules(network.base_url, poll_every="1h"), "metrics": {"max_series": 1_000_000}}, name)
    service.wait_whole()
    network.stop()
    prometheus = start_prometheus(lab, service.url.removeprefix("http://"), name)
    prometheus.wait_until(lambda: samples(prometheus, "scrape_duration_seconds"), "scraping", within=60)
    began_at, before = time.time(), service.cost()
    taken = lambda: [it for at, it in samples(prometheus, "scrape_duration_seconds") if at > began_at]
    prometheus.wait_until(lambda: len(taken()) >= runs, f"done with {runs} scrapes", every=0.2)
    cost, seconds = service.cost() - before, taken()
    found = samples(prometheus, "scrape_samples_scraped")[-1][1]
    page = answer(f"{service.url}/metrics").decode()
    prometheus.stop()
    service.stop()
    lab.forget(name)
    shown = sum(1 for line in page.splitlines() if line and not line.startswith("#"))
    if shown != found:
        raise Failed(f"Prometheus took {found:.0f} of {shown} samples")
    return {
        "series": shown,
        "deliveries": failing,
        "page_bytes": len(page),
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


def text(figures):
    return f"{one_text(figures['pages'], 'series')}\n\n{one_text(figures['crowds'], 'deliveries')}"


def one_text(pages, size):
    rows = [
        [
            f"{it['series']:,}", f"{it['deliveries']:,}", f"{it['page_bytes'] / 1e6:.2f}",
            it["scrape_seconds"].text(1e-3, 1), f"{it['cpu_seconds_each'] * 1e3:.1f}", it["scrapes"],
        ]
        for it in pages
    ]
    head = ["series", "failing deliveries", "page, MB", "scrape_duration, ms", "CPU of postwatch a scrape, ms", "scrapes"]
    growing = twice(size, [it[size] for it in pages], [it["cpu_seconds_each"] for it in pages])
    return f"{table(head, rows)}\n{growing}"


def targets(figures):
    for it in figures["pages"]:
        if 7_000 < it["series"] < 14_000:
            per_10_000 = 1e4 / it["series"]
            yield "scrape of 10,000 series", it["scrape_seconds"].median * 1e3 * per_10_000, 20, "ms"
            yield "CPU of it", it["cpu_seconds_each"] * 1e3 * per_10_000, 20, "ms"
    for it in figures["crowds"]:
        if it["deliveries"] == 1_000_000:
            yield f"CPU of a scrape with 1 M deliveries, {it['series']:,} series", it["cpu_seconds_each"] * 1e3, 20, "ms"


def draw(figures):
    one_plot("scrape", "series", figures["pages"])
    one_plot("scrape_deliveries", "deliveries", figures["crowds"])


def one_plot(name, size, pages):
    lines = {
        "Prometheus' scrape_duration_seconds": [it["scrape_seconds"].scaled(1e3) for it in pages],
        "CPU of postwatch": [Spread.of([it["cpu_seconds_each"] * 1e3]) for it in pages],
    }
    x = {"series": "series", "deliveries": "failing deliveries in the look-back"}[size]
    sizes = [it[size] for it in pages]
    growth(name, "A scrape by Prometheus", x, "milliseconds", sizes, lines, ("promised for 10,000 series", 20))
