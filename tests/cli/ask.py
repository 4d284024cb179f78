#!/usr/bin/env python3
"""ask.py SOCKET LINE...: give a monitor lines, one when the answer to the one before is there; print the last answer."""
import socket, sys

s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])


def answer():
    """Up to the prompt, or QMP's next message that is no event."""
    got = b""
    while not got.endswith(b"(latimer) ") and not (got.endswith(b"\n") and any(
            word in got.splitlines()[-1] for word in (b'"QMP"', b'"return"', b'"error"'))):
        part = s.recv(4096)
        if not part:
            break
        got += part
    return got.decode(errors="replace")


answer()
for line in sys.argv[2:]:
    s.sendall(line.encode() + b"\n")
    last = answer()
print(last)
