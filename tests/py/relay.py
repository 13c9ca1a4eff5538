"""A mail relay that is not ours (aiosmtpd): it wants STARTTLS and a login, refuses who begins with "gone@", and says in JSON what
it has taken. Arguments: certificate, key, and a file with the password that is right at the moment."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key, password_file = sys.argv[1:]


def say(what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 There is no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None,
                "content": envelope.content.decode(),
            }
        )
        return "250 OK"


def authenticate(server, session, envelope, mechanism, login):
    right = Path(password_file).read_bytes()
    # Not handled: the refusal is said by the library.
    return AuthResult(success=(login.login, login.password) == (b"zlh", right), handled=False)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


async def main():
    loop = asyncio.get_running_loop()

    def connection():
        return SMTP(
            Handler(),
            hostname="relay.test",
            tls_context=context,
            require_starttls=True,
            authenticator=authenticate,
            auth_required=True,
            loop=loop,
        )

    server = await loop.create_server(connection, "127.0.0.1", 0)
    say({"port": server.sockets[0].getsockname()[1]})
    # Until nobody listens any more.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
