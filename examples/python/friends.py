"""Asks examples/friend's callee for a user's friends: python3 friends.py [USER [PORT]]"""

import sys

from mprpc import Client, field, fields, first

user = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
port = int(sys.argv[2]) if len(sys.argv) > 2 else 7788

with Client("127.0.0.1", port) as client:
    reply = client.call("FiendServiceRpc", "GetFriendsList", field(1, user), timeout_ms=2000)
response = fields(reply.message)
result = fields(first(response, 1, b""))
if first(result, 1) != 0:
    sys.exit(f"refused: {first(result, 2, b'').decode()}")
for number, name in enumerate(response.get(2, []), 1):
    print(f"{number}. {name.decode()}")
