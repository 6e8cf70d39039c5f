"""What postwatch costs, beside the same job done in Python and in Node and
beside a reader that keeps nothing: in turns, each in a process of its own, each
held against how many rows there really were.

    .ci/bench [--short] [--rows 100000,1000000] [--runs 5]

Prints tables, and leaves the figures of each run in target/bench/end_to_end.json
and plots beside it.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys

import network
from lab import KEY, ROOT, STILL, Failed, Lab, Process, Spread
from lab import answer, disk_bytes, free_port, machine, plot, ratios, rules, table, write_json
from plots import logarithmic, short

HERE = pathlib.Path(__file__).parent
READER = ROOT / "target/release/reader"
TOOLS = ROOT / "target/tools/bench"
PEERS_AT = 1_000_000

FIRST, AGAIN, CLEAN = "seen for the first time", "seen before", "successes"
JOBS = {
    FIRST: "failures that nobody saw before, kept and counted, durable page by page",
    AGAIN: "the same failures read again after a restart: nothing changed",
    CLEAN: "clean successes, counted",
}
OURS, READ, PYTHON, NODE = "postwatch", "bare reader", "Python", "Node"


@dataclasses.dataclass(frozen=True)
class Run:
    """One contestant's one run: rows read, and what the kernel counted."""

    rows: int
    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int
    written_bytes: int
    # Of postwatch alone: its store, and what a start on that store took.
    disk_bytes: int | None = None
    load_seconds: float | None = None
    load_cpu_seconds: float | None = None
    loaded_bytes: int | None = None

    @staticmethod
    def of(rows, cost, **more):
        return Run(rows, cost.cpu_seconds, cost.wall_seconds, cost.peak_bytes, cost.written_bytes, **more)

    @property
    def per_cpu_second(self):
        # The kernel counts hundredths of a second.
        return self.rows / max(self.cpu_seconds, 0.01)

    @property
    def per_second(self):
        return self.rows / self.wall_seconds


class Recording:
    """A network of so many deliveries, recorded and served by a process of its own."""

    def __init__(self, lab, name, rows, failing):
        self.rows = rows
        self._folder = lab.folder / name
        fixed = {"deliveries": rows, "failing": failing}
        simulated = lab.simulate({**STILL, "fixed": fixed}, name=f"{name}-simulated")
        simulated.wait_until(lambda: simulated.seconds_passed() > 2, "past its first retry")
        self.counts = network.record(simulated.base_url, KEY, self._folder)
        simulated.stop()
        port = free_port()
        self._root = f"http://127.0.0.1:{port}"
        self.base_url = f"{self._root}/v1"
        self._process = lab.start([sys.executable, HERE / "network.py", self._folder, port], name)
        self._process.wait_until(lambda: answer(f"{self._root}/lists"), "serving")

    def hold(self):
        answer(f"{self._root}/hold", b"")

    def go(self):
        answer(f"{self._root}/go", b"")

    def polls(self):
        """Polls so far, told without asking the service, which would cost it CPU."""
        return int(answer(f"{self._root}/lists"))

    def wait_poll(self, service, before):
        """Until the first poll after so many; its cost by then, before anything else is asked of it."""
        service.wait_until(lambda: self.polls() > before, "through with a poll", every=0.02)
        cost = service.cost()
        service.wait_whole()
        return cost

    def end(self):
        self._process.stop()
        shutil.rmtree(self._folder)


