"""A client of mprpc's revision 2 in Python's standard library alone, written from docs/wire.md.

One thread, one connection, and only servers that are known to speak revision 2. Messages are bytes: `field` and `fields` write and read what small
messages need; with a protobuf library at hand, use its SerializeToString and FromString instead.

    with Client("127.0.0.1", 7788) as client:
        reply = client.call("Health", "Check", field(1, b"shop"), timeout_ms=1000)
        print(fields(reply.message))
"""

import socket
from collections import deque

CANCEL, NOTIFY, PING, CREDIT, PONG = 1, 2, 4, 8, 16  # RpcHeader.flags
MORE, GOAWAY, SERVER_PING, REFUSED = 1, 2, 4, 8  # RpcReplyHeader.flags
MESSAGE_OVERHEAD = 16
HEADER_BYTES_MAX = 16 * 1024
MESSAGE_BYTES_MAX = 17 * 1024 * 1024
STATUS_NAMES = (
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS "
    "PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED "
    "INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED"
).split()


class RpcError(Exception):
    """A call that did not end with OK."""

    def __init__(self, status, text, details=(), not_run=False):
        self.code = STATUS_NAMES[status] if status < len(STATUS_NAMES) else "UNKNOWN"
        super().__init__(f"{self.code}: {text}")
        self.text = text
        self.details = details  # pairs of a message's full name and its bytes
        self.not_run = not_run  # repeating it is free of risk


class Reply:
    """A reply, or one message of a stream, with the metadata that came with it."""

    def __init__(self, message, metadata):
        self.message = message
        self.metadata = metadata


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One field: a varint for an int, length-delimited for bytes; nothing for 0 and b""."""
    if not value:
        return b""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """A message as {number: [values]}: ints for varints, bytes for the rest."""
    found, at = {}, 0

    def read_varint():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data):
                raise ValueError("a varint goes on beyond its message")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift >= 70:
                raise ValueError("a varint of more than ten bytes")

    while at < len(data):
        tag = read_varint()
        kind = tag & 7
        if kind == 0:
            value = read_varint()
        elif kind in (1, 2, 5):
            size = 8 if kind == 1 else 4 if kind == 5 else read_varint()
            value = data[at : at + size]
            if len(value) < size:
                raise ValueError("a field goes on beyond its message")
            at += size
        else:
            raise ValueError(f"wire type {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def first(found, number, default=0):
    return found.get(number, [default])[-1]


def pairs(entries):
    """MetadataEntry and ErrorDetail alike: a string and bytes."""
    read = [fields(entry) for entry in entries]
    return [(first(entry, 1, b"").decode(), first(entry, 2, b"")) for entry in read]


class Client:
    def __init__(self, host, port, timeout_s=30):
        """`timeout_s`: how long a read may wait; after a TimeoutError the client is of no more use."""
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self._socket.makefile("rb")
        self._last_id = 0
        self._calls = {}  # call_id -> frames that nobody has asked for yet
        self.draining = False  # the server said GOAWAY: make the next call on a new connection
        self.pings_answered = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._input.close()
        self._socket.close()

    def call(self, service, method, message=b"", **options):
        """A unary call; options: timeout_ms, metadata."""
        return self.result(self.start(service, method, message, **options))

    def start(self, service, method, message=b"", timeout_ms=0, metadata=(), credit=0):
        """Sends a request and returns its id, for `result`, or `cancel`."""
        call_id = self._register()
        self._send(service, method, message, call_id, timeout_ms, metadata, credit=credit)
        return call_id

    def result(self, call_id):
        flags, reply, error = self._next_frame(call_id)
        del self._calls[call_id]
        if flags & MORE:
            self._send_control(call_id, CANCEL)
            raise RpcError(13, "a unary call was answered with a stream")
        if error:
            raise error
        return reply

    def cancel(self, call_id):
        if self._calls.pop(call_id, None) is not None:
            self._send_control(call_id, CANCEL)

    def notify(self, service, method, message=b"", metadata=()):
        self._send(service, method, message, 1, 0, metadata, flags=NOTIFY)

    def ping(self):
        call_id = self._register()
        self._send_control(call_id, PING)
        self._next_frame(call_id)
        del self._calls[call_id]

    def stream(self, service, method, message=b"", window=65536, **options):
        """The messages of a stream as Replies; the last one has trailing metadata and no message.

        A generator: leaving it early, or closing it, cancels the call.
        """
        call_id = self.start(service, method, message, credit=window, **options)
        allowed, taken = window, 0
        try:
            while True:
                flags, reply, error = self._next_frame(call_id)
                if not flags & MORE:
                    del self._calls[call_id]
                    if error:
                        raise error
                    if reply.message:
                        raise RpcError(13, "a stream was answered with one message")
                    reply.message = None
                    yield reply
                    return
                if allowed <= 0:
                    raise RpcError(13, "the server sent more than it was granted")
                cost = len(reply.message) + MESSAGE_OVERHEAD
                allowed -= cost
                yield reply
                taken += cost
                if taken * 2 >= window:
                    self._send_control(call_id, CREDIT, taken)
                    allowed, taken = allowed + taken, 0
        finally:
            self.cancel(call_id)

    def wait_for_goaway(self):
        while not self.draining:
            self._read_frame()

    def _register(self):
        self._last_id += 1
        self._calls[self._last_id] = deque()
        return self._last_id

    def _send(self, service, method, message, call_id, timeout_ms, metadata, flags=0, credit=0):
        header = field(1, service.encode()) + field(2, method.encode()) + field(3, len(message))
        header += field(4, call_id) + field(5, timeout_ms)
        for key, value in metadata:
            entry = field(1, key.encode()) + field(2, value)
            header += varint(6 << 3 | 2) + varint(len(entry)) + entry
        header += field(7, flags) + field(8, credit)
        self._socket.sendall(varint(len(header)) + header + message)

    def _send_control(self, call_id, flags, credit=0):
        header = field(4, call_id) + field(7, flags) + field(8, credit)
        self._socket.sendall(varint(len(header)) + header)

    def _next_frame(self, call_id):
        while not self._calls[call_id]:
            self._read_frame()
        return self._calls[call_id].popleft()

    def _read_frame(self):
        mark = self._read(1)
        if mark != b"\0":
            raise RpcError(12, "the server speaks revision 1")
        size = shift = 0
        while True:
            (byte,) = self._read(1)
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if size > HEADER_BYTES_MAX:
            raise RpcError(14, f"a header of {size} bytes")
        header = fields(self._read(size))
        message_size = first(header, 4)
        if message_size > MESSAGE_BYTES_MAX:
            raise RpcError(8, f"a message of {message_size} bytes")
        self._on_frame(header, self._read(message_size))

    def _on_frame(self, header, message):
        call_id, status, flags = first(header, 1), first(header, 2), first(header, 6)
        if call_id == 0:
            if flags & SERVER_PING:
                self._send_control(0, PONG)
                self.pings_answered += 1
            self.draining = self.draining or bool(flags & GOAWAY)
            return
        frames = self._calls.get(call_id)
        if frames is None:
            return  # of a call that was given up
        error = None
        if status != 0:
            text = first(header, 3, b"").decode()
            error = RpcError(status, text, pairs(header.get(7, [])), bool(flags & REFUSED))
        frames.append((flags, Reply(message, pairs(header.get(5, []))), error))

    def _read(self, size):
        data = self._input.read(size)
        if len(data) < size:
            raise RpcError(14, "the server closed the connection")
        return data
