"""What a measurement of whole processes needs: a network, a postwatch, their
cost as the kernel counts it, and its figures as text, JSON and plots.

    with Lab() as lab:
        network = lab.simulate({"fixed": {"deliveries": 1000, "failing": 1000}, **STILL})
        service = lab.run(rules(network.base_url))
        before = service.cost()
        service.wait_whole()
        print(service.cost() - before)

Whatever a lab started has ended when its block is left, by Ctrl-C too. Needs
Linux and Python 3.11; matplotlib for the plots alone.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
POSTWATCH = pathlib.Path(os.environ.get("POSTWATCH", ROOT / "target/release/postwatch"))
RESULTS = ROOT / "target/bench"
KEY = "simulated-key"
SOURCE = "acme"
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")

# Of a scenario: what happened is over, and what is retried fails again. The first retry
# comes a second after the start, the others minutes apart; with this seed the first is of
# a delivery that can fail (some methods never do).
STILL = {
    "seed": 2,
    "history": "20h",
    "ends_after": "0s",
    "deactivates_after": None,
    "retry_schedule": ["1000000h"],
    "retry_failure_rate": 1.0,
    "lateness": "0s",
    "gzip": False,
}


class Failed(Exception):
    """A measurement that proves nothing; its text says why."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a process has cost since it began; the difference of two is what it cost between them."""

    cpu_seconds: float
    wall_seconds: float
    # The most that was ever resident, and what is resident now: states, not sums.
    peak_bytes: int
    resident_bytes: int
    # By write calls: files, and the little that goes out by sockets. The kernel's own
    # `write_bytes` counts a whole folio, of up to 2 MB, for a page in it that changed.
    written_bytes: int

    def __sub__(self, before):
        return dataclasses.replace(
            self,
            cpu_seconds=self.cpu_seconds - before.cpu_seconds,
            wall_seconds=self.wall_seconds - before.wall_seconds,
            written_bytes=self.written_bytes - before.written_bytes,
        )


