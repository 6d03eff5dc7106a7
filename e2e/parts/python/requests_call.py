"""Python's requests as caller.

requests_call.py BASE REQUESTS
"""

import concurrent.futures
import hashlib
import json
import sys
import time

import requests

base, text = sys.argv[1:]
session = requests.Session()


def pattern(length):
    return bytes(index % 251 for index in range(length))


def send(request):
    body = request.get("body")
    data = None if body is None else pattern(body)
    if data is not None and request.get("chunked"):
        data = iter([data[start : start + 65536] for start in range(0, len(data), 65536)])
    try:
        answer = session.request(
            request.get("method", "GET"),
            base + request["path"],
            headers=request.get("fields"),
            data=data,
            timeout=request.get("cancelAfterMs", 20_000) / 1000,
            allow_redirects=True,
        )
    except requests.exceptions.ReadTimeout:
        return {"error": "cancelled"}
    except requests.exceptions.RequestException as error:
        return {"error": str(error)}
    content = answer.content
    return {
        "status": answer.status_code,
        "version": {10: "1.0", 11: "1.1"}.get(answer.raw.version, str(answer.raw.version)),
        "text": content.decode("utf-8", "replace") if len(content) <= 4000 else "",
        "length": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
        "fields": {name.lower(): value for name, value in answer.headers.items()},
    }


def connections():
    return session.get_adapter(base).poolmanager.connection_from_url(base).num_connections


def repeat(request):
    first = send(request)
    deadline = time.monotonic() + 5
    while "until" in request and first.get("text") != request["until"] and time.monotonic() < deadline:
        first = send(request)
    before = connections()
    more = range(request.get("times", 1) - 1)
    if request.get("parallel"):
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            others = list(pool.map(lambda _: send(request), more))
    else:
        others = [send(request) for _ in more]
    like = [other for other in others if other.get("status") == first.get("status") and other.get("digest") == first.get("digest")]
    return {**first, "same": 1 + len(like), "reused": len(others) - (connections() - before)}


print(json.dumps([repeat(request) for request in json.loads(text)]))
