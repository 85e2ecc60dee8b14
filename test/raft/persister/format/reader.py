"""Reads a data directory by docs/storage.md, and by nothing else; prints what it holds as JSON.

    python3 reader.py DIRECTORY

Exit code 0: it holds together. 1: it does not, and `problem` says where.
"""

import hashlib
import json
import os
import re
import struct
import sys

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc(data, seed=0):
    value = seed ^ 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def i32(data, at):
    return struct.unpack_from("<i", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


class Problem(Exception):
    def __init__(self, code, file, offset=None):
        super().__init__(code)
        self.told = {"code": code, "file": file, "offset": offset}


def check_head(data, magic, name):
    """The first 64 bytes of every file."""
    if len(data) < 64 or data[:8] != magic or u32(data, 60) != crc(data[:60]):
        raise Problem("DAMAGED", name, 0)
    if u32(data, 8) != 1:
        raise Problem("NEWER_FORMAT", name)


# --- the log

START, HARD_STATE, ENTRIES, RESET, SEAL, CLOSE = 1, 2, 3, 4, 5, 6
RECORDS_FROM = 128


class Segment:
    def __init__(self, path, name, number, storage_id):
        with open(path, "rb") as file:
            self.data = file.read()
        self.name = name
        check_head(self.data, b"RAFTWAL\0", name)
        if self.data[16:32] != storage_id or u64(self.data, 32) != number:
            raise Problem("FOREIGN", name)
        self.seed = crc(storage_id + struct.pack("<Q", number))
        self.tag = self.seed | 1
        self.records = []
        at = RECORDS_FROM
        while (record := self.record(at)) is not None:
            self.records.append(record)
            at = record["end"]
        self.end = at
        self.is_sealed = any(record["type"] == SEAL for record in self.records)
        self.judge_length()

    def judge_length(self):
        made = u64(self.data, 40)
        if len(self.data) < made:
            raise Problem("DAMAGED", self.name, len(self.data))

    @property
    def synced(self):
        """The mark; 0 where it says nothing."""
        mark = self.data[64:128]
        return u64(mark, 0) if u32(mark, 60) == crc(mark[:60], self.seed) else 0

    @property
    def is_begun(self):
        return len(self.records) > 0

    @property
    def rest_is_zero(self):
        return not any(self.data[self.end :])

    def record(self, at):
        data = self.data
        if at + 24 > len(data) or u32(data, at) != self.tag:
            return None
        length, place, batch_start = struct.unpack_from("<III", data, at + 8)
        end = at + 24 + (length + 7) // 8 * 8
        if place != at or end > len(data):
            return None
        if u32(data, at + 4) != crc(data[at + 8 : end], self.seed):
            return None
        payload = data[at + 24 : at + 24 + length]
        return {"type": data[at + 20], "payload": payload, "end": end, "batch": batch_start}

    def proof_of_damage(self):
        """Whether a whole record behind the end was written when the bytes at the end were synced."""
        for at in range(self.end + 8, len(self.data) - 23, 8):
            record = self.record(at)
            if record is not None and record["batch"] > self.end:
                return True
        return False


class Log:
    """What the records come to, one after the other."""

    def __init__(self):
        self.term, self.voted_for, self.joining = 0, -1, False
        self.before = (0, 0)
        self.entries = []

    @property
    def last(self):
        return self.entries[-1][:2] if self.entries else self.before

    def hard_state(self, payload):
        self.term, self.voted_for, flags = struct.unpack_from("<Qii", payload)
        self.joining = flags & 1 == 1

    def apply(self, record, is_first, name):
        payload = record["payload"]
        if record["type"] == START:
            self.hard_state(payload)
            before = struct.unpack_from("<QQ", payload, 16)
            if is_first:
                self.before = before
            elif before != self.last:
                raise Problem("DAMAGED", name, RECORDS_FROM)
        elif record["type"] == HARD_STATE:
            self.hard_state(payload)
        elif record["type"] == ENTRIES:
            self.add(payload)
        elif record["type"] == RESET:
            self.before = struct.unpack_from("<QQ", payload)
            self.entries = []

    def add(self, payload):
        first, term, count = struct.unpack_from("<QQI", payload)
        self.entries = [entry for entry in self.entries if entry[0] < first]
        at = 24
        for index in range(first, first + count):
            length = u32(payload, at)
            self.entries.append((index, term, payload[at + 4 : at + 4 + length].hex()))
            at += 4 + length

    def term_at(self, index):
        if index == self.before[0]:
            return self.before[1]
        return next((term for at, term, _ in self.entries if at == index), None)


def read_log(directory, names, storage_id):
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"wal-(\d{16})\.log", name)))
    for number, following in zip(numbers, numbers[1:]):
        if following != number + 1:
            raise Problem("MISSING", f"wal-{number + 1:016}.log")
    if not numbers:
        raise Problem("MISSING", "wal-0000000000000001.log")
    segments = []
    for number in numbers:
        name = f"wal-{number:016}.log"
        segments.append(Segment(os.path.join(directory, name), name, number, storage_id))
    log = Log()
    torn = None
    for at, segment in enumerate(segments):
        is_last = all(not later.is_begun and later.rest_is_zero for later in segments[at + 1 :])
        if segment.synced > segment.end:
            raise Problem("DAMAGED", segment.name, segment.end)
        if not segment.is_sealed and not is_last:
            raise Problem("DAMAGED", segment.name, segment.end)
        if segment.is_sealed and at == len(segments) - 1:
            raise Problem("MISSING", f"wal-{numbers[-1] + 1:016}.log")
        if not segment.rest_is_zero:
            if segment.proof_of_damage() or not is_last or segment.is_sealed:
                raise Problem("DAMAGED", segment.name, segment.end)
            torn = {"file": segment.name, "offset": segment.end}
        for record in segment.records:
            log.apply(record, at == 0, segment.name)
    return log, torn


