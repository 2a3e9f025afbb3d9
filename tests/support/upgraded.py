"""A service with a program that can be upgraded: `upgraded.py start|run|stop FOLDER`.

FOLDER/program has `version delay life flaw`: the schema that the program knows, the seconds until it is healthy, the
seconds after which it dies (0 for never), and what is wrong with it. It holds FOLDER/app.db open, writes to it all the
time, and answers /health on 127.0.0.1 at FOLDER/port. FOLDER/lock exists while it runs.

A program that meets an older schema upgrades it; one that meets a newer schema does not start. With the flaw `upgrade` it
dies in the middle of that, with `never` it never becomes healthy.
"""

import os, signal, sqlite3, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

how, folder = sys.argv[1], sys.argv[2]
at = lambda name: os.path.join(folder, name)


def read(name):
    with open(at(name)) as file:
        return file.read()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def note(line):
    with open(at("log"), "a") as file:
        file.write(line + "\n")


def start():
    with open(at("output"), "a") as output:
        child = subprocess.Popen(
            [sys.executable, __file__, "run", folder],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
    with open(at("pid"), "w") as file:
        file.write(str(child.pid))
    note("start")


def stop():
    note("stop")
    try:
        pid = int(read("pid"))
    except OSError:
        return
    if is_alive(pid):
        os.kill(pid, signal.SIGTERM)
    while is_alive(pid):
        time.sleep(0.01)
    os.unlink(at("pid"))


def run():
    words = read("program").split()
    version, delay, life, flaw = int(words[0]), float(words[1]), float(words[2]), words[3]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    open(at("lock"), "w").close()
    database = sqlite3.connect(at("app.db"), isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    found = database.execute("PRAGMA user_version").fetchone()[0]
    if found > version:
        sys.exit(f"the schema {found} is newer than {version}")
    database.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER PRIMARY KEY, text)")
    if found < version:
        database.execute(f"CREATE TABLE new_in_{version} (a)")
        database.execute(f"PRAGMA user_version = {version}")
        with open(at(f"made-by-{version}"), "w") as file:
            file.write("extra")
        if flaw == "upgrade":
            os._exit(1)
    begun = time.monotonic()
    if life:
        threading.Timer(life, lambda: os._exit(1)).start()

    def write():
        while True:
            database.execute("INSERT INTO rows (text) VALUES (hex(randomblob(20)))")
            time.sleep(0.005)

    threading.Thread(target=write, daemon=True).start()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            is_healthy = flaw != "never" and time.monotonic() - begun >= delay
            self.send_response(200 if is_healthy and self.path == "/health" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    HTTPServer.allow_reuse_address = True
    HTTPServer(("127.0.0.1", int(read("port"))), Answer).serve_forever()


{"start": start, "stop": stop, "run": run}[how]()
