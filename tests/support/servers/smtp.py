"""A mail server for the tests: takes mail as its options say, and writes each as a line of JSON, read as a person's program reads it."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

options = json.loads(sys.argv[1])
later = set(options["later"])


def authenticate(server, session, envelope, mechanism, data):
    wanted = [part.encode() for part in options["login"]]
    good = isinstance(data, LoginPassword) and [data.login, data.password] == wanted
    return AuthResult(success=good, handled=good)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address in options["refused"]:
            return f"550 5.1.1 no such user here: {address}"
        if address in later:
            later.remove(address)
            return "451 4.7.1 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "names": [name for name, _ in message.items()],
            "text": message.get_content(),
            "defects": [str(defect) for defect in message.defects],
            "has_tls": server.transport.get_extra_info("ssl_object") is not None,
            "has_login": bool(session.authenticated),
        }
        with open(options["mails"], "a", encoding="utf-8") as mails:
            mails.write(json.dumps(line) + "\n")
        return "250 OK"


class Repeating(SMTP):
    """Refuses each login, and repeats it."""

    async def smtp_EHLO(self, hostname):
        self.session.extended_smtp = True
        await self.push("250-mail.example.org")
        await self.push(f"250 AUTH {options['repeats']}")
        self.session.host_name = hostname

    async def smtp_AUTH(self, arg):
        words = arg.split()[1:]
        if not words:
            await self.push("334 VXNlcm5hbWU6")
            words.append((await self._reader.readline()).strip().decode())
            await self.push("334 UGFzc3dvcmQ6")
            words.append((await self._reader.readline()).strip().decode())
        await self.push("535 5.7.8 I do not know " + " ".join(words))


def server():
    return (Repeating if options["repeats"] else SMTP)(
        Handler(),
        hostname="mail.example.org",
        authenticator=authenticate if options["login"] else None,
        auth_required=bool(options["login"]),
        auth_require_tls=options["tls"] == "starttls",
        tls_context=context if options["tls"] == "starttls" else None,
        loop=loop,
    )


context = None
if options["tls"] != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options["certificate"], options["key"])
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
wrapped = context if options["tls"] == "smtps" else None
loop.run_until_complete(loop.create_server(server, "127.0.0.1", options["port"], ssl=wrapped))
loop.run_forever()
