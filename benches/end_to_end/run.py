"""Runs experiments, one after the other, and shows what they found.

    run.py [--short] [--rows N,N,…] [--runs N] [NAME…]

Figures go to target/bench as NAME.json and plots as SVG. A missed promise is told
and fails nothing: a busy machine misses many. A wrong count fails.
"""

import argparse
import importlib
import pathlib
import subprocess
import sys

import lab

# Whose own text tells of many contestants.
COMPARE = "compare"
NAMES = [COMPARE, "startup", "backtest", "scrape", "latency", "rest", "sources", "receivers", "evaluation"]


def main():
    asked = arguments()
    machine = lab.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    failed = [name for name in asked.names if not ran_well(name, asked, machine)]
    if failed:
        sys.exit(f"bench: {', '.join(failed)} failed")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all where none is given")
    parser.add_argument("--short", action="store_true", help="small, to see whether it works")
    parser.add_argument("--rows", type=sizes, help="the sizes to measure in place of the experiment's own")
    parser.add_argument("--runs", type=int, help="how often each is measured")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"no experiment {', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    asked.names = asked.names or NAMES
    return asked


def sizes(text):
    return tuple(int(size) for size in text.split(","))


def ran_well(name, asked, machine):
    return compared_well(asked) if name == COMPARE else measured_well(name, asked, machine)


def compared_well(asked):
    options = ["--short"] if asked.short else []
    options += ["--rows", ",".join(map(str, asked.rows))] if asked.rows else []
    options += ["--runs", str(asked.runs)] if asked.runs else []
    script = pathlib.Path(__file__).with_name("compare.py")
    return subprocess.run([sys.executable, script, *options]).returncode == 0


def measured_well(name, asked, machine):
    experiment = importlib.import_module(name)
    rows = asked.rows or getattr(experiment, "SHORT_ROWS" if asked.short else "ROWS", ())
    runs = asked.runs or (experiment.SHORT_RUNS if asked.short else experiment.RUNS)
    print(f"\n{name}: {experiment.__doc__.strip()}\n", flush=True)
    try:
        with lab.Lab() as here:
            figures = experiment.measure(here, rows, runs)
    except lab.Failed as failure:
        print(f"{name}: FAILED: {failure}", flush=True)
        return False
    print(experiment.text(figures))
    promises = list(experiment.targets(figures))
    for what, found, most, unit in promises:
        print(f"{'kept' if found <= most else 'MISSED'}: {what}: {found:.4g} {unit}, at most {most} {unit}")
    promises = [dict(zip(("what", "found", "at_most", "unit"), it)) for it in promises]
    lab.write_json(name, {"machine": machine, "promises": promises, **figures})
    experiment.draw(figures)
    return True


if __name__ == "__main__":
    main()
