"""Telling the same alerts to several receivers, by their number."""

from lab import STILL, Failed, Spread, rules, table
from listener import Listener
from plots import growth, last_over_first, twice

# Webhooks; each of them gets the same messages.
ROWS, SHORT_ROWS = (1, 4, 16, 64), (1, 4)
RUNS, SHORT_RUNS = 3, 1
AFFILIATES = 50
BATCH_WAIT = 10


def measure(lab, rows, runs):
    """`rows` are receivers here."""
    fixed = {"deliveries": 100 * AFFILIATES, "failing": 100 * AFFILIATES}
    network = lab.simulate({**STILL, "fixed": fixed, "affiliates": AFFILIATES}, "receivers-network")
    rounds = [[tell(lab, network, count) for count in rows] for _ in range(runs)]
    network.stop()
    return {
        "messages_each": AFFILIATES,
        "crowds": [
            {
                "receivers": count,
                "cpu_seconds": Spread.of(cost.cpu_seconds for cost in of_count),
                "wall_seconds": Spread.of(cost.wall_seconds for cost in of_count),
                "written_bytes": Spread.of(cost.written_bytes for cost in of_count),
            }
            for count, of_count in zip(rows, zip(*rounds))
        ],
    }


def tell(lab, network, count):
    """The cost from the alerts to the last receiver's acceptance of the last message."""
    name, messages = f"receivers-{count}", count * AFFILIATES
    with Listener() as hooks:
        service = lab.run(watching(network.base_url, hooks.url, count), name)
        service.wait_read()
        before = service.cost()
        if hooks.taken:
            raise Failed("messages came before the batches were over: nothing to begin from")
        service.wait_until(lambda: len(hooks.taken) >= messages, f"done with {messages} messages", every=0.02)
        cost = service.cost() - before
        began_at, ended_at = hooks.taken[0][0], hooks.taken[-1][0]
        service.wait_until(lambda: service.metric("postwatch_outbox_pending") == 0, "done with its outbox", within=60)
        check(hooks, count, messages)
        service.stop()
    lab.forget(name)
    # Of the wall clock the sending alone: before it everything waits for `batch_wait`.
    return type(cost)(**{**vars(cost), "wall_seconds": ended_at - began_at})


def watching(base_url, hooks_url, count):
    rule = {
        "name": "partner-failing", "per": ["affiliate"], "over": "72h",
        "when": {"failures": 1}, "severity": "critical",
    }
    hook = lambda number: {"name": f"hook-{number}", "webhook": {"url": f"{hooks_url}/{number}"}}
    receivers = [hook(number) for number in range(count)]
    return {
        "sources": rules(base_url, poll_every="1h")["sources"],
        "rules": [rule],
        "receivers": receivers,
        "routes": [{"to": [it["name"] for it in receivers]}],
        "notify": {"batch_by": ["source", "rule", "affiliate"], "batch_wait": f"{BATCH_WAIT}s"},
    }


def check(hooks, count, messages):
    """Every receiver got every affiliate's alert, once."""
    told = {(path, body["groupLabels"]["affiliate"]) for _, path, body in hooks.taken}
    receivers = {path for path, _ in told}
    if len(told) != messages or len(hooks.taken) != messages or len(receivers) != count:
        found = f"{len(hooks.taken)} messages, {len(told)} of them different, to {len(receivers)} receivers"
        raise Failed(f"{found}; {messages} to {count} were to be")


def text(figures):
    crowds = figures["crowds"]
    each = lambda it: it["receivers"] * figures["messages_each"]
    rows = [
        [
            it["receivers"], f"{each(it):,}", it["cpu_seconds"].text(digits=2), it["wall_seconds"].text(digits=2),
            it["written_bytes"].text(1e6, 1), f"{it['cpu_seconds'].median / each(it) * 1e3:.2f}",
        ]
        for it in crowds
    ]
    head = ["receivers", "messages", "CPU, s", "wall, s", "written, MB", "CPU a message, ms"]
    growing = twice("receivers", *cpu(figures))
    return f"{table(head, rows)}\n{growing}"


def targets(figures):
    found = last_over_first(*cpu(figures))
    yield "the last receiver's CPU over the first's", found, 1.3, "×"


def cpu(figures):
    """Numbers of receivers, and the CPU seconds of each."""
    crowds = figures["crowds"]
    return [it["receivers"] for it in crowds], [it["cpu_seconds"].median for it in crowds]


def draw(figures):
    crowds = figures["crowds"]
    lines = {"CPU": [it["cpu_seconds"] for it in crowds], "wall clock": [it["wall_seconds"] for it in crowds]}
    title = f"{figures['messages_each']} messages to each of several receivers"
    growth("receivers", title, "receivers", "seconds", [it["receivers"] for it in crowds], lines)
