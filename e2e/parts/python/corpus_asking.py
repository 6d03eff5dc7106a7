"""Asks for each answer of a corpus, and after each for one that is well-formed, and prints as JSON what Python's client took them for.

corpus_asking.py HOST COUNT
"""

import http.client
import json
import sys

host, count = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, timeout=5)
for number in range(count):
    for path in ("answer", "end"):
        read = {"id": number, "path": path}
        try:
            connection.request("GET", f"/{path}{number}")
            response = connection.getresponse()
            body = response.read().decode("latin-1")
            read |= {"status": response.status, "body": body, "refused": response.getheader("weft-error") or ""}
        except Exception as error:
            read["error"] = repr(error)
            connection.close()
        print(json.dumps(read), flush=True)