class Contest:
    """The contestants, by job."""

    def __init__(self, lab):
        self.lab = lab

    def contestants(self, job, with_peers):
        ours = {FIRST: self.see_first, AGAIN: self.see_again, CLEAN: self.count_successes}[job]
        status = "success" if job == CLEAN else "failure"
        all_of = {OURS: ours, READ: lambda recording: self.read(recording, status)}
        if job == FIRST and with_peers:
            all_of[PYTHON] = lambda recording: self.peer(recording, [sys.executable, HERE / "peer.py"])
            all_of[NODE] = lambda recording: self.peer(recording, ["node", HERE / "peer.mjs"])
        return all_of

    def see_first(self, recording):
        self.lab.forget()
        service, cost = self._first_poll(recording)
        told = self._told(service)
        service.stop()
        expect("new failures", told["new"], recording.counts["failure"])
        expect("rows that could not be read", told["rejected"], 0)
        return Run.of(recording.counts["failure"], cost, disk_bytes=disk_bytes(self.lab.data()))

    def see_again(self, recording):
        """On the store that the last run of `see_first` left. Without rows until the state is loaded."""
        recording.hold()
        before = recording.polls()
        service = self.lab.run(rules(recording.base_url))
        service.wait_loaded()
        loaded = service.cost()
        recording.go()
        cost = recording.wait_poll(service, before)
        told = self._told(service)
        service.stop()
        expect("new failures among those seen before", told["new"] + told["changed"], 0)
        if told["repeated"] < recording.counts["failure"]:
            raise Failed(f"only {told['repeated']:.0f} of {recording.rows} rows were read again")
        return Run.of(
            int(told["repeated"]),
            cost - loaded,
            load_seconds=loaded.wall_seconds,
            load_cpu_seconds=loaded.cpu_seconds,
            loaded_bytes=loaded.resident_bytes,
        )

    def count_successes(self, recording):
        self.lab.forget()
        service, cost = self._first_poll(recording)
        counted = service.metric("postwatch_deliveries_total")
        service.stop()
        expect("deliveries counted", counted, recording.rows)
        return Run.of(recording.rows, cost, disk_bytes=disk_bytes(self.lab.data()))

    def _first_poll(self, recording):
        before = recording.polls()
        service = self.lab.run(rules(recording.base_url))
        return service, recording.wait_poll(service, before)

    def _told(self, service):
        kinds = ("new", "changed", "repeated", "rejected")
        return {kind: service.metric("postwatch_poll_rows_total", kind=kind) for kind in kinds}

    def read(self, recording, status):
        told, cost = self._outside([READER, recording.base_url, KEY, status])
        expect("rows of the bare reader", told["rows"], recording.counts[status])
        expect("identities of the bare reader", told["kept"], recording.counts[status])
        return Run.of(recording.counts[status], cost)

    def peer(self, recording, command):
        database = self.lab.folder / "peer.db"
        told, cost = self._outside([*command, recording.base_url, KEY, "failure", database])
        for file in self.lab.folder.glob("peer.db*"):
            file.unlink()
        for what, count in told.items():
            expect(f"{what} of {command[-1].name}", count, recording.counts["failure"])
        return Run.of(recording.counts["failure"], cost)

    def _outside(self, command):
        """What another program printed at its end, and its cost."""
        output = self.lab.folder / "contestant.json"
        with output.open("wb") as out:
            process: Process = self.lab.start(command, "contestant", out, {"PEER_MODULES": str(TOOLS)})
        cost = process.wait_end()
        return json.loads(output.read_text()), cost


def expect(what, found, truth):
    if found != truth:
        raise Failed(f"{what}: {found:.0f} instead of {truth}")


def measure(lab, sizes, runs):
    """All runs so far, after each size: by rows, job and contestant."""
    contest, found = Contest(lab), {}
    peers_at = max((size for size in sizes if size <= PEERS_AT), default=None)
    for rows in sizes:
        found[rows] = {}
        for name, failing, jobs in (("failing", rows, (FIRST, AGAIN)), ("clean", 1, (CLEAN,))):
            recording = Recording(lab, name, rows, failing)
            for job in jobs:
                contestants = contest.contestants(job, with_peers=rows == peers_at)
                found[rows][job] = in_turns(contestants, recording, runs, f"{rows:,} rows {job}")
            recording.end()
        yield found


def in_turns(contestants, recording, runs, what):
    found = {name: [] for name in contestants}
    for turn in range(runs):
        for name, run in contestants.items():
            found[name].append(run(recording))
            pace = found[name][-1].per_cpu_second
            print(f"{what}, run {turn + 1} of {runs}: {name} {pace:,.0f} a CPU second", file=sys.stderr)
    return found


# --- telling -----------------------------------------------------------------


def spread(runs, field):
    return Spread.of(getattr(run, field) for run in runs)


