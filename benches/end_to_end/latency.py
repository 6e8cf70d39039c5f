"""From a failure that the network shows to Slack's acceptance of the message about it,
sample by sample, against the bound that the timers promise."""

import json
import re
import time

from lab import Failed, Spread, answer, plot, rules, table
from listener import Listener

# A sample is the first failure of an affiliate: an alert, a batch and a message of its own.
RUNS, SHORT_RUNS = 40, 6
TIMERS = {"poll_every": 5, "settle": 2, "evaluate_every": 2, "batch_wait": 2}
DEFAULT_TIMERS = {"poll_every": 60, "settle": 20, "evaluate_every": 10, "batch_wait": 30}
SPARE_SECONDS = 1
# Slack takes a message a second to a channel; nearer ones would wait for that.
FAILURES_A_SECOND = 0.4


def measure(lab, rows, runs):
    bound = sum(TIMERS.values()) + SPARE_SECONDS
    network = lab.simulate(world(), "latency-network")
    with Listener() as slack:
        service = lab.run(watching(network.base_url, slack.url), "latency")
        service.wait_read()
        # What failed before is told too, but not from the moment at which it showed.
        began_at = time.time() + TIMERS["settle"]
        seconds = lambda: waits(network, slack, began_at, bound)
        service.wait_until(lambda: len(seconds()) >= runs, f"done with {runs} samples", within=900, every=1)
        samples = seconds()
        service.stop()
    network.stop()
    return {
        "timers_seconds": TIMERS,
        "bound_seconds": bound,
        "bound_seconds_by_default": sum(DEFAULT_TIMERS.values()) + SPARE_SECONDS,
        "seconds": Spread.of(samples),
        "samples_seconds": samples,
    }


def world():
    """Every delivery fails at its first try and shows at once, mostly of another affiliate."""
    return {
        "deliveries_per_day": FAILURES_A_SECOND * 86_400, "history": "1s", "lateness": "0s",
        "base_failure_rate": 1.0, "affiliates": 5_000, "offers": 20, "deactivates_after": None,
        "retry_schedule": ["48h"],
    }


def watching(base_url, slack_url):
    rule = {
        "name": "first-failure", "per": ["affiliate"], "over": "15m", "when": {"failures": 1},
        "for": "0s", "severity": "critical", "summary": "about affiliate {{ affiliate }} it is",
    }
    seconds = {name: f"{value}s" for name, value in TIMERS.items()}
    watched = rules(base_url, poll_every=seconds["poll_every"], settle=seconds["settle"])
    slack = {"token": "xoxb-simulated", "channel": "#postbacks", "api_url": f"{slack_url}/api"}
    return {
        "sources": watched["sources"],
        "rules": [rule],
        "evaluate_every": seconds["evaluate_every"],
        "receivers": [{"name": "slack", "slack": slack}],
        "routes": [{"to": ["slack"]}],
        "notify": {"batch_by": ["source", "rule", "affiliate"], "batch_wait": seconds["batch_wait"]},
    }


def waits(network, slack, began_at, bound):
    """The seconds that each affiliate's first failure took. Fails where one was never told."""
    told, waited = told_at(slack), []
    for affiliate, shown_at in first_failures(network).items():
        if shown_at < began_at:
            continue
        if affiliate in told:
            waited.append(told[affiliate] - shown_at)
        elif time.time() - shown_at > 3 * bound:
            raise Failed(f"affiliate {affiliate} failed {time.time() - shown_at:.0f} s ago: nobody was told")
    return waited


def first_failures(network):
    """When each affiliate's first failure showed: what fires now shows from this second on."""
    told = answer(network.base_url.replace("/v1", "/simulate/truth")).decode()
    first = {}
    for row in map(json.loads, told.splitlines()):
        affiliate, at = row["affiliate"], row["timestamp"]
        first[affiliate] = min(at, first.get(affiliate, at))
    return first


def told_at(slack):
    """When Slack took the first message about each affiliate."""
    told = {}
    for at, path, body in list(slack.taken):
        named = re.search(r"about affiliate [^()]*\((\d+)\) it is", json.dumps(body))
        if not named:
            raise Failed(f"a message names no affiliate: {body}")
        told.setdefault(int(named[1]), at)
    return told


def text(figures):
    timers = " + ".join(f"{name} {seconds} s" for name, seconds in figures["timers_seconds"].items())
    seconds, bound = figures["seconds"], figures["bound_seconds"]
    less = sorted(sample - bound for sample in figures["samples_seconds"])
    head = ["from showing to acceptance, s", "bound, s", "bound by default, s", "samples", "above the bound"]
    above = sum(it > 0 for it in less)
    row = [seconds.text(digits=2), bound, figures["bound_seconds_by_default"], seconds.count, above]
    each = " ".join(f"{it:.1f}" for it in less)
    return f"{table(head, [row])}\n{timers} + {SPARE_SECONDS} s\neach sample less the bound: {each}"


def targets(figures):
    yield "slowest message less its bound", figures["seconds"].high - figures["bound_seconds"], 0, "s"


def draw(figures):
    with plot("latency", "From a failure showing to Slack's acceptance", "seconds", "samples") as axes:
        bound = figures["bound_seconds"]
        axes.hist(figures["samples_seconds"], bins=[at / 2 for at in range(2 * bound + 4)])
        axes.axvline(bound, color="firebrick", linestyle="--", label="bound: the sum of the timers, and 1 s")
        axes.set_xlim(0)
        axes.legend(frameon=False)
