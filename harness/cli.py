"""The command line. Each command imports what it needs itself, so that --help is fast."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from harness import __version__
from harness.options import add_run_options

USAGE = 2

EPILOG = """exit status: 0 nothing failed; 1 at least one fail; 2 wrong usage or a wrong profile;
3 no fail, but an error, or a MUST that stayed inconclusive"""

MATRIX_EPILOG = """exit status: 0 no observation contradicts a prediction, even if pairs are blocked;
1 prediction and observation differ; 2 wrong usage or a wrong profile; 3 a pair could not be decided"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    known = parser.parse_args(arguments)
    if known.command is None:
        parser.print_help()
        return USAGE
    from harness import commands

    return commands.run(known)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Checks smart-home appliances against their profile over MQTT, CoAP and mDNS.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    check = commands.add_parser("check", help="check devices against their profiles", epilog=EPILOG)
    check.add_argument("profiles", nargs="*", metavar="PROFILE", help="profile of the device, a YAML file")
    add_run_options(check.add_argument)
    check.add_argument("-q", "--quiet", action="store_true", help="print only what did not pass")
    check.add_argument(
        "--together",
        action="store_true",
        help="run the devices on one bus and check how they work together",
    )
    _add_dut(check)
    check.add_argument(
        "--pytest",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="…",
        help="pass all further options to pytest, such as -x or -k",
    )

    simulate = commands.add_parser("simulate", help="run simulated devices until stopped")
    simulate.add_argument("profiles", nargs="*", metavar="PROFILE", help="profile of the device, a YAML file")
    simulate.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="inject a fault; may be repeated"
    )
    simulate.add_argument("--list-faults", action="store_true", help="list all faults")
    simulate.add_argument("--count", type=int, default=1, metavar="N", help="devices for each profile")
    simulate.add_argument(
        "--only",
        action="append",
        default=[],
        choices=("mqtt", "coap", "mdns"),
        help="use only this protocol; may be repeated",
    )
    simulate.add_argument(
        "--report-every",
        type=float,
        metavar="S",
        help="report every state at least every S seconds over MQTT",
    )
    simulate.add_argument(
        "--serial",
        action="store_true",
        help="give each device a console on a pseudo-terminal, and print its path",
    )
    simulate.add_argument("--herd", action="store_true", help="start all devices at once, not in waves")
    simulate.add_argument(
        "--rates", type=float, metavar="S", help="print statistics every S seconds (0: never)"
    )
    simulate.add_argument("--broker", metavar="URL", help="broker to connect to (default: an embedded one)")
    simulate.add_argument("--ca", metavar="FILE", help="certificates to trust for mqtts://")
    simulate.add_argument("--host", metavar="ADDRESS", help="address of the devices (default: loopback)")
    simulate.add_argument("--unit", metavar="ID", help="value of {unit} in the profile")
    simulate.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all random choices")

    scene = commands.add_parser("scene", help="play a scene of a home with a cast of devices", epilog=EPILOG)
    scene.add_argument("scene", metavar="SCENE", help="the scene, a YAML file")
    scene.add_argument(
        "--cast",
        action="append",
        default=[],
        metavar="ROLE=PROFILE",
        help="the device for a role; without --cast, the roles are listed",
    )
    scene.add_argument("--simulate", action="store_true", help="simulate all devices without a --dut")
    _add_dut(scene)
    scene.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="inject a fault into a simulated device",
    )
    scene.add_argument("--real-time", action="store_true", help="do not skip waits")
    scene.add_argument("--broker", default="embedded", metavar="WHICH", help="embedded, mosquitto, or a URL")
    scene.add_argument("--ca", metavar="FILE", help="certificates to trust for mqtts://")
    scene.add_argument(
        "--interface", metavar="ADDRESS", help="address of this machine on the devices' network"
    )
    scene.add_argument("--select", action="append", default=[], metavar="PATTERN", help="check ids")
    scene.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of all random choices (default 1)"
    )
    scene.add_argument("--report", metavar="DIR", help="write trace, JSON, JUnit XML and HTML there")
    scene.add_argument("-q", "--quiet", action="store_true", help="print only what did not pass")

    judge = commands.add_parser("judge", help="recompute every verdict of a recorded run", epilog=EPILOG)
    judge.add_argument("trace", metavar="TRACE", help="trace.jsonl of a run")
    judge.add_argument("--report", metavar="DIR", help="write JSON, JUnit XML and HTML there")

    compat = commands.add_parser(
        "compat", help="predict from their profiles whether two devices work together"
    )
    compat.add_argument("first", metavar="A", help="profile of a device; with --replaces, of the old one")
    compat.add_argument(
        "second", metavar="B", help="profile of the other device; with --replaces, of the new one"
    )
    compat.add_argument(
        "--replaces", action="store_true", help="predict whether B can replace A without breaking A's users"
    )
    compat.add_argument(
        "--observe",
        action="store_true",
        help="with --replaces: play the scenes of the old device with the new one, simulated",
    )
    compat.add_argument("--scenes", metavar="DIR", help="folder of the scenes (default: scenes beside A)")
    compat.add_argument("--report", metavar="DIR", help="write JSON and JUnit XML there")

    export = commands.add_parser("export", help="write a trace as pcapng, for Wireshark and tshark")
    export.add_argument("trace", metavar="TRACE", help="trace.jsonl of a run")
    export.add_argument("file", metavar="FILE", help="pcapng file to write")

    checks = commands.add_parser("checks", help="list the catalogue, or explain one check")
    checks.add_argument("id", nargs="?", metavar="ID", help="check to explain")

    matrix = commands.add_parser(
        "matrix", help="predict which of many devices work with which", epilog=MATRIX_EPILOG
    )
    matrix.add_argument("profiles", nargs="*", metavar="PROFILE", help="profiles of the devices, YAML files")
    matrix.add_argument(
        "--observe", action="store_true", help="run simulated pairs and compare them with the prediction"
    )
    matrix.add_argument(
        "--pairs",
        choices=("all", "covering"),
        help="observe all pairs, or a selection in which everything occurs at least once (default: all)",
    )
    matrix.add_argument(
        "--processes", type=int, metavar="N", help="observe in N processes (default: one for each core)"
    )
    matrix.add_argument("--report", metavar="DIR", help="write matrix.html, JSON and JUnit XML there")
    matrix.add_argument("--seed", type=int, default=1, metavar="N", help="seed of all random choices")

    profile = commands.add_parser("profile", help="for people who write profiles")
    kinds = profile.add_subparsers(dest="profile_command", metavar="COMMAND", required=True)
    validate = kinds.add_parser("validate", help="report every mistake in a profile, with file and line")
    validate.add_argument("profiles", nargs="+", metavar="PROFILE")
    show = kinds.add_parser("show", help="describe a profile in words")
    show.add_argument("profile", metavar="PROFILE")
    new = kinds.add_parser("new", help="start a profile from a template")
    new.add_argument("name", metavar="NAME", help="short name, such as my-lamp")
    new.add_argument("--kind", default="plug", metavar="CATEGORY", help="what kind of device it is")
    new.add_argument("--output", metavar="FILE", help="where to write it (default: NAME.yaml)")
    return parser


def _add_dut(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dut",
        action="append",
        default=[],
        metavar="ROLE=HOW",
        help="how one of several devices is reached: simulate, listen:HOST:PORT, mqtt://…, coap://…, "
        "mdns:NAME, power:HOW, hands:HOW, unit:ID; separate several with commas",
    )


if __name__ == "__main__":
    sys.exit(main())
