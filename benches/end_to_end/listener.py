"""Whom postwatch tells: a server that takes every message, as Slack's Web API and a
webhook's receiver do, and remembers when it did."""

import http.server
import json
import threading
import time


class Listener:
    """Takes messages at `url` until its block is left: `taken` are (moment, path, body)."""

    def __enter__(self):
        self.taken = []
        self.server = Server(("127.0.0.1", 0), Taking)
        self.server.listener = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Many receivers connect in one moment.
    request_queue_size = 256


class Taking(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        taken = self.server.listener.taken
        taken.append((time.time(), self.path, json.loads(body)))
        # What Slack answers; a webhook's sender looks at the status alone.
        answer = {"ok": True, "channel": "C0POSTBACKS", "ts": f"1772331120.{len(taken):06}"}
        answer = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Nothing: `taken` is the log."""