class Process:
    """One child of the lab, with its output in a log of its own."""

    def __init__(self, command, log, stdout=None, env=None):
        self.name = pathlib.Path(command[0]).name
        self.log = log
        self.began_at = time.monotonic()
        self._last = Cost(0, 0, 0, 0, 0)
        with log.open("ab") as errors:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=stdout or errors,
                stderr=errors,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self):
        return self.child.pid

    def cost(self):
        """The cost so far. A process that has ended keeps its last memory."""
        wall = time.monotonic() - self.began_at
        status = _fields(f"/proc/{self.pid}/status")
        written = int(_fields(f"/proc/{self.pid}/io")["wchar"])
        # After the name, which may hold blanks: utime and stime are fields 14 and 15.
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(stat[11]) + int(stat[12])) / TICKS
        peak, resident = self._last.peak_bytes, self._last.resident_bytes
        if "VmHWM" in status:
            peak, resident = (int(status[name].split()[0]) * 1024 for name in ("VmHWM", "VmRSS"))
        self._last = Cost(cpu, wall, peak, resident, written)
        return self._last

    def wait_end(self, within=3600):
        """The whole cost of a process that ends by itself, and well."""
        until = time.monotonic() + within
        # Left unreaped until its cost was read: the kernel forgets it then.
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                raise Failed(f"{self.name} did not end within {within} s{self.words()}")
            with contextlib.suppress(OSError):
                self.cost()
            time.sleep(0.02)
        cost = self.cost()
        if self.child.wait() != 0:
            raise Failed(f"{self.name} ended with {self.child.returncode}{self.words()}")
        return cost

    def check_alive(self):
        if self.child.poll() is not None:
            raise Failed(f"{self.name} ended with {self.child.returncode}{self.words()}")

    def wait_until(self, holds, what, within=3600, every=0.05):
        """Waits until `holds()`; loud where the process ends before."""
        until = time.monotonic() + within
        while not holds():
            self.check_alive()
            if time.monotonic() > until:
                raise Failed(f"{self.name}: not {what} within {within} s{self.words()}")
            time.sleep(every)

    def words(self):
        """The end of what it wrote, for a message."""
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "".join(f"\n    {line}" for line in lines)

    def stop(self, within=60):
        """Asks it to end, and makes it."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(within)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()


class Network(Process):
    """`postwatch simulate`."""

    def __init__(self, port, command, log):
        super().__init__(command, log)
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self._clock = f"http://127.0.0.1:{port}/simulate/clock"
        # The port is open before the history is laid out: an answer is what counts.
        self.wait_until(lambda: answer(self._clock) is not None, "serving")

    def seconds_passed(self):
        """Of its own time, since its start."""
        clock = json.loads(answer(self._clock))
        return clock["now"] - clock["start"]

    def order(self, kind, path):
        """Every request whose path ends so goes wrong from now on, in this way."""
        url = self.base_url.replace("/v1", "/simulate/faults")
        body = json.dumps({"kind": kind, "path": path}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        if answer(request) is None:
            raise Failed(f"the network takes no order of {kind}")


class Service(Process):
    """`postwatch run`."""

    def __init__(self, port, command, log):
        # What an earlier service of the same log said is not this one's.
        self._log_from = log.stat().st_size if log.exists() else 0
        super().__init__(command, log)
        self.url = f"http://127.0.0.1:{port}"

    def wait_loaded(self):
        """Until the state is loaded and the first poll begins."""
        self.wait_until(lambda: "postwatch watches" in self._log_text(), "loaded", every=0.005)

    def wait_read(self):
        """Until every source was read whole since it started. Asking costs it next to nothing."""
        self.wait_until(lambda: answer(f"{self.url}/readyz") is not None, "ready", every=0.02)

    def wait_whole(self, polls=1):
        """Until so many polls were whole since it started. Asks for its metrics, which costs it CPU."""
        self.wait_until(lambda: self._whole_polls() >= polls, f"whole {polls} times", every=0.5)

    def _whole_polls(self):
        page = (answer(f"{self.url}/metrics") or b"").decode()
        whole = metric_sum(page, "postwatch_polls_total", outcome="whole")
        broken = metric_sum(page, "postwatch_polls_total") - whole
        if broken:
            raise Failed(f"{broken:.0f} polls were not whole{self.words()}")
        return whole

    def metric(self, name, **labels):
        """The sum of a metric's series that have these labels; 0 before there are any."""
        text = answer(f"{self.url}/metrics")
        return metric_sum(text.decode(), name, **labels) if text else 0

    def _log_text(self):
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")


class Lab:
    """Starts processes in a folder of its own; both are gone when it is left."""

    def __init__(self, postwatch=POSTWATCH):
        self.postwatch = pathlib.Path(postwatch)
        self._started = []

    def __enter__(self):
        if not self.postwatch.exists():
            raise Failed(f"{self.postwatch} is missing: cargo build --release")
        # On the disk that holds the build: /tmp may be memory, which syncs nothing.
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lab-", dir=RESULTS))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        # Pressed twice, Ctrl-C must not leave half of them running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(self._started):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _began(self, process):
        self._started.append(process)
        return process

    def simulate(self, scenario, name="network", *options):
        """The simulated network of a scenario; waits until it answers."""
        file = self.folder / f"{name}.yaml"
        # JSON is YAML.
        file.write_text(json.dumps(scenario))
        port = free_port()
        command = [self.postwatch, "simulate", "--scenario", file, "--listen", f"127.0.0.1:{port}"]
        command += options
        return self._began(Network(port, command, self.folder / f"{name}.log"))

    def run(self, rules, name="service"):
        """A service on these rules, in the data folder `name`; waits for nothing."""
        file = self.folder / f"{name}-rules.yaml"
        file.write_text(json.dumps(rules))
        port = free_port()
        command = [self.postwatch, "run", "--rules", file, "--data", self.data(name)]
        command += ["--listen", f"127.0.0.1:{port}"]
        return self._began(Service(port, command, self.folder / f"{name}.log"))

    def data(self, name="service"):
        """The data folder of the service of that name."""
        return self.folder / f"{name}-data"

    def start(self, command, name, stdout=None, env=None):
        """Any other program."""
        return self._began(Process(command, self.folder / f"{name}.log", stdout, env))

    def forget(self, name="service"):
        """Removes a service's data: the next one of that name begins anew."""
        shutil.rmtree(self.data(name), ignore_errors=True)


