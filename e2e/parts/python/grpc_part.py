"""grpcio as caller and called, with bytes as messages. See e2e/matrix/grpc.ts for what is asked.

grpc_part.py serve PORT | call TARGET
"""

import concurrent.futures
import json
import sys
import threading
import time

import grpc

PATH = "/test.Matrix/"


class Matrix:
    def __init__(self):
        self.left = 0
        self.lock = threading.Lock()

    def fail(self, _, context):
        context.set_trailing_metadata((("why-bin", b"\x00\x01\xfe\xff"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: ü 100%\n")

    def metadata(self, _, context):
        large = dict(context.invocation_metadata()).get("x-large", "")
        context.send_initial_metadata((("x-large", large),))
        context.set_trailing_metadata((("x-late", large),))
        return b""

    def hang(self, _, context):
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait()
        with self.lock:
            self.left += 1
        yield from ()

    def handler(self):
        unary, server = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "Echo": unary(lambda message, _: message),
            "Fail": unary(self.fail),
            "Metadata": unary(self.metadata),
            "Left": unary(lambda _, __: str(self.left).encode()),
            "Count": server(lambda message, _: (b"x" * 1000 for _ in range(int(message)))),
            "Hang": server(self.hang),
            "Sum": grpc.stream_unary_rpc_method_handler(lambda messages, _: str(sum(len(message) for message in messages)).encode()),
            "Chat": grpc.stream_stream_rpc_method_handler(lambda messages, _: messages),
        }
        return grpc.method_handlers_generic_handler("test.Matrix", methods)


def serve(port):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(20))
    server.add_generic_rpc_handlers((Matrix().handler(),))
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    server.wait_for_termination()


def call(target):
    channel = grpc.insecure_channel(target)
    saw = {}
    unary = lambda name, message=b"", **options: channel.unary_unary(PATH + name)(message, timeout=20, **options)

    saw["unary"] = unary("Echo", b"hello").decode()
    megabyte = b"m" * 1024 * 1024
    saw["megabyte"] = unary("Echo", megabyte) == megabyte
    saw["compressed"] = unary("Echo", megabyte, compression=grpc.Compression.Gzip) == megabyte

    counted = [len(message) for message in channel.unary_stream(PATH + "Count")(b"1000", timeout=20)]
    saw["serverStream"] = [len(counted), sum(counted)]
    saw["clientStream"] = channel.stream_unary(PATH + "Sum")((b"y" * 1000 for _ in range(1000)), timeout=20).decode()

    turn = threading.Semaphore(1)

    def pings():
        for _ in range(100):
            turn.acquire()
            yield b"ping"

    echoed = 0
    for message in channel.stream_stream(PATH + "Chat")(pings(), timeout=20):
        echoed += message == b"ping"
        turn.release()
    saw["bothWays"] = [echoed, True]

    try:
        unary("Fail")
    except grpc.RpcError as error:
        why = dict(error.trailing_metadata()).get("why-bin")
        saw["failure"] = [error.code().value[0], error.details(), why == b"\x00\x01\xfe\xff"]
    try:
        unary("Nothing")
    except grpc.RpcError as error:
        saw["unimplemented"] = error.code().value[0]

    large = "l" * 6000
    _, done = channel.unary_unary(PATH + "Metadata").with_call(b"", timeout=20, metadata=(("x-large", large),))
    initial, trailing = dict(done.initial_metadata()), dict(done.trailing_metadata())
    saw["metadata"] = [initial.get("x-large") == large, trailing.get("x-late") == large]

    before = int(unary("Left"))
    try:
        list(channel.unary_stream(PATH + "Hang")(b"", timeout=0.3))
    except grpc.RpcError as error:
        saw["deadline"] = error.code().value[0]
    hanging = channel.unary_stream(PATH + "Hang")(b"", timeout=20)
    threading.Timer(0.3, hanging.cancel).start()
    try:
        list(hanging)
    except grpc.RpcError as error:
        saw["cancelled"] = error.code() == grpc.StatusCode.CANCELLED
    deadline = time.monotonic() + 5
    while int(unary("Left")) < before + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    saw["serverSawBoth"] = int(unary("Left")) == before + 2
    print(json.dumps(saw))


{"serve": serve, "call": call}[sys.argv[1]](sys.argv[2])
