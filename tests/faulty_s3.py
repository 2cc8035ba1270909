"""A proxy in front of an S3 server that answers some requests as object stores do on bad days."""

import http.client
import http.server
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

STALL_S = 3600.0


class Request(NamedTuple):
    """What a client asks, and how often it has asked this (0 the first time)."""

    method: str
    path: str
    times: int


#: The fault of a request: "slow down", "reset", "truncate", "stall", "deny", or "lose", which does what is asked and
#: resets instead of answering; "" is none.
Fault = Callable[[Request], str]


class FaultyS3:
    """Serves on loopback until it is left; `faults` counts what was done to whom."""

    def __init__(self, behind: str, fault: Fault) -> None:
        self._behind = behind.removeprefix("http://")
        self._fault = fault
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], int] = {}
        self._over = threading.Event()
        self.faults: list[tuple[str, Request]] = []

    def __enter__(self) -> "FaultyS3":
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                outer.answer(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, client: http.server.BaseHTTPRequestHandler) -> None:
        body = client.rfile.read(int(client.headers.get("Content-Length") or 0))
        with self._lock:
            key = (client.command, client.path)
            request = Request(*key, self._times.get(key, 0))
            self._times[key] = request.times + 1
            fault = self._fault(request)
            if fault:
                self.faults.append((fault, request))
        if fault == "reset":
            self._reset(client)
            return
        if fault == "stall":
            self._over.wait(STALL_S)
            client.close_connection = True
            return
        if fault in ("slow down", "deny"):
            status, code = (503, "SlowDown") if fault == "slow down" else (403, "AccessDenied")
            told = b"" if client.command == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
            self._reply(client, status, {"Content-Type": "application/xml"}, told)
            return
        upstream = http.client.HTTPConnection(self._behind, timeout=60)
        headers = {name: value for name, value in client.headers.items() if name.lower() != "connection"}
        upstream.request(client.command, client.path, body=body, headers=headers)
        response = upstream.getresponse()
        data = response.read()
        if fault == "lose":
            self._reset(client)
            upstream.close()
            return
        told_headers = dict(response.getheaders())
        if fault == "truncate":
            told_headers["Content-Length"] = str(len(data))
            data = data[: len(data) // 2]
            client.close_connection = True
        self._reply(client, response.status, told_headers, data)
        upstream.close()

    @staticmethod
    def _reset(client: http.server.BaseHTTPRequestHandler) -> None:
        client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close_connection = True
        client.connection.close()

    @staticmethod
    def _reply(client: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, str], data: bytes) -> None:
        client.send_response_only(status)
        skipped = {"connection", "transfer-encoding", "date", "server"}
        for name, value in headers.items():
            if name.lower() not in skipped:
                client.send_header(name, value)
        if "Content-Length" not in headers and "content-length" not in headers:
            client.send_header("Content-Length", str(len(data)))
        client.end_headers()
        if client.command != "HEAD":
            client.wfile.write(data)


def by_name(rules: dict[str, tuple[str, int]]) -> Fault:
    """Faults of objects whose path holds a name: which, and how many times."""

    def fault(request: Request) -> str:
        for name, (what, times) in rules.items():
            if name in request.path and request.method == "GET" and request.times < times:
                return what
        return ""

    return fault
