"""Servers that print, as JSON, what they took for a request: `wsgi` for gunicorn, `asgi` for hypercorn, and Python's own when it is run.

corpus_reader.py PORT
"""

import asyncio
import http.server
import json
import sys


def tell(method, target, host, body, fields):
    forged = [name for name, value in fields if "forged" in value]
    read = {"method": method, "target": target, "host": host, "body": body.decode("latin-1"), "forged": forged}
    print(json.dumps(read), flush=True)


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    fields = [(name, value) for name, value in environ.items() if name.startswith("HTTP_")]
    tell(environ["REQUEST_METHOD"], environ["RAW_URI"], environ.get("HTTP_HOST"), body, fields)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"read"]


released = None


async def asgi(scope, receive, send):
    global released
    if scope["type"] != "http":
        return
    released = released or asyncio.Event()
    body = b""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return
        body += event["body"]
        if not event["more_body"]:
            break
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    query = scope["query_string"]
    target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
    host = next((value for name, value in fields if name in ("host", ":authority")), None)
    tell(scope["method"], target, host, body, fields)
    if target == "/release":
        released.set()
    if target == "/hold":
        await released.wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"read"})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def take(self):
        # It reads no chunks, and leaves them to its programs.
        if "transfer-encoding" in self.headers:
            self.send_error(411)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        # Not `path`, whose first slashes it makes one.
        tell(self.command, self.requestline.split()[1], self.headers.get("host"), body, self.headers.items())
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"read")

    def __getattr__(self, name):
        # Every method.
        if name.startswith("do_"):
            return self.take
        raise AttributeError(name)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
