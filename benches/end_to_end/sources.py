"""The first look-back of several sources that each have the same deliveries, by their number."""

from lab import SOURCE, STILL, Spread, rules, table
from plots import growth, last_over_first, twice
from startup import check_open

# Sources; each of them has so many failing deliveries.
ROWS, SHORT_ROWS = (1, 2, 4, 8, 16), (1, 2)
RUNS, SHORT_RUNS = 3, 1
DELIVERIES_EACH = 50_000


def measure(lab, rows, runs):
    """`rows` are sources here."""
    fixed = {"deliveries": DELIVERIES_EACH, "failing": DELIVERIES_EACH}
    limits = {"concurrent_reports": 100, "requests_per_window": 100_000}
    network = lab.simulate({**STILL, **limits, "fixed": fixed}, "sources-network")
    # Round by round: what the machine does meanwhile meets each number alike.
    rounds = [[read(lab, network, count) for count in rows] for _ in range(runs)]
    network.stop()
    costs = zip(*rounds)
    return {
        "deliveries_each": DELIVERIES_EACH,
        "networks": [
            {
                "sources": count,
                "cpu_seconds": Spread.of(cost.cpu_seconds for cost in of_count),
                "wall_seconds": Spread.of(cost.wall_seconds for cost in of_count),
                "peak_bytes": Spread.of(cost.peak_bytes for cost in of_count),
            }
            for count, of_count in zip(rows, costs)
        ],
    }


def read(lab, network, count):
    """What it costs until every source was read whole, from the first moment on."""
    name = f"sources-{count}"
    config = rules(network.base_url, poll_every="1h")
    watched = config["sources"][0]
    config["sources"] = [{**watched, "name": f"{SOURCE}-{number}"} for number in range(count)]
    service = lab.run(config, name)
    service.wait_read()
    cost = service.cost()
    check_open(service, count * DELIVERIES_EACH)
    service.stop()
    lab.forget(name)
    return cost


def text(figures):
    networks = figures["networks"]
    rows = [
        [
            it["sources"], it["cpu_seconds"].text(digits=2), it["wall_seconds"].text(digits=2),
            it["peak_bytes"].text(1e6), f"{it['cpu_seconds'].median / it['sources']:.2f}",
        ]
        for it in networks
    ]
    head = ["sources", "CPU, s", "wall, s", "peak, MB", "CPU each, s"]
    growing = twice("sources", *cpu(figures))
    return f"{figures['deliveries_each']:,} failing deliveries each\n{table(head, rows)}\n{growing}"


def targets(figures):
    found = last_over_first(*cpu(figures))
    yield "the last source's CPU over the first's", found, 1.3, "×"


def cpu(figures):
    """Numbers of sources, and the CPU seconds of each."""
    networks = figures["networks"]
    return [it["sources"] for it in networks], [it["cpu_seconds"].median for it in networks]


def draw(figures):
    networks = figures["networks"]
    lines = {
        "CPU": [it["cpu_seconds"] for it in networks],
        "wall clock": [it["wall_seconds"] for it in networks],
    }
    title = f"Sources with {figures['deliveries_each']:,} failing deliveries each, read first"
    growth("sources", title, "sources", "seconds", [it["sources"] for it in networks], lines)
