"""A network with nothing but this machine in it, for `tests/static`: `bare_network.py FOLDER`, in a network namespace.

A name server on port 53 knows hooks.test, and large.test by TCP alone: over UDP it says that the answer is too long. HTTP on
port 8080 and HTTPS on port 8443 (FOLDER/server.pem, certificate and key) answer 200 to everything, and add its path to FOLDER/asked.
It prints a line when all of them listen.
"""

import fcntl, os, socket, ssl, struct, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)
A, NO_SUCH_NAME, TRUNCATED = 1, 3, 0x0200


def set_loopback_up():
    set_flags, is_up, is_running = 0x8914, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH14x", b"lo", is_up | is_running))


def answer(query, is_tcp):
    name, at_byte = [], 12
    while query[at_byte]:
        name.append(query[at_byte + 1 : at_byte + 1 + query[at_byte]].decode())
        at_byte += 1 + query[at_byte]
    (kind,) = struct.unpack(">H", query[at_byte + 1 : at_byte + 3])
    name, question = ".".join(name), query[12 : at_byte + 5]
    is_known = name in ("hooks.test", "large.test")
    is_cut = name == "large.test" and not is_tcp
    records = b""
    if is_known and kind == A and not is_cut:
        records = struct.pack(">HHHIH4s", 0xC00C, A, 1, 60, 4, socket.inet_aton("127.0.0.1"))
    flags = 0x8580 | (TRUNCATED if is_cut else 0) | (0 if is_known else NO_SUCH_NAME)
    return query[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + records


def names_by_udp(server):
    while True:
        query, client = server.recvfrom(4096)
        server.sendto(answer(query, False), client)


def names_by_tcp(server):
    while True:
        client, _ = server.accept()
        with client, client.makefile("rb") as stream:
            # Of both kinds of address, one after the other.
            while len(length := stream.read(2)) == 2:
                said = answer(stream.read(struct.unpack(">H", length)[0]), True)
                client.sendall(struct.pack(">H", len(said)) + said)


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(at("asked"), "a") as file:
            file.write(self.path + "\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


set_loopback_up()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 53))
tcp = socket.create_server(("127.0.0.1", 53))
plain = ThreadingHTTPServer(("127.0.0.1", 8080), Hook)
sealed = ThreadingHTTPServer(("127.0.0.1", 8443), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(at("server.pem"))
sealed.socket = context.wrap_socket(sealed.socket, server_side=True)
for work in (lambda: names_by_udp(udp), lambda: names_by_tcp(tcp), plain.serve_forever, sealed.serve_forever):
    threading.Thread(target=work, daemon=True).start()
print("listening", flush=True)
threading.Event().wait()
