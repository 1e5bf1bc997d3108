"""The independent device on a link of its own, checked by the real command line.

    python -m tests.peers.independent --out DIR [--variant PROFILE] [--without-power] [--select CHECK]
    python -m tests.peers.independent --out DIR --faults all [--jobs N]

The first makes a run on the conforming device. The second makes one for each fault, and writes the table of
docs/independent-device.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).parents[2]))

from fixtures.peers.independent.faults import FAULTS, FIRST, SECOND, TLS
from harness.checks.catalogue import all_checks
from tests.peers.namespaces import OURS, THEIRS, Link
from tests.peers.programs import Program, Verdicts, check

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "fixtures" / "peers" / "independent"
DEVICE, POWER = FOLDER / "device.py", FOLDER / "power.py"
CONSOLE = f"{THEIRS}:7000"
# Faults that no check of the harness finds yet: docs/independent-device.md says why.
KNOWN_MISSED = (
    *("F-MQTT-02", "F-MQTT-32", "F-COAP-26", "F-COAP-37", "F-COAP-47"),
    *("F-MDNS-01", "F-MDNS-13"),
    *("F-DEV-17", "F-DEV-20", "F-DEV-36", "F-SEC-01", "F-SEC-05"),
)
# Checks that a fault breaks as this device has it, besides those that faults.yaml expects.
BREAKS_ALSO = {
    "F-MQTT-08": ("PROFILE-01",),
    "F-MQTT-29": ("PROFILE-07",),
    "F-MDNS-04": ("MDNS-15", "PROFILE-40"),
    "F-DEV-14": ("DEV-01", "DEV-09"),
}
OPTIONS = {
    FIRST: (),
    SECOND: ("--mqtt5", "--persistent", "--login", "fan:breeze-42", "--non"),
    TLS: (),
}
# Each check of the area waits for an answer that does not come: it takes half an hour.
SILENCED = ("F-COAP-26",)
AREAS = {
    "MQTT": ("mqtt",),
    "HOMIE": ("mqtt", "behaviour"),
    "COAP": ("coap",),
    "MDNS": ("mdns",),
    "DNSSD": ("mdns", "cross"),
    "DEV": ("behaviour", "cross"),
    "SEC": ("security", "mqtt"),
}
HEAD = "| fault | what the device does | expected | failed |\n| --- | --- | --- | --- |"


def profile_of(variant: str) -> Path:
    """The profile of a variant of the device."""
    return ROOT / "fixtures" / "profiles" / "independent" / f"{variant}.yaml"


async def checked(
    link: Link,
    report: Path,
    *options: str,
    variant: str = FIRST,
    faults: tuple[str, ...] = (),
    power: bool = True,
) -> Verdicts:
    """The verdicts on the device, which is started for the run; ``power``: the bench can switch it."""
    device = [
        sys.executable,
        DEVICE,
        "--address",
        THEIRS,
        "--broker",
        f"{OURS}:1883",
        "--console",
        CONSOLE,
        "--mdns",
    ]
    device += [*OPTIONS[variant], *(part for fault in faults for part in ("--fault", fault))]
    bench = ["--listen", f"{OURS}:1883", "--coap", f"coap://{THEIRS}", "--mdns", "Ventilator 000042"]
    bench += ["--interface", OURS, "--serial", f"socket://{CONSOLE}"]
    bench += ["--broker", "mosquitto"] if variant == SECOND else []
    bench += ["--power", f"command:{sys.executable} {POWER} {CONSOLE} {{action}}"] if power else []
    async with Program(device, inside=link.theirs) as program:
        await program.says("ready")
        verdicts = await check(profile_of(variant), *bench, *options, report=report, inside=link.ours)
        (report / "device.txt").write_text("\n".join(program.lines))
        return verdicts


@dataclass(frozen=True)
class Found:
    """What became of one fault. ``expected``: the requirements that its entry in faults.yaml names."""

    fault: str
    does: str
    expected: tuple[str, ...]
    verdicts: Verdicts | None

    @property
    def failed(self) -> list[str]:
        """The checks that failed, without their subjects."""
        names = self.verdicts.not_passed if self.verdicts else {}
        return sorted({name.split("[")[0] for name, verdict in names.items() if verdict == "fail"})

    @property
    def row(self) -> str:
        """Its line in the table."""
        known = expected_of(self.fault)
        expected = ", ".join(each if each in known else f"({each})" for each in self.expected)
        hits = [each for each in self.failed if each in known]
        others = [each for each in self.failed if each not in known]
        seen = ", ".join([*(f"**{each}**" for each in hits), *others]) or "none"
        return f"| {self.fault} | {self.does} | {expected} | {seen} |"


def entries() -> dict[str, dict[str, Any]]:
    """fixtures/faults.yaml by fault."""
    listed = YAML(typ="safe").load((ROOT / "fixtures" / "faults.yaml").read_text())
    return {entry["id"]: entry for entry in listed}


def expected_of(fault: str) -> tuple[str, ...]:
    """The checks that the fault has to break: of those that faults.yaml names, and ``BREAKS_ALSO``."""
    known = {check.requirement.id for check in all_checks()}
    named = [each for each in entries()[fault]["detected_by"] if each in known]
    return (*named, *BREAKS_ALSO.get(fault, ()))


def selection(fault: str) -> list[str]:
    """The area that the fault belongs to, and what it should break elsewhere."""
    area = () if fault in SILENCED else AREAS[fault.split("-")[1]]
    wanted = [*area, *expected_of(fault)]
    return [part for each in wanted for part in ("--select", each)]


async def tried(fault: str, out: Path, turn: asyncio.Semaphore) -> Found:
    """Run the device with one fault on a link of its own."""
    variant, does = FAULTS[fault]
    expected = tuple(entries()[fault]["detected_by"])
    async with turn:
        link = Link()
        try:
            report = out / fault
            report.mkdir(parents=True, exist_ok=True)
            verdicts = await checked(link, report, *selection(fault), variant=variant, faults=(fault,))
        except (AssertionError, TimeoutError) as problem:
            print(f"{fault}: {str(problem)[:300]}", flush=True)
            verdicts = None
        finally:
            link.close()
    found = Found(fault, does, expected, verdicts)
    print(found.row, flush=True)
    if verdicts:
        (report / "told.txt").write_text(verdicts.told)
    return found


async def table(faults: Iterable[str], out: Path, jobs: int) -> str:
    """The table of the documentation."""
    turn = asyncio.Semaphore(jobs)
    found = await asyncio.gather(*(tried(fault, out, turn) for fault in faults))
    return "\n".join([HEAD, *(each.row for each in found)])


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Check the independent device, or all its faults.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", default=FIRST, choices=OPTIONS)
    parser.add_argument("--without-power", action="store_true")
    parser.add_argument("--faults", nargs="+", default=[], metavar="ID", help="or all: one run for each")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--select", action="append", default=[])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.faults:
        faults = list(FAULTS) if options.faults == ["all"] else options.faults
        (options.out / "table.md").write_text(asyncio.run(table(faults, options.out, options.jobs)) + "\n")
        return
    select = [part for each in options.select for part in ("--select", each)]
    link = Link()
    try:
        power = not options.without_power
        run = checked(link, options.out, *select, variant=options.variant, power=power)
        verdicts = asyncio.run(run)
    finally:
        link.close()
    print(verdicts.told)
    print(Counter(item["verdict"] for item in verdicts.report["verdicts"]))
    for name, reason in verdicts.reasons("not-applicable").items():
        print(f"not-applicable: {name}: {reason}")


if __name__ == "__main__":
    main()