def told(rows, job, by_name):
    """One job's tables: what each contestant cost, and how postwatch compares run by run."""
    head = ["", "rows/CPU s", "rows/s", "peak MB", "written MB"]
    costs = [
        [
            name,
            spread(runs, "per_cpu_second").text(),
            spread(runs, "per_second").text(),
            spread(runs, "peak_bytes").text(1e6),
            spread(runs, "written_bytes").text(1e6),
        ]
        for name, runs in by_name.items()
    ]
    against = [
        [f"postwatch : {name}", *(each[field].text(digits=2) for field in (*PACES, "cpu_per_row"))]
        for name, each in compared(by_name).items()
    ]
    return "\n\n".join([
        f"{rows:,} rows {job}: {JOBS[job]}",
        table(head, costs),
        table(["ratios, run by run", "rows/CPU s", "rows/s", "CPU per row"], against),
    ])


def compared(by_name):
    """Ratios of postwatch's figures to each other contestant's."""

    def with_one(runs):
        paces = lambda of, field: [getattr(run, field) for run in of]
        found = {field: ratios(paces(by_name[OURS], field), paces(runs, field)) for field in PACES}
        per_row = ratios(paces(runs, "per_cpu_second"), paces(by_name[OURS], "per_cpu_second"))
        return found | {"cpu_per_row": per_row}

    return {name: with_one(runs) for name, runs in by_name.items() if name != OURS}


PACES = ("per_cpu_second", "per_second")


def holdings(found):
    """What postwatch holds for each size: memory, disk, and the time of a start."""
    head = [
        "deliveries that failed",
        "peak MB, first read",
        "MB after a start",
        "reading took MB",
        "bytes a delivery",
        "disk bytes a delivery",
        "start s",
        "start CPU s",
        "peak MB, successes alone",
    ]
    rows = []
    for size, jobs in found.items():
        held = {name: spread(runs, field).median for name, (runs, field) in held_of(jobs).items()}
        rows.append([
            f"{size:,}",
            f"{held['peak'] / 1e6:,.0f}",
            f"{held['loaded'] / 1e6:,.0f}",
            f"{(held['peak'] - held['loaded']) / 1e6:,.0f}",
            f"{held['loaded'] / size:,.0f}",
            f"{held['disk'] / size:,.0f}",
            f"{held['load']:.2f}",
            f"{held['load_cpu']:.2f}",
            f"{held['clean_peak'] / 1e6:,.0f}",
        ])
    return table(head, rows)


def held_of(jobs):
    return {
        "peak": (jobs[FIRST][OURS], "peak_bytes"),
        "disk": (jobs[FIRST][OURS], "disk_bytes"),
        "loaded": (jobs[AGAIN][OURS], "loaded_bytes"),
        "load": (jobs[AGAIN][OURS], "load_seconds"),
        "load_cpu": (jobs[AGAIN][OURS], "load_cpu_seconds"),
        "clean_peak": (jobs[CLEAN][OURS], "peak_bytes"),
    }


def figures(found, about):
    """Everything for the JSON: each run, its spreads and its ratios."""
    fields = [field.name for field in dataclasses.fields(Run)] + list(PACES)

    def of(runs):
        values = {field: [getattr(run, field) for run in runs] for field in fields}
        spreads = {field: Spread.of(each) for field, each in values.items() if None not in each}
        return {"runs": runs, "spread": spreads}

    results = [
        {
            "rows": rows,
            "job": job,
            "contestants": {name: of(runs) for name, runs in by_name.items()},
            "postwatch_to": compared(by_name),
        }
        for rows, jobs in found.items()
        for job, by_name in jobs.items()
    ]
    return {"about": about, "jobs": JOBS, "results": results}


def versions():
    """Of what the peers are made of."""
    packages = {name: importlib.metadata.version(name) for name in ("requests", "orjson", "prometheus-client")}
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    modules = {
        name: json.loads((TOOLS / f"node_modules/{name}/package.json").read_text())["version"]
        for name in ("undici", "better-sqlite3", "prom-client")
    }
    python = {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version, **packages}
    return {PYTHON: python, NODE: {"node": node, **modules}}


# --- plots -------------------------------------------------------------------

COLOURS = {OURS: "#1f6feb", READ: "#6e7781", PYTHON: "#b08800", NODE: "#2da44e"}
JOB_COLOURS = {FIRST: "#1f6feb", AGAIN: "#8250df", CLEAN: "#2da44e"}