def rules(base_url, *more, **source):
    """A configuration that watches one network, and whose own rules count without ever speaking."""
    never = {"deliveries": 1, "failure_rate": "> 100%"}
    quiet = [
        {"name": f"rate-{part}", "per": [part], "over": "24h", "when": never, "severity": "warning"}
        for part in ("affiliate", "host")
    ]
    watched = {"name": SOURCE, "api_key": KEY, "base_url": base_url, "settle": "1s"}
    # Nothing is given up while it is measured.
    watched |= {"give_up_after": "72h", **source}
    return {"sources": [watched], "rules": quiet + list(more)}


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def answer(url, data=None, within=30):
    """The body of a good answer, or None."""
    try:
        with urllib.request.urlopen(url, data, timeout=within) as reply:
            return reply.read()
    except (urllib.error.URLError, OSError):
        return None


def metric_sum(text, name, **labels):
    """The sum of the series of `name` that have all these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    total = 0.0
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if re.split(r"[{ ]", series, maxsplit=1)[0] == name and all(it in series for it in wanted):
            total += float(value)
    return total


def disk_bytes(folder):
    """What a folder's files take on the disk, holes left out."""
    return sum(file.stat().st_blocks * 512 for file in pathlib.Path(folder).rglob("*"))


def _fields(path):
    """`Name: value` lines of a file of /proc."""
    lines = pathlib.Path(path).read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


# --- figures -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values):
        values = list(values)
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def scaled(self, by):
        """The same in another unit."""
        return Spread(self.median * by, self.low * by, self.high * by, self.count)

    def text(self, scale=1, digits=0, unit=""):
        """`12 (11 to 14)`, or `12` where it was measured once."""
        median, low, high = (f"{value / scale:,.{digits}f}" for value in (self.median, self.low, self.high))
        unit = f" {unit}" if unit else ""
        return f"{median}{unit}" if self.count == 1 else f"{median}{unit} ({low} to {high})"


def ratios(ours, theirs):
    """The ratios of what was measured in pairs, side by side in time."""
    return Spread.of(our / their for our, their in zip(ours, theirs, strict=True))


def table(head, rows):
    """Columns under a head: the first to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]

    def line(row):
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
        return "  ".join([row[0].ljust(widths[0]), *rest]).rstrip()

    return "\n".join([line(cells[0]), "  ".join("-" * width for width in widths), *map(line, cells[1:])])


def machine():
    """What the figures were measured on."""
    cpus = re.findall(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(_fields("/proc/meminfo")["MemTotal"].split()[0]) * 1024
    return {
        "cpu": cpus[0] if cpus else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "file_system": _output(["findmnt", "-no", "FSTYPE", "-T", str(ROOT)]),
        "load_before": os.getloadavg()[0],
        "postwatch": _output([str(POSTWATCH), "--version"]),
        "commit": _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
    }


def _output(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_json(name, figures):
    """Figures into target/bench; gives the path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    plain = lambda it: dataclasses.asdict(it)
    path.write_text(json.dumps(figures, indent=2, default=plain) + "\n")
    return path


@contextlib.contextmanager
def plot(name, title, x=None, y=None, size=(8, 4.5)):
    """The axes of a figure that becomes target/bench/NAME.svg; white, so that it reads on any page."""
    import matplotlib

    matplotlib.use("svg")
    # Text stays text, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 11})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=size, layout="constrained", facecolor="white")
    # Over the whole width: beside long labels a title of the axes alone would be cut.
    figure.suptitle(title, fontsize=12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    RESULTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(RESULTS / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)
