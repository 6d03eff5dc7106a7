"""A server of HTTP that takes any method and says who it believes that its caller is.

lenient.py http.server|wsgiref|flask PORT
"""

import sys

kind, port = sys.argv[1], int(sys.argv[2])


def application(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [f"caller: {environ.get('HTTP_WEFT_CLIENT_ID')} {environ['REMOTE_ADDR']}\n".encode()]


if kind == "http.server":
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def __getattr__(self, name):
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def answer(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"caller: {self.headers.get('weft-client-id')} {self.client_address[0]}\n".encode())

    http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
elif kind == "wsgiref":
    from wsgiref.simple_server import make_server

    make_server("", port, application).serve_forever()
else:
    from werkzeug.serving import run_simple

    run_simple("0.0.0.0", port, application, threaded=True)