def plot_paces(found, rows):
    """Bars: rows per CPU second of each contestant, job by job."""
    bars = [
        (job, name, spread(runs, "per_cpu_second"))
        for job, by_name in found[rows].items()
        for name, runs in by_name.items()
    ]
    title = f"Rows read by one CPU second, {rows:,} rows: median and range of {bars[0][2].count} runs"
    with plot("end_to_end", title, x="rows per CPU second", size=(9, 5)) as axes:
        for place, (_, name, pace) in enumerate(bars):
            axes.barh(place, pace.median, color=COLOURS[name], height=0.7)
            reach = [[pace.median - pace.low], [pace.high - pace.median]]
            axes.errorbar(pace.median, place, xerr=reach, color="black", capsize=3, linewidth=1)
            axes.annotate(
                f"{pace.median:,.0f}", (pace.high, place), (8, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(bars)), [f"{job}: {name}" for job, name, _ in bars])
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(lambda value, _: short(value))
        axes.margins(x=0.15)


def plot_scaling(found):
    """CPU seconds by rows; a line of the reference's slope costs each row the same."""
    sizes = list(found)
    title = "CPU by rows: a line that is steeper than the dotted one grows faster than its rows"
    with plot("scaling_cpu", title, x="rows read", y="CPU seconds") as axes:
        for job, colour in JOB_COLOURS.items():
            axes.plot(sizes, medians(found, job, OURS), "-o", color=colour, label=f"{OURS}: {job}")
        axes.plot(sizes, medians(found, FIRST, READ), "--.", color=COLOURS[READ], label=READ)
        # Through a size at which starting no longer shows.
        at = next((size for size in sizes if size >= 100_000), sizes[-1])
        (second,) = medians({at: found[at]}, FIRST, OURS)
        in_proportion = [second * size / at for size in sizes]
        axes.plot(sizes, in_proportion, ":", color="black", label=f"in proportion to {short(at)}")
        logarithmic(axes, sizes)


def medians(found, job, name):
    """CPU seconds for each size."""
    return [spread(jobs[job][name], "cpu_seconds").median for jobs in found.values()]


def plot_holdings(found):
    """Memory and disk by deliveries."""
    sizes = list(found)
    lines = {
        "peak": "resident, at most, while reading them first",
        "loaded": "resident after a start",
        "clean_peak": "resident, at most, while counting as many successes",
        "disk": "on disk",
    }
    with plot("scaling_memory", "Memory and disk by deliveries that failed", x="deliveries", y="MB") as axes:
        for name, text in lines.items():
            held = [spread(*held_of(found[size])[name]).median / 1e6 for size in sizes]
            axes.plot(sizes, held, "-o" if name != "disk" else "-s", label=text)
        logarithmic(axes, sizes)


# --- the command -------------------------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = lambda text: sorted({int(size.replace("_", "")) for size in text.split(",")})
    parser.add_argument("--rows", type=sizes, default=[10_000, 100_000, 1_000_000, 5_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="10,000 and 50,000 rows twice: whether all of it works")
    given = parser.parse_args()
    if given.short:
        given.rows, given.runs = [10_000, 50_000], 2
    return given


def main():
    given = arguments()
    about = {
        "machine": machine(),
        "peers": versions(),
        "seed": STILL["seed"],
        "served": "recorded from postwatch simulate, then sent by sendfile from a process of its own, uncompressed",
    }
    print(json.dumps(about, indent=2), flush=True)
    with Lab() as lab:
        # The largest size takes most of an hour: what is known before it is shown.
        for found in measure(lab, given.rows, given.runs):
            show(found, about)


def show(found, about):
    rows, jobs = list(found.items())[-1]
    for job, by_name in jobs.items():
        print(f"\n{told(rows, job, by_name)}")
    print(f"\nWhat postwatch holds, medians:\n\n{holdings(found)}")
    plot_paces(found, max((size for size in found if size <= PEERS_AT), default=rows))
    plot_scaling(found)
    plot_holdings(found)
    print(f"\n{write_json('end_to_end', figures(found, about))}, and plots beside it", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
