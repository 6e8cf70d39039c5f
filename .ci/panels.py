"""Asks a Prometheus every query of the Grafana dashboard, as Grafana would.

    panels.py PROMETHEUS_URL

Fails where a query is refused, a panel or one of its queries has no data, a
variable has no value, or two panels overlap. Each annotation's query must be
understood; that something is wrong at the moment is not asked for. The rules
loaded there must evaluate, and none may fire.
"""

import json
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent
DASHBOARD = ROOT / "deploy/grafana/dashboards/postwatch.json"
# What Grafana puts in place of its variables, for the last minute at a scrape a second.
WITH = {"__rate_interval": "10s", "__range": "60s", "__interval": "5s"}
SPAN, STEP = 60, 5


class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **arguments):
        """The answer's `data`; a refusal is a ValueError with Prometheus' words."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read()).get("error")) from error

    def ask(self, query, instant):
        now = time.time()
        if instant:
            return self.get("query", query=query, time=now)["result"]
        return self.get("query_range", query=query, start=now - SPAN, end=now, step=STEP)["result"]


def numbers(result):
    """Every sample that is a number: a quantile of nothing is NaN, which Grafana does not draw."""
    points = (point for series in result for point in series.get("values") or [series["value"]])
    return [float(value) for _, value in points if value != "NaN"]


def options(prometheus, variable):
    """The values that a query variable offers, found as Grafana finds them."""
    query = fill(variable["query"]["query"], {"source": ".*"})
    if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
        return sorted({s["metric"][found[2]] for s in prometheus.ask(found[1], True)})
    inner = re.fullmatch(r"query_result\((.+)\)", query)[1]
    pattern = re.compile(variable["regex"].strip("/g").replace("?<", "?P<"))
    values = set()
    for series in prometheus.ask(inner, True):
        text = "{" + ",".join(f'{k}="{v}"' for k, v in series["metric"].items()) + "}"
        found = [match.groupdict() for match in pattern.finditer(text)]
        values |= {each["value"] for each in found if each["value"]}
        if not any(each["text"] for each in found):
            raise ValueError(f"no name in {text}")
    return sorted(values)


def fill(text, values):
    """`text` with each `$name` and `${name}` replaced; one that nobody knows is left for Grafana."""
    known = WITH | values
    return re.sub(r"\$(?:\{(\w+)\}|([a-zA-Z_]\w*))", lambda m: known.get(m[1] or m[2], m[0]), text)


def check_variables(prometheus, dashboard, troubles):
    """Looks at each variable; returns what stands for "All", and for one source."""
    values = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        try:
            found = options(prometheus, variable)
        except ValueError as error:
            troubles.append(f"variable {variable['name']}: {error}")
            continue
        if not found:
            troubles.append(f"variable {variable['name']}: no value")
        print(f"panels: ${variable['name']} has {len(found)} values")
        values[variable["name"]] = variable["allValue"]
    return values


def check_panel(prometheus, panel, values, troubles):
    for target in panel["targets"]:
        where = f"panel \"{panel['title']}\", query {target['refId']}"
        query = fill(target["expr"], values)
        if left := re.search(r"\$(?!1\b)\w+", query):
            troubles.append(f"{where}: nobody knows {left[0]}")
            continue
        try:
            result = prometheus.ask(query, target["instant"])
        except ValueError as error:
            troubles.append(f"{where}: {error}\n    {query}")
            continue
        if not numbers(result):
            troubles.append(f"{where}: no data\n    {query}")
        names = re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))
        labels = set().union(*(series["metric"] for series in result))
        for name in set(names) - labels:
            troubles.append(f"{where}: its legend names {name}, which no series has")


def check_layout(panels, troubles):
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or (x, y) in taken:
                    troubles.append(f"panel \"{panel['title']}\" lies beyond the grid or over {taken.get((x, y))}")
                    return
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in panels]
    if len(ids) != len(set(ids)):
        troubles.append("two panels have one id")


def check_rules(prometheus, troubles):
    """The self-alerts, as loaded into this Prometheus."""
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    if not rules:
        troubles.append("no rule is loaded")
    for rule in rules:
        if rule["health"] != "ok":
            troubles.append(f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        if rule["state"] == "firing":
            troubles.append(f"rule {rule['name']} fires though nothing is wrong: {rule['alerts']}")
    print(f"panels: {len(rules)} rules evaluate, none fires")


def main():
    prometheus = Prometheus(sys.argv[1])
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    troubles = []
    values = check_variables(prometheus, dashboard, troubles)
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    for panel in panels:
        check_panel(prometheus, panel, values, troubles)
    for note in dashboard["annotations"]["list"]:
        try:
            prometheus.ask(fill(note["expr"], values), False)
        except ValueError as error:
            troubles.append(f"annotation {note['name']}: {error}")
        if note["expr"] != note["target"]["expr"]:
            troubles.append(f"annotation {note['name']}: its two forms differ")
    check_layout(dashboard["panels"], troubles)
    check_rules(prometheus, troubles)
    if troubles:
        sys.exit("\n".join(troubles))
    count = sum(len(panel["targets"]) for panel in panels)
    print(f"panels: {len(panels)} panels, {count} queries: all have data")


main()
