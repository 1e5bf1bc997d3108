"""A Mosquitto that somebody else runs: with passwords, with certificates of a CA of its own."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from harness.links.mqtt.brokers.mosquitto import find_program
from tests.peers.programs import Program, output, own_address

NAME = "lab"
PASSWORD = "not: a @ simple/one"


@contextlib.asynccontextmanager
async def external_mosquitto(
    folder: Path, *, login: bool = False, certificates: Path | None = None
) -> AsyncIterator[str]:
    """A running Mosquitto; yields its URL, with name and password where it asks for them.

    ``certificates`` is a folder made by :func:`make_certificates`; with it the broker speaks TLS only.
    """
    host, port = own_address(), 8883 if certificates else 1883
    lines = [f"listener {port} {host}", f"user {getpass.getuser()}", "log_dest stderr"]
    lines.append(f"allow_anonymous {'false' if login else 'true'}")
    if login:
        passwords = folder / "passwords"
        await output("mosquitto_passwd", "-b", "-c", passwords, NAME, PASSWORD)
        lines.append(f"password_file {passwords}")
    if certificates:
        lines += [f"certfile {certificates}/broker.pem", f"keyfile {certificates}/broker.key"]
    settings = folder / "mosquitto.conf"
    settings.write_text("\n".join(lines) + "\n")
    who = f"{NAME}:{quote(PASSWORD, safe='')}@" if login else ""
    async with Program([find_program("mosquitto"), "-c", settings]) as broker:
        await broker.says(" running")
        yield f"{'mqtts' if certificates else 'mqtt'}://{who}{host}:{port}"


def make_certificates(folder: Path) -> Path:
    """A CA (``ca.pem``), and a certificate for the broker that it signed, by OpenSSL's command."""
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    _openssl(folder, *new, "/CN=Lab CA", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, *new, "/CN=broker", "-keyout", "broker.key", "-out", "broker.csr")
    (folder / "names").write_text(f"subjectAltName=IP:{own_address()}\n")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "broker.csr", *signing, "-out", "broker.pem")
    return folder


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
