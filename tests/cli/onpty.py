#!/usr/bin/env python3
"""onpty.py - runs a command on a terminal of its own: onpty.py SECONDS WAIT-FOR TYPE COMMAND...

Types TYPE (with Python's escapes) when WAIT-FOR was written, prints all that was, and exits as the command did."""
import os, pty, select, sys, time

end, want, keys = time.monotonic() + float(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode().decode("unicode_escape")
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[4], sys.argv[4:])
data, typed = b"", False
while time.monotonic() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            part = os.read(fd, 4096)
        except OSError:
            part = b""
        if not part:
            break
        data += part
    if not typed and want in data:
        typed = True
        for key in keys:
            os.write(fd, key.encode())
            time.sleep(0.05)
else:
    os.kill(pid, 9)
sys.stdout.buffer.write(data)
sys.stdout.flush()
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) & 0xff if typed else 99)
