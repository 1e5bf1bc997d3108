"""The options of a run, said once for the command line and for pytest. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SIMULATED_PORT = "pty"  # the value of --serial for the console of a simulated device


HOW = "console, operator, command:PROGRAM {action}, relay:PORT#CHANNEL, line:PORT#TEXT {action}"


def add_options(add: Callable[..., Any]) -> None:
    """Add the options by ``add``, which takes what argparse's ``add_argument`` takes."""
    add(
        "--profile",
        action="append",
        default=[],
        metavar="FILE",
        help="profile of the device to check; may be repeated",
    )
    add_run_options(add)


def add_run_options(add: Callable[..., Any]) -> None:
    """All options but the profile."""
    add("--bench", metavar="FILE", help="check the boards that the bench file names, side by side")
    add("--simulate", action="store_true", help="check a simulated device built from the profile")
    add("--fault", action="append", default=[], metavar="NAME", help="give it a fault; may be repeated")
    add("--count", type=int, default=1, metavar="N", help="simulated devices for each profile")
    add(
        "--real-time",
        action="store_true",
        help="let simulated devices take the time that they would; by default their clock jumps over waits",
    )
    add(
        "--virtual-time",
        action="store_true",
        help="let the clock jump over waits: the default with --simulate and the embedded broker",
    )
    add("--broker", default="embedded", metavar="WHICH", help="embedded (default), mosquitto, or a URL")
    add("--listen", metavar="HOST:PORT", help="the device connects to the harness here")
    add("--mqtt", metavar="URL", help="broker that the device is on, mqtt[s]://[USER:PASSWORD@]HOST[:PORT]")
    add("--ca", metavar="FILE", help="certificates to trust for mqtts://")
    add("--coap", metavar="URL", help="the device's CoAP address, coap://HOST[:PORT]")
    add("--mdns", metavar="NAME", help="the device's DNS-SD instance or host name")
    add(
        "--serial",
        nargs="?",
        const=SIMULATED_PORT,
        metavar="PORT",
        help="the device's serial port: a path, socket://HOST:PORT, rfc2217://HOST:PORT; with --simulate "
        "nothing, for its console on a pseudo-terminal",
    )
    add("--interface", metavar="ADDRESS", help="our address on the device's network, for multicast")
    add("--power", metavar="HOW", help=f"who switches the device off and on: {HOW}")
    add("--hands", metavar="HOW", help="who operates its keys and sensors, named as for --power")
    add(
        "--labgrid",
        metavar="FILE",
        help="take serial port and power from labgrid: its environment file (needs the extra 'lab')",
    )
    add("--target", metavar="NAME", help="which target of that file (default: main)")
    add("--unit", metavar="ID", help="what {unit} stands for in the profile")
    add(
        "--select",
        action="append",
        default=[],
        metavar="PATTERN",
        help="check ids as DEV-*, or an area",
    )
    add("--seed", type=int, default=1, metavar="N", help="of all random choices (default 1)")
    add("--report", metavar="DIR", help="write trace, JSON, JUnit XML and HTML there")
