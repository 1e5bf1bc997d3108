"""A package of somebody else, in one module: a check, a fault that it finds, and an actuator."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness import (
    Actuator,
    ActuatorCommand,
    ActuatorError,
    Area,
    Basis,
    BenchFeature,
    Case,
    Check,
    Level,
    Outcome,
    Profile,
    SimulatedDevice,
    Subject,
    Task,
    failed,
    fault,
    inconclusive,
    passed,
    requirement,
)


@requirement(
    "ACME-01",
    area=Area.BEHAVIOUR,
    standard="Acme test plan",
    clause="4.2",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the device reports each of its properties",
    stimulus="None: watch the whole run",
    expect="At least one report",
    ics="MQTT.CLIENT",
    needs=(BenchFeature.TAP,),
    usual_cause="States are published on changes only.",
)
class ReportsAtAll(Check):
    """Each property over MQTT."""

    def subjects(self, profile: Profile) -> list[Subject]:
        return [Subject(name, "mqtt") for name in profile.properties]

    def judge(self, case: Case) -> Outcome:
        name = case.subject.name or ""
        if reports := case.reports(name):
            return passed(f"the device reported {name}", reports)
        if opened := case.connections():
            return failed(f"the device connected and did not report {name}", opened)
        return inconclusive("the device did not connect")


@fault(name="acme-mute", title="reports nothing by itself", breaks=("ACME-01",))
def mute(device: SimulatedDevice) -> None:
    """The states are never published at the start."""
    if device.mqtt is not None:
        device.mqtt.deviate(publishes_state=False)


class Outlet:
    """An outlet of a power strip, named as in ``--power acme:FILE``; it keeps its state in that file."""

    def __init__(self, words: str) -> None:
        if not words:
            raise ActuatorError("acme: name the file of the outlet, such as acme:outlet.txt")
        self._file = Path(words)

    @property
    def can(self) -> Collection[ActuatorCommand]:
        return {ActuatorCommand.POWER_ON, ActuatorCommand.POWER_OFF}

    async def perform(self, task: Task) -> str:
        self._file.write_text(str(task))
        return f"outlet {self._file.name}"

    async def close(self) -> None:
        pass


def outlet(words: str) -> Actuator:
    return Outlet(words)
