"""Holds what is deployed against what it deploys.

    deploy.py [COMPOSE_SCHEMA.json]

Each self-alert has a test, and a chapter in the operations guide that its runbook
points to; rules and dashboard use metrics that exist; the guide explains every
metric; the dashboard's links lead to places of the page; the container's build
gets every file that it needs; compose.yaml follows the schema (only where that is
named, and jsonschema and PyYAML are at hand).
"""

import json
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
troubles = []


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def metrics():
    """Names of all metrics, without prefix: in the code each stands before its help text."""
    files = [ROOT / "src/metrics.rs", *ROOT.glob("src/metrics/**/*.rs")]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return set(re.findall(r'"([a-z][a-z_]+)",\s*"[A-Z0-9][^"]{10,}', source))


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def check_alerts(guide):
    rules = text("deploy/prometheus/postwatch.rules.yml")
    tests = text("deploy/prometheus/postwatch.rules.test.yml")
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", guide, re.M)}
    alerts = re.findall(r"- alert: (\w+)\n(?:.+\n)+?\s+runbook: docs/operations\.md#(\S+)", rules)
    if len(alerts) != rules.count("- alert:") or not alerts:
        troubles.append("an alert has no runbook")
    for alert, where in alerts:
        if where != alert.lower() or where not in anchors:
            troubles.append(f"{alert}: its runbook points to #{where}, which docs/operations.md lacks")
        if f'alertname="{alert}"' not in tests:
            troubles.append(f"{alert} has no test")


def check_metrics(guide):
    known = metrics()
    if len(known) < 30:
        troubles.append(f"only {len(known)} metrics were found in src/metrics")
    dashboard = text("deploy/grafana/dashboards/postwatch.json")
    for name in set(re.findall(r"\bpostwatch_(\w+)", text("deploy/prometheus/postwatch.rules.yml") + dashboard)):
        if name not in known and re.sub(r"_(bucket|sum|count)$", "", name) not in known:
            troubles.append(f"postwatch_{name} is no metric")
    for name in known:
        if f"`{name}`" not in guide:
            troubles.append(f"docs/operations.md does not explain `{name}`")


def check_links():
    page = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.glob("src/web/page/*.rs"))
    links = set(re.findall(r"\$\{page\}/#([\w-]+)", text("deploy/grafana/dashboards/postwatch.json")))
    if not links:
        troubles.append("the dashboard has no link to the page")
    for place in links:
        if f" #{place} " not in page:
            troubles.append(f"the dashboard links to #{place}, which the page lacks")


def check_docker_context():
    allowed = re.findall(r"^!(\S+)$", text(".dockerignore"), re.M)
    cargo = tomllib.loads(text("Cargo.toml"))
    needed = {"Cargo.toml", "Cargo.lock", "rust-toolchain.toml"}
    needed |= {f"{member}/Cargo.toml" for member in cargo["workspace"].get("members", [])}
    # Where Cargo.toml names one without its file, nothing at all is built.
    for kind, folder in (("bench", "benches"), ("test", "tests"), ("example", "examples")):
        needed |= {one.get("path", f"{folder}/{one['name']}.rs") for one in cargo.get(kind, [])}
    for file in ROOT.glob("src/**/*.rs"):
        included = re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text(encoding="utf-8"))
        needed |= {str((file.parent / path).resolve().relative_to(ROOT.resolve())) for path in included}
    for path in sorted(needed):
        if not any(pathlib.PurePath(path).match(one) or path.startswith(f"{one}/") for one in allowed):
            troubles.append(f".dockerignore keeps {path} from the build")


def check_compose(schema_file):
    import jsonschema
    import yaml

    schema = json.loads(pathlib.Path(schema_file).read_text(encoding="utf-8"))
    # This copy of the schema is older than the project's name.
    schema["properties"]["name"] = {"type": "string"}
    for file in (ROOT / "deploy").glob("**/*.y*ml"):
        list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    compose = yaml.safe_load(text("deploy/compose.yaml"))
    for error in jsonschema.Draft201909Validator(schema).iter_errors(compose):
        troubles.append(f"compose.yaml: {list(error.path)}: {error.message}")
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (ROOT / "deploy" / source).exists():
                troubles.append(f"compose.yaml: {name} mounts {source}, which does not exist")
            elif not source.startswith(".") and source not in compose["volumes"]:
                troubles.append(f"compose.yaml: {name} mounts {source}, which is no volume")


guide = text("docs/operations.md")
check_alerts(guide)
check_metrics(guide)
check_links()
check_docker_context()
if len(sys.argv) > 1:
    check_compose(sys.argv[1])
if troubles:
    sys.exit("\n".join(troubles))
print(f"deploy: alerts, {len(metrics())} metrics, guide and container agree")
