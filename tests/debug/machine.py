"""machine.py - whole machines under test, their serial port and their monitors, for the scripts beside it."""
import argparse, json, os, re, select, shlex, shutil, signal, socket, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = tempfile.mkdtemp(prefix="latimer-test-")
latimer = os.environ.get("LATIMER", "./latimer")         # the command
SLOW = float(os.environ.get("SLOW", "1"))       # how many times longer things may take


def path(name):
    return os.path.join(WORK, name)


class Failed(Exception):
    pass


def check(what, text):
    if not what:
        raise Failed(text)


def same(is_now, wanted):
    check(is_now == wanted, "%r and not %r" % (is_now, wanted))


def until(what, text, seconds=30):
    """Wait for what() to be so; else text says what is not."""
    end = time.monotonic() + seconds * SLOW
    while not what():
        check(time.monotonic() < end, text)
        time.sleep(0.05)


def connect(address, seconds=20):
    end = time.monotonic() + seconds * SLOW
    while True:
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        s.settimeout(60 * SLOW)
        try:
            s.connect(address)
            return s
        except OSError:
            s.close()
            if time.monotonic() > end:
                raise Failed("nobody listens on %s" % (address,))
            time.sleep(0.05)


class Qmp:
    def __init__(self, address, negotiate=True):
        self.s = connect(address)
        self.f = self.s.makefile("rwb")
        self.events = []
        self.greeting = self.read()
        check("QMP" in self.greeting, "no greeting: %s" % self.greeting)
        self.n = 0
        if negotiate:
            self.cmd("qmp_capabilities")

    def read(self):
        line = self.f.readline()
        if not line:
            raise Failed("QMP: the connection has ended")
        return json.loads(line)

    def ask(self, name, /, fds=(), **arguments):
        self.n += 1
        message = {"execute": name, "id": self.n}
        if arguments:
            message["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        socket.send_fds(self.s, [json.dumps(message).encode()], fds)
        while True:
            r = self.read()
            if "event" in r:
                check(isinstance(r["timestamp"]["microseconds"], int), "an event without time: %s" % r)
                self.events.append(r)
            else:
                check(r["id"] == self.n, "another id: %s" % r)
                return r

    def cmd(self, name, /, **arguments):
        r = self.ask(name, **arguments)
        check("return" in r, "%s %s: %s" % (name, arguments, r))
        return r["return"]

    def error(self, name, /, kind="GenericError", desc="", **arguments):
        r = self.ask(name, **arguments)
        check("error" in r and r["error"]["class"] == kind and desc in r["error"]["desc"], "%s: %s" % (name, r))

    def hmp(self, line):
        return self.cmd("human-monitor-command", command_line=line)

    def event(self, name, /, seconds=20, **data):
        """The next event of that name, which may have come already; those before it are forgotten."""
        self.s.settimeout(seconds * SLOW)
        try:
            while True:
                e = self.events.pop(0) if self.events else self.read()
                if e.get("event") == name:
                    break
        except (TimeoutError, socket.timeout):
            raise Failed("no event %s" % name)
        finally:
            self.s.settimeout(60 * SLOW)
        for key, val in data.items():
            check(e["data"][key.replace("_", "-")] == val, "%s: %s" % (name, e))
        return e


def command():
    return shlex.split(latimer)


class Machine:
    def __init__(self, *options, stdin=subprocess.DEVNULL, **more):
        self.out = b""
        self.p = subprocess.Popen(command() + ["-display", "none", *options], stdin=stdin,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def type(self, text):
        self.p.stdin.write(text.encode())
        self.p.stdin.flush()

    def expect(self, what, seconds=60):
        """Output up to a pattern."""
        end = time.monotonic() + seconds * SLOW
        while True:
            found = re.search(what.encode(), self.out)
            if found:
                self.out = self.out[found.end():]
                return found
            if time.monotonic() > end:
                raise Failed("no '%s' but: %s" % (what, self.out[-1500:].decode(errors="replace")))
            if select.select([self.p.stdout], [], [], 0.2)[0]:
                part = os.read(self.p.stdout.fileno(), 65536)
                if not part:
                    raise Failed("ended: %s %s" % (self.out[-1500:].decode(errors="replace"),
                                                   self.p.stderr.read().decode()))
                self.out += part

    def run(self, command):
        """In the guest's shell; what it prints."""
        self.type("echo @B''EG@; %s\necho @E''ND@\n" % command)
        try:
            found = self.expect(r"(?s)@BEG@(.*?)(/ # |~ # )?@END@")
        except Failed as e:
            raise Failed("%s: %s" % (command, e))
        return found.group(1).decode(errors="replace").replace("\r", "").replace("/ # ", "").strip()

    def ends(self, code, seconds=30):
        try:
            out, err = self.p.communicate(timeout=seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise Failed("it does not end")
        self.out += out
        check(self.p.returncode == code, "exit code %d: %s" % (self.p.returncode, err.decode()))
        return err.decode()

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.communicate()


def machine(*options, **more):
    m = Machine(*options, **more)
    machines.append(m)
    return m


class Daemon:
    """A machine that went into the background (-daemonize -pidfile FILE), for main() to end."""
    def __init__(self, *options, pidfile):
        self.pidfile = pidfile
        machines.append(self)
        subprocess.run([*command(), *options, "-pidfile", pidfile, "-daemonize"], stdin=subprocess.DEVNULL, check=True)

    def kill(self):
        try:
            os.kill(int(open(self.pidfile).read()), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass                # it has ended: the file goes with it


machines = []


def main(doc, script, kinds, functions):
    """The cases of a script: functions named KIND_CASE, by its command line. The exit code."""
    global latimer
    ap = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--latimer", default=latimer)
    ap.add_argument("kind", choices=kinds)
    ap.add_argument("cases", nargs="*")
    args = ap.parse_args()
    latimer = args.latimer
    cases = [(n, f) for n, f in functions.items() if n.startswith(args.kind + "_")]
    failed = n = 0
    for name, run in cases:
        if args.cases and name.split("_", 1)[1] not in args.cases:
            continue
        n += 1
        start = time.monotonic()
        try:
            run()
            print("%s: %s: ok (%.1f s)" % (script, name, time.monotonic() - start))
        except Exception as e:
            failed += 1
            print("%s: %s: FAILED: %s: %s" % (script, name, type(e).__name__, e))
        finally:
            while machines:
                machines.pop().kill()
        sys.stdout.flush()
    shutil.rmtree(WORK)
    print("%s: %d cases, %d failed" % (script, n, failed))
    return failed != 0
