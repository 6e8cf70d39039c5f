"""The network's API from a recording, so that serving costs next to nothing.

`postwatch simulate` renders each row when it is asked for one, which takes as
long as reading it: it would set the pace of all contestants. So its exports are
written to files once, and this process sends the parts of them that are asked
for by sendfile. Bodies go out plain: unpacking gzip would cost each contestant
the same, and hide what differs.

    python3 network.py FOLDER PORT

Answers what `postwatch run` asks of a whole network, and refuses any other
question. `POST /hold` makes it keep questions for rows waiting until `POST /go`.
"""

import calendar
import datetime
import http.server
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
LISTS = {
    "/v1/meta/timezones": "timezones.json",
    "/v1/networks": "network.json",
    "/v1/networks/pixels?page=1&page_size=2000": "postbacks.json",
}
STATUSES = ("failure", "success")
CAP = 1000
LOOKBACK_SECONDS = 72 * 3600
TIMESTAMP = re.compile(rb'"timestamp":(\d+)')


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
        "timezone_id": 67,
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

    def some(self, start, end, most):
        """So many rows of a place at most."""
        rows = []
        while start < end and len(rows) < most:
            stop = self._bytes.find(b"\n", start)
            rows.append(self._bytes[start:stop])
            start = stop + 1
        return rows


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: pathlib.Path
    rows: dict
    may_go = threading.Event()

    def do_GET(self):
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
            rows, start, end = self._found(json.loads(body))
        except (KeyError, ValueError) as error:
            print(f"refused: {error}: {body!r}", file=sys.stderr, flush=True)
            return self._send(400, b'{"Error": "this question is not recorded"}')
        if self.path == EXPORT:
            return self._send_part(rows, start, end)
        found = b",".join(rows.some(start, end, CAP))
        self._send(200, b'{"pixels":[' + found + b"]}")

    def _found(self, asked):
        (only,) = asked["query"]["filters"]
        if only["resource_type"] != "delivery_status" or asked["query"].get("exclusions"):
            raise ValueError("only whole networks are recorded")
        if self.path not in (REPORT, EXPORT) or asked["timezone_id"] != 67:
            raise ValueError("another path or time zone")
        rows = self.rows[only["filter_id_value"]]
        return rows, *rows.span(_second(asked["from"]), _second(asked["to"]))

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


def _second(text):
    return calendar.timegm(datetime.datetime.fromisoformat(text).timetuple())


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
