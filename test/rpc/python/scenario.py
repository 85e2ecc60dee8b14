"""What test/rpc/python.test.ts has examples/python/mprpc.py do; prints what it saw as JSON."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "python"))
from mprpc import Client, RpcError, field, fields, first  # noqa: E402

seen = {}


def key(text):
    return field(1, text.encode())


def value(message):
    return first(fields(message), 2, b"").decode()


def failure(run):
    try:
        run()
    except RpcError as error:
        details = [[name, data.hex()] for name, data in error.details]
        return [error.code, error.text, details, error.not_run]
    return None


with Client("127.0.0.1", int(sys.argv[1])) as client:
    reply = client.call("Feed", "Get", key("one"), metadata=[("token", b"t1")])
    seen["unary"] = [value(reply.message), [[k, v.decode()] for k, v in reply.metadata]]

    ids = [client.start("Feed", "Get", key(f"call {n}")) for n in range(500)]
    replies = [value(client.result(call_id).message) for call_id in reversed(ids)]
    seen["many"] = replies == [f"call {n}" for n in reversed(range(500))]
    seen["large"] = len(value(client.call("Feed", "Get", key("x" * 1_000_000)).message))

    seen["detail"] = failure(lambda: client.call("Feed", "Get", key("fail")))
    seen["unknown"] = failure(lambda: client.call("Feed", "Missing"))[0]
    seen["deadline"] = failure(lambda: client.call("Feed", "Get", key("wait"), timeout_ms=50))[0]

    client.cancel(client.start("Feed", "Get", key("wait until canceled")))
    client.notify("Feed", "Get", key("one-way"))
    client.ping()

    *messages, end = client.stream("Feed", "Watch", key("count"), window=100)
    seen["stream"] = [value(message.message) for message in messages]
    seen["initial"] = [[k, v.decode()] for k, v in messages[0].metadata]
    seen["trailing"] = [end.message, [[k, v.decode()] for k, v in end.metadata]]
    seen["streamFailed"] = failure(lambda: list(client.stream("Feed", "Watch", key("fail"))))[0]

    endless = client.stream("Feed", "Watch", key("endless"))
    for _ in range(10_000):
        next(endless)
    endless.close()
    seen["pingsAnswered"] = client.pings_answered

    client.notify("Feed", "Get", key("drain"))
    client.wait_for_goaway()
    refused = failure(lambda: client.call("Feed", "Get", key("too late")))
    seen["refused"] = [refused[0], refused[3]]

print(json.dumps(seen))
