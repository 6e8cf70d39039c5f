"""The network's API from a recording, so that serving costs next to nothing.

`postwatch simulate` renders each row when it is asked for one, which takes as
long as reading it: it would set the pace of all contestants. So its exports are
written to files once, and this process sends the parts of them that are asked
for by sendfile. Bodies go out plain: unpacking gzip would cost each contestant
the same, and hide what differs.

    python3 network.py FOLDER PORT

Knows spans, statuses, offers and affiliates, and no limits. `POST /hold` makes
it keep questions for rows waiting until `POST /go`. `GET /lists` tells how often
the list of postbacks was asked for: a poll's last question, after its last commit.
"""

import calendar
import datetime
import http.server
import itertools
import json
import mmap
import os
import pathlib
import re
import shutil
import sys
import threading
import time
import urllib.request

REPORT = "/v1/networks/reporting/affiliate/pixels"
EXPORT = f"{REPORT}/export"
POSTBACKS = "/v1/networks/pixels?page=1&page_size=2000"
LISTS = {
    "/v1/meta/timezones": "timezones.json",
    "/v1/networks": "network.json",
    POSTBACKS: "postbacks.json",
}
STATUSES = ("failure", "success")
CAP = 1000
UTC = 67
LOOKBACK_SECONDS = 72 * 3600
TIMESTAMP = re.compile(rb'"timestamp":(\d+)')
# Of a row; its `relationship` names them again, further behind.
PLACES = {
    "offer": re.compile(rb'"network_offer_id":(\d+)'),
    "affiliate": re.compile(rb'"affiliate_id":(\d+)'),
}


def record(base_url, key, folder):
    """Writes what a network answers; gives the number of rows by status."""
    folder.mkdir(parents=True)
    root = base_url.removesuffix("/v1")
    for path, name in LISTS.items():
        with _ask(root + path, key) as reply:
            (folder / name).write_bytes(reply.read())
    return {status: _record_rows(root + EXPORT, key, folder, status) for status in STATUSES}


def _record_rows(url, key, folder, status):
    file = folder / f"{status}.ndjson"
    with _ask(url, key, question(status)) as reply, file.open("wb") as out:
        shutil.copyfileobj(reply, out, 1 << 20)
    with file.open("rb") as rows:
        return sum(block.count(b"\n") for block in iter(lambda: rows.read(1 << 20), b""))


def question(status):
    """An export of the whole look-back, as postwatch asks for it."""
    now = time.time()
    moment = lambda at: time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
    filters = [{"resource_type": "delivery_status", "filter_id_value": status}]
    return {
        "timezone_id": UTC,
        "from": moment(now - LOOKBACK_SECONDS),
        "to": moment(now),
        "query": {"filters": filters},
        "format": "json",
    }


def _ask(url, key, body=None):
    headers = {"x-eflow-api-key": key, "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=600)


class Rows:
    """A file of rows in the order of their timestamps, one a line."""

    def __init__(self, file):
        self.descriptor = os.open(file, os.O_RDONLY)
        self.size = os.fstat(self.descriptor).st_size
        self._bytes = mmap.mmap(self.descriptor, 0, prot=mmap.PROT_READ) if self.size else b""

    def span(self, first, last):
        """The place in the file of the rows from one second to another, both included."""
        return self._first_at(first), self._first_at(last + 1)

    def _first_at(self, second):
        """Where the first row begins that is not older. Halves bytes, then looks for a row's begin."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            row = self._bytes.rfind(b"\n", 0, middle) + 1
            if int(TIMESTAMP.search(self._bytes, row)[1]) < second:
                low = self._bytes.find(b"\n", middle) + 1
            else:
                high = row
        return low

    def those(self, start, end, takes):
        """The rows of a place that `takes` lets pass."""
        while start < end:
            stop = self._bytes.find(b"\n", start)
            row = self._bytes[start:stop]
            if takes(row):
                yield row
            start = stop + 1


class Question:
    """A request's body: a file of rows, a place in it, and what of it is asked for."""

    def __init__(self, body, files):
        asked = json.loads(body)
        if asked["timezone_id"] != UTC:
            raise ValueError("another time zone")
        self._wanted = _values(asked["query"]["filters"])
        self._unwanted = _values(asked["query"].get("exclusions", []))
        (status,) = self._wanted.pop("delivery_status")
        self.rows = files[status]
        self.start, self.end = self.rows.span(_second(asked["from"]), _second(asked["to"]))

    def is_of_all(self):
        return not self._wanted and not self._unwanted

    def found(self):
        return self.rows.those(self.start, self.end, self._takes)

    def _takes(self, row):
        place = {kind: pattern.search(row)[1].decode() for kind, pattern in PLACES.items()}
        return all(place[kind] in values for kind, values in self._wanted.items()) and not any(
            place[kind] in values for kind, values in self._unwanted.items()
        )


def _values(filters):
    values = {}
    for each in filters:
        values.setdefault(each["resource_type"], set()).add(each["filter_id_value"])
    return values


def _second(text):
    return calendar.timegm(datetime.datetime.fromisoformat(text).timetuple())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: pathlib.Path
    rows: dict
    may_go = threading.Event()
    lists_asked = 0

    def do_GET(self):
        if self.path == "/lists":
            return self._send(200, str(Handler.lists_asked).encode())
        if self.path == POSTBACKS:
            Handler.lists_asked += 1
        name = LISTS.get(self.path)
        if name is None:
            return self._send(404, b'{"Error": "no such path"}')
        self._send(200, (self.folder / name).read_bytes())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path in ("/hold", "/go"):
            self.may_go.clear() if self.path == "/hold" else self.may_go.set()
            return self._send(200, b"{}")
        self.may_go.wait()
        try:
            asked = Question(body, self.rows)
        except (KeyError, ValueError) as error:
            print(f"refused: {error!r}: {body!r}", file=sys.stderr, flush=True)
            return self._send(400, b'{"Error": "this question is not recorded"}')
        if self.path == EXPORT and asked.is_of_all():
            self._send_part(asked.rows, asked.start, asked.end)
        elif self.path == EXPORT:
            self._send(200, b"".join(row + b"\n" for row in asked.found()))
        else:
            rows = b",".join(itertools.islice(asked.found(), CAP))
            self._send(200, b'{"pixels":[' + rows + b"]}")

    def _send(self, status, body):
        self._send_head(status, len(body))
        self.wfile.write(body)

    def _send_head(self, status, length):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()

    def _send_part(self, rows, start, end):
        self._send_head(200, end - start)
        self.wfile.flush()
        while start < end:
            start += os.sendfile(self.connection.fileno(), rows.descriptor, start, end - start)

    def log_request(self, *_):
        pass


def main():
    folder, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    Handler.folder = folder
    Handler.rows = {status: Rows(folder / f"{status}.ndjson") for status in STATUSES}
    Handler.may_go.set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
