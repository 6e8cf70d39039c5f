"""The same job in Python, as one would write it with care: an export is read
while it arrives, each delivery is known by (source, postback, conversion), kept
in SQLite and counted in the Prometheus client once, and each 1,000 rows are on
the disk before the next are read.

    python3 peer.py BASE_URL API_KEY FAILURE|SUCCESS DATABASE
"""

import json
import re
import sqlite3
import sys

import orjson
import prometheus_client
import requests

import network

SOURCE = "acme"
CHUNK_BYTES = 1 << 18
PAGE_ROWS = 1_000

SCHEMA = """
CREATE TABLE deliveries (
    source TEXT NOT NULL, postback INTEGER NOT NULL, conversion TEXT NOT NULL,
    offer INTEGER NOT NULL, affiliate INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, reason TEXT NOT NULL,
    payload TEXT NOT NULL, debug_information TEXT NOT NULL,
    UNIQUE (source, postback, conversion)
)
"""
KEEP = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
# For a row that was seen before: what it tells replaces what is older.
RENEW = """
UPDATE deliveries SET last_attempt = ?7, failed_attempts = ?8, reason = ?9, payload = ?10, debug_information = ?11
WHERE source = ?1 AND postback = ?2 AND conversion = ?3 AND (last_attempt, failed_attempts) < (?7, ?8)
"""
PRAGMAS = {
    # Every commit is on the disk when it returns.
    "journal_mode": "WAL",
    "synchronous": "FULL",
    # Keys come in no order: their index in memory, and each of its pages written once for many commits.
    "cache_size": -64_000,
    "wal_autocheckpoint": 10_000,
}

STATUS = re.compile(r"Status: ?(\d{3})")
# The first that occurs decides; as many as tell the usual failures apart.
WORDINGS = [
    ("dns", re.compile("no such host|server misbehaving|name resolution")),
    ("tls", re.compile("x509:|tls:|certificate")),
    ("refused", re.compile("connection refused|no route to host")),
    ("timeout", re.compile("deadline exceeded|timeout|timed out")),
    ("reset", re.compile("connection reset|broken pipe|EOF")),
]

FAILURES = prometheus_client.Counter(
    "delivery_failures", "Deliveries that failed.", ["source", "offer", "affiliate", "reason"]
)


def reason_of(debug_information):
    status = STATUS.search(debug_information)
    if status:
        return f"http_{status[1]}"
    return next((name for name, words in WORDINGS if words.search(debug_information)), "other")


def open_store(path):
    store = sqlite3.connect(path, isolation_level=None)
    for name, value in PRAGMAS.items():
        store.execute(f"PRAGMA {name} = {value}")
    store.execute(SCHEMA)
    return store


def lines(base_url, key, status):
    """The rows of the export, as they arrive."""
    url = f"{base_url}/networks/reporting/affiliate/pixels/export"
    with requests.post(
        url, json=network.question(status), headers={"x-eflow-api-key": key}, stream=True, timeout=60
    ) as reply:
        reply.raise_for_status()
        rest = b""
        for chunk in reply.iter_content(CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            yield rest


def pages(rows):
    page = []
    for row in rows:
        page.append(row)
        if len(page) == PAGE_ROWS:
            yield page
            page = []
    if page:
        yield page


class Watch:
    def __init__(self, store):
        self.store = store.cursor()
        self.rows = 0
        # Looking a child up by its labels costs more than counting it.
        self.children = {}

    def take(self, page):
        """Keeps a page in one transaction, then counts what was new."""
        records = [record(orjson.loads(row)) for row in page]
        self.rows += len(records)
        self.store.execute("BEGIN")
        new = [each for each in records if self.keep(each)]
        self.store.execute("COMMIT")
        for source, _, _, offer, affiliate, _, _, _, reason, _, _ in new:
            self.count(source, offer, affiliate, reason)

    def keep(self, record):
        """Whether it was new."""
        is_new = self.store.execute(KEEP, record).rowcount == 1
        if not is_new:
            self.store.execute(RENEW, record)
        return is_new

    def count(self, *labels):
        child = self.children.get(labels)
        if child is None:
            child = self.children[labels] = FAILURES.labels(*labels)
        child.inc()


def conversion_of(row):
    """What a postback fired for: a click has a transaction alone."""
    return row["conversion_id"] or f"{row['transaction_id']}/{row['network_offer_payout_revenue_id']}"


def record(row):
    debug_information = row["debug_information"]
    return (
        SOURCE, row["pixel_id"], conversion_of(row), row["network_offer_id"], row["affiliate_id"],
        row["timestamp"], row["last_attempt"], row["failed_attempts"], reason_of(debug_information),
        row["payload"], debug_information,
    )


def main():
    base_url, key, status, database = sys.argv[1:]
    store = open_store(database)
    watch = Watch(store)
    for page in pages(lines(base_url, key, status)):
        watch.take(page)
    kept = store.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    store.close()
    exposed = sum(
        sample.value
        for family in FAILURES.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )
    print(json.dumps({"rows": watch.rows, "kept": kept, "counted": int(exposed)}))


if __name__ == "__main__":
    main()
