"""The options of a run, shared by the command line and pytest. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIMULATED_PORT = "pty"  # the value of --serial for the console of a simulated device


HOW = "console, operator, command:PROGRAM {action}, relay:PORT#CHANNEL, line:PORT#TEXT {action}"


def add_options(add: Callable[..., Any]) -> None:
    """Add the options by ``add``, which is called like argparse's ``add_argument``."""
    add(
        "--profile",
        action="append",
        default=[],
        metavar="FILE",
        help="profile of the device to check; may be repeated",
    )
    add_run_options(add)


def add_run_options(add: Callable[..., Any]) -> None:
    """Add all options except the profile."""
    add("--bench", metavar="FILE", help="check the boards that the bench file names, side by side")
    add("--simulate", action="store_true", help="check a simulated device built from the profile")
    add("--fault", action="append", default=[], metavar="NAME", help="inject a fault; may be repeated")
    add("--count", type=int, default=1, metavar="N", help="simulated devices for each profile")
    add(
        "--real-time",
        action="store_true",
        help="run simulated devices in real time; by default their clock skips waits",
    )
    add(
        "--virtual-time",
        action="store_true",
        help="skip waits; the default with --simulate and the embedded broker",
    )
    add("--broker", default="embedded", metavar="WHICH", help="embedded (default), mosquitto, or a URL")
    add("--listen", metavar="HOST:PORT", help="address on which the device connects to the harness")
    add("--mqtt", metavar="URL", help="the device's broker, mqtt[s]://[USER:PASSWORD@]HOST[:PORT]")
    add("--ca", metavar="FILE", help="certificates to trust for mqtts://")
    add("--coap", metavar="URL", help="the device's CoAP address, coap://HOST[:PORT]")
    add("--mdns", metavar="NAME", help="the device's DNS-SD instance or host name")
    add(
        "--serial",
        nargs="?",
        const=SIMULATED_PORT,
        metavar="PORT",
        help="the device's serial port: a path, socket://HOST:PORT, rfc2217://HOST:PORT; with --simulate "
        "without a value, for its console on a pseudo-terminal",
    )
    add(
        "--interface",
        metavar="ADDRESS",
        help="address of this machine on the device's network, for multicast",
    )
    add("--power", metavar="HOW", help=f"how to switch the device off and on: {HOW}")
    add("--hands", metavar="HOW", help="how to operate its controls and sensors, as for --power")
    add(
        "--labgrid",
        metavar="FILE",
        help="take serial port and power from labgrid: its environment file (needs the extra 'lab')",
    )
    add("--target", metavar="NAME", help="target in that file (default: main)")
    add("--unit", metavar="ID", help="value of {unit} in the profile")
    add(
        "--select",
        action="append",
        default=[],
        metavar="PATTERN",
        help="check ids such as DEV-*, or an area",
    )
    add("--seed", type=int, default=1, metavar="N", help="seed of all random choices (default 1)")
    add("--report", metavar="DIR", help="write trace, JSON, JUnit XML and HTML there")
