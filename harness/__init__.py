"""A test harness for smart-home devices over MQTT, CoAP, mDNS and their serial line.

What is listed in ``__all__`` may be imported from here, and stays as ``docs/stability.md`` says; the names of
modules below this one may change. Importing the package is cheap: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import judge_trace as judge_trace
    from harness.api import read_trace as read_trace
    from harness.api import run as run
    from harness.checks.bench import Bench as Bench
    from harness.checks.bench import StimulusError as StimulusError
    from harness.checks.case import Case as Case
    from harness.checks.case import Decoded as Decoded
    from harness.checks.case import failed as failed
    from harness.checks.case import inconclusive as inconclusive
    from harness.checks.case import passed as passed
    from harness.checks.catalogue import Check as Check
    from harness.checks.catalogue import all_checks as all_checks
    from harness.checks.catalogue import check_named as check_named
    from harness.checks.catalogue import requirement as requirement
    from harness.checks.support.compat.catalogue import GroupCase as GroupCase
    from harness.checks.support.compat.catalogue import GroupCheck as GroupCheck
    from harness.checks.support.compat.catalogue import group_requirement as group_requirement
    from harness.dut import Dut as Dut
    from harness.errors import HarnessError as HarnessError
    from harness.links.actuators import Actuator as Actuator
    from harness.links.actuators import ActuatorCommand as ActuatorCommand
    from harness.links.actuators import ActuatorError as ActuatorError
    from harness.links.actuators import Task as Task
    from harness.model.loading.profiles import load_profile as load_profile
    from harness.model.loading.profiles import profile_from_json as profile_from_json
    from harness.model.loading.profiles import profile_to_json as profile_to_json
    from harness.model.problems import ProfileError as ProfileError
    from harness.model.problems import ProfileProblem as ProfileProblem
    from harness.model.profile import Profile as Profile
    from harness.model.requirement import Area as Area
    from harness.model.requirement import Basis as Basis
    from harness.model.requirement import BenchFeature as BenchFeature
    from harness.model.requirement import Level as Level
    from harness.model.requirement import Requirement as Requirement
    from harness.model.verdict import ExitStatus as ExitStatus
    from harness.model.verdict import Outcome as Outcome
    from harness.model.verdict import Result as Result
    from harness.model.verdict import Subject as Subject
    from harness.model.verdict import Verdict as Verdict
    from harness.registry import ExtensionError as ExtensionError
    from harness.report.run.write import write_report as write_report
    from harness.session.result import Judgement as Judgement
    from harness.session.result import RunResult as RunResult
    from harness.session.result import run_status as run_status
    from harness.session.setup.lanes import Options as Options
    from harness.session.target import UsageError as UsageError
    from harness.simulate.device import SimulatedDevice as SimulatedDevice
    from harness.simulate.faults import Fault as Fault
    from harness.simulate.faults import all_faults as all_faults
    from harness.simulate.faults import fault as fault
    from harness.simulate.faults import fault_named as fault_named
    from harness.trace.events import Act as Act
    from harness.trace.events import Direction as Direction
    from harness.trace.events import Event as Event
    from harness.trace.lines import TraceError as TraceError
    from harness.trace.trace import Trace as Trace

__version__ = "0.1.0"

# The module that each public name comes from, in the order and with the headings of docs/reference.md.
PUBLIC: dict[str, dict[str, str]] = {
    "Profiles": {
        "load_profile": "harness.model.loading.profiles",
        "profile_from_json": "harness.model.loading.profiles",
        "profile_to_json": "harness.model.loading.profiles",
        "Profile": "harness.model.profile",
        "ProfileProblem": "harness.model.problems",
        "ProfileError": "harness.model.problems",
    },
    "Runs and verdicts": {
        "run": "harness.api",
        "judge_trace": "harness.api",
        "Options": "harness.session.setup.lanes",
        "RunResult": "harness.session.result",
        "Judgement": "harness.session.result",
        "run_status": "harness.session.result",
        "Verdict": "harness.model.verdict",
        "Outcome": "harness.model.verdict",
        "Subject": "harness.model.verdict",
        "Result": "harness.model.verdict",
        "ExitStatus": "harness.model.verdict",
        "write_report": "harness.report.run.write",
        "UsageError": "harness.session.target",
        "Dut": "harness.dut",
    },
    "Traces": {
        "read_trace": "harness.api",
        "Trace": "harness.trace.trace",
        "Event": "harness.trace.events",
        "Act": "harness.trace.events",
        "Direction": "harness.trace.events",
        "TraceError": "harness.trace.lines",
    },
    "Checks": {
        "requirement": "harness.checks.catalogue",
        "Check": "harness.checks.catalogue",
        "all_checks": "harness.checks.catalogue",
        "check_named": "harness.checks.catalogue",
        "Bench": "harness.checks.bench",
        "StimulusError": "harness.checks.bench",
        "Case": "harness.checks.case",
        "Decoded": "harness.checks.case",
        "passed": "harness.checks.case",
        "failed": "harness.checks.case",
        "inconclusive": "harness.checks.case",
        "Area": "harness.model.requirement",
        "Basis": "harness.model.requirement",
        "BenchFeature": "harness.model.requirement",
        "Level": "harness.model.requirement",
        "Requirement": "harness.model.requirement",
        "group_requirement": "harness.checks.support.compat.catalogue",
        "GroupCheck": "harness.checks.support.compat.catalogue",
        "GroupCase": "harness.checks.support.compat.catalogue",
    },
    "Faults": {
        "fault": "harness.simulate.faults",
        "Fault": "harness.simulate.faults",
        "all_faults": "harness.simulate.faults",
        "fault_named": "harness.simulate.faults",
        "SimulatedDevice": "harness.simulate.device",
    },
    "Actuators": {
        "Actuator": "harness.links.actuators",
        "ActuatorCommand": "harness.links.actuators",
        "ActuatorError": "harness.links.actuators",
        "Task": "harness.links.actuators",
    },
    "Errors and extensions": {
        "HarnessError": "harness.errors",
        "ExtensionError": "harness.registry",
    },
}
_MODULES = {name: module for group in PUBLIC.values() for name, module in group.items()}

__all__ = [
    "Act",
    "Actuator",
    "ActuatorCommand",
    "ActuatorError",
    "Area",
    "Basis",
    "Bench",
    "BenchFeature",
    "Case",
    "Check",
    "Decoded",
    "Direction",
    "Dut",
    "Event",
    "ExitStatus",
    "ExtensionError",
    "Fault",
    "GroupCase",
    "GroupCheck",
    "HarnessError",
    "Judgement",
    "Level",
    "Options",
    "Outcome",
    "Profile",
    "ProfileError",
    "ProfileProblem",
    "Requirement",
    "Result",
    "RunResult",
    "SimulatedDevice",
    "StimulusError",
    "Subject",
    "Task",
    "Trace",
    "TraceError",
    "UsageError",
    "Verdict",
    "__version__",
    "all_checks",
    "all_faults",
    "check_named",
    "failed",
    "fault",
    "fault_named",
    "group_requirement",
    "inconclusive",
    "judge_trace",
    "load_profile",
    "passed",
    "profile_from_json",
    "profile_to_json",
    "read_trace",
    "requirement",
    "run",
    "run_status",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