# --- snapshots


def read_snapshot(path, name, storage_id):
    with open(path, "rb") as file:
        data = file.read()
    check_head(data, b"RAFTSNAP", name)
    if data[16:32] != storage_id:
        raise Problem("FOREIGN", name)
    seed = u32(data, 60)
    trailer = data[-32:]
    if trailer[:8] != b"SNAPEND\0" or u32(trailer, 28) != crc(trailer[:28], seed):
        raise Problem("DAMAGED", name, len(data) - 32)
    size, block_bytes = u64(trailer, 8), u32(data, 12)
    blocks = (size + block_bytes - 1) // block_bytes
    if len(data) != 64 + size + 4 * blocks + 32:
        raise Problem("DAMAGED", name, len(data))
    table = data[64 + size : 64 + size + 4 * blocks]
    if u32(trailer, 16) != crc(table, seed):
        raise Problem("DAMAGED", name, 64 + size)
    state = data[64 : 64 + size]
    for block in range(blocks):
        part = state[block * block_bytes : (block + 1) * block_bytes]
        if u32(table, 4 * block) != crc(part, seed):
            raise Problem("DAMAGED", name, 64 + block * block_bytes)
    digest = hashlib.sha256(state).hexdigest()
    return {"index": u64(data, 32), "term": u64(data, 40), "bytes": size, "sha256": digest}


def read_snapshots(directory, names, storage_id):
    """The newest whole one, and the problems of those that are newer and not whole."""
    places = []
    for name in names:
        match = re.fullmatch(r"snapshot-(\d+)-(\d+)", name)
        if match is not None:
            places.append((int(match[2]), int(match[1]), name))
    broken = []
    for index, term, name in sorted(places, reverse=True):
        try:
            snapshot = read_snapshot(os.path.join(directory, name), name, storage_id)
        except Problem as problem:
            if problem.told["code"] != "DAMAGED":
                raise
            broken.append((index, term, problem))
            continue
        if (snapshot["index"], snapshot["term"]) != (index, term):
            raise Problem("FOREIGN", name)
        return snapshot, broken
    return None, broken


def bring_together(log, snapshot, broken):
    index, term = (0, 0) if snapshot is None else (snapshot["index"], snapshot["term"])
    for lost_index, lost_term, problem in broken:
        if log.before[0] > index or log.term_at(lost_index) != lost_term:
            raise problem
    if log.term_at(index) == term:
        return log.entries
    if log.before[0] > index:
        raise Problem("MISSING", "snapshot")
    return []


def read(directory):
    names = sorted(os.listdir(directory))
    if "identity" not in names:
        raise Problem("MISSING", "identity")
    with open(os.path.join(directory, "identity"), "rb") as file:
        identity = file.read()
    check_head(identity, b"RAFTNODE", "identity")
    storage_id = identity[16:32]
    snapshot, broken = read_snapshots(directory, names, storage_id)
    log, torn = read_log(directory, names, storage_id)
    return {
        "nodeId": u32(identity, 12),
        "term": log.term,
        "votedFor": log.voted_for,
        "joining": log.joining,
        "snapshot": snapshot,
        "entries": bring_together(log, snapshot, broken),
        "torn": torn,
        "problem": None,
    }


try:
    result = read(sys.argv[1])
except Problem as problem:
    result = {"problem": problem.told}
print(json.dumps(result))
sys.exit(0 if result["problem"] is None else 1)
