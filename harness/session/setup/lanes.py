"""Builds the lanes of a run from the options of a command, and collects their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from harness.links.mqtt.brokers.address import (
    BrokerError,
    User,
    parse_url,
)
from harness.model.loading.profiles import load_profile
from harness.model.loading.units import (
    load_units,
    numbered_units,
)
from harness.model.problems import ProfileError
from harness.model.profile import Profile
from harness.options import SIMULATED_PORT
from harness.session.result import Judgement, RunResult
from harness.session.run.judging import result_of_trace
from harness.session.run.plan import (
    PlannedCheck,
    plan,
)
from harness.session.run.runner import (
    LaneSpec,
    Runner,
)
from harness.session.setup.bench_files import boards_of
from harness.session.setup.limits import allow_sockets
from harness.session.setup.profile_overrides import logging_in
from harness.session.setup.targets import DeviceConnection, labgrid_target_of, target_of
from harness.session.target import OWN_BROKERS, Target, UsageError, needs_met
from harness.trace.lines import read

SOCKETS_OF_A_LANE = 24  # at most: both ends of each connection, listeners, multicast, the trace

_REACHED_BY = ("listen", "mqtt", "coap", "mdns", "serial")
_BENCH_EQUIPMENT = ("power", "hands", "labgrid", "target")
_SAID_BY_THE_BENCH = (
    *("profile", "unit", "simulate", "fault", "ca", "interface"),
    *_REACHED_BY,
    *_BENCH_EQUIPMENT,
)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of ``harness check`` and of pytest; the fields have the names of the options."""

    profile: Sequence[str] = ()
    bench: str | None = None
    simulate: bool = False
    fault: Sequence[str] = ()
    count: int = 1
    virtual_time: bool = False
    real_time: bool = False
    broker: str = "embedded"
    listen: str | None = None
    mqtt: str | None = None
    ca: str | None = None
    coap: str | None = None
    mdns: str | None = None
    serial: str | None = None
    interface: str | None = None
    power: str | None = None
    hands: str | None = None
    labgrid: str | None = None
    target: str | None = None
    unit: str | None = None
    select: Sequence[str] = ()
    seed: int = 1
    report: str | None = None


class Progress(Protocol):
    """Gets the progress of a run."""

    def check_started(self, lane: str, check: str) -> None:
        """A lane has started a check."""

    def result(self, lane: str, judgement: Judgement) -> None:
        """A lane has a verdict."""


class Setup:
    """The lanes of a run. Raises UsageError for options that make no sense together."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.results: list[RunResult] = []
        self.ran: list[str] = []  # the lanes of those results
        self.problems: dict[str, str] = {}
        self._logs_in = _user_of(options.broker) is not None
        self._lanes: dict[Path, list[str]] = {}
        self._specs: dict[str, LaneSpec] = {}
        self._plans: dict[tuple[str, frozenset[str]], tuple[PlannedCheck, ...]] = {}
        if options.bench:
            self._add_bench(Path(options.bench))
        else:
            target = _target(options)
            for name in options.profile:
                self._add(Path(name), target)
        if options.virtual_time and options.real_time:
            raise UsageError("--virtual-time and --real-time: choose one")
        if options.virtual_time and not self.in_virtual_time:
            raise UsageError(
                "--virtual-time needs simulated devices and the embedded broker: other clocks do not jump"
            )
        allow_sockets(SOCKETS_OF_A_LANE * len(self._specs))
        self._place_traces()

    @property
    def in_virtual_time(self) -> bool:
        """Whether the clock jumps over waits: if everything is on our own loop, unless asked not to."""
        simulated = all(spec.target.simulate for spec in self._specs.values())
        return simulated and self.options.broker == "embedded" and not self.options.real_time

    def lanes_of(self, path: Path) -> list[str]:
        """The lanes of the profile or the bench in that file, in order."""
        return self._lanes[path.resolve()]

    def plan_of(self, lane: str) -> tuple[PlannedCheck, ...]:
        """The plan of a lane."""
        spec = self._specs[lane]
        met = frozenset(needs_met(spec.profile, spec.target))
        # A plan does not depend on the unit, so all units of a profile share one.
        if (known := self._plans.get((spec.profile_path, met))) is None:
            known = self._plans[spec.profile_path, met] = plan(spec.profile, met, self.options.select)
        return known

    def runner(self, progress: Progress | None = None) -> Runner:
        """A runner for all lanes; the report's folders are made."""
        if progress is None:
            return Runner(list(self._specs.values()), virtual=self.in_virtual_time)
        return Runner(
            list(self._specs.values()),
            virtual=self.in_virtual_time,
            on_started=progress.check_started,
            on_result=progress.result,
        )

    def finish(self, runner: Runner) -> None:
        """Close the lanes and keep their results, by the lanes' names."""
        self.problems = runner.problems
        ended = runner.close()
        self.ran, self.results = list(ended), list(ended.values())

    def take_traces(self) -> None:
        """Take the results from the traces that other processes have written."""
        for name, spec in self._specs.items():
            if spec.trace and spec.trace.exists():
                self.ran.append(name)
                self.results.append(result_of_trace(list(read(spec.trace)), spec.trace))

    def _add_bench(self, path: Path) -> None:
        """A lane for each board, named as the board in the file."""
        options = self.options
        for name in _SAID_BY_THE_BENCH:
            if getattr(options, name):
                raise UsageError(f"--bench and --{name}: the bench file sets this for each board")
        if options.count != 1:
            raise UsageError("--bench and --count: name each board in the bench file")
        boards = boards_of(path, broker=options.broker)
        for board in boards:
            self._add_lane(board.name, board.profile, board.path, board.target)
        self._lanes[path.resolve()] = [board.name for board in boards]

    def _add_lane(self, name: str, profile: Profile, path: Path, target: Target) -> None:
        if self._logs_in and target.simulate:
            profile = logging_in(profile)
        self._specs[name] = LaneSpec(name, profile, str(path), target, self.options.seed, len(self._specs))

    def _add(self, path: Path, target: Target) -> None:
        try:
            profile = load_profile(path, unit=self.options.unit)
            further = load_units(path, numbered_units(profile.unit, self.options.count - 1))
        except ProfileError as problem:
            raise UsageError(str(problem)) from None
        if self.options.serial and profile.bindings.serial is None:
            raise UsageError(f"--serial: {path} lacks bindings.serial, which describes the console")
        if not target.simulate and not needs_met(profile, target):
            raise UsageError(f"{target.description} reaches nothing that {path} has bindings for")
        names = []
        for one in [profile, *further]:
            name = self._unused(profile.profile)
            self._add_lane(name, one, path, target)
            names.append(name)
        self._lanes[path.resolve()] = names

    def _unused(self, name: str) -> str:
        candidate, number = name, 2
        while candidate in self._specs:
            candidate, number = f"{name}-{number}", number + 1
        return candidate

    def _place_traces(self) -> None:
        """Place the trace of each lane in the report's folder, with several lanes in a subfolder for each."""
        if not self.options.report:
            return
        root = Path(self.options.report)
        for name, spec in self._specs.items():
            folder = root if len(self._specs) == 1 else root / name
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise UsageError(
                    f"--report {root}: cannot create the folder ({problem.strerror}); choose another one"
                ) from None
            self._specs[name] = replace(spec, trace=folder / "trace.jsonl")


def _target(options: Options) -> Target:
    """How the device is reached, by the options. Raises UsageError for contradictions."""
    if options.simulate:
        _check_simulated(options)
    else:
        _check_real(options)
    if options.count < 1:
        raise UsageError(f"--count {options.count}: must be at least 1")
    return target_of(
        DeviceConnection.of(options),
        broker=options.broker,
        faults=options.fault,
        called=lambda option: f"--{option}",
    )


def _check_simulated(options: Options) -> None:
    """Raise UsageError for options that make no sense for a simulated device."""
    if options.serial not in (None, SIMULATED_PORT):
        raise UsageError(
            f"--serial {options.serial}: a simulated device has a console of its own; leave the port out"
        )
    for name in _REACHED_BY[:-1]:  # a serial line is the simulated device's own
        if getattr(options, name):
            raise UsageError(f"--simulate and --{name}: choose a simulated device or a real one")
    for name in _BENCH_EQUIPMENT:
        if getattr(options, name):
            raise UsageError(
                f"--{name} is for real devices; the harness switches and operates a simulated one itself"
            )


def _check_real(options: Options) -> None:
    """Raise UsageError for options that do not say how a real device is reached, or contradict each other."""
    if options.serial == SIMULATED_PORT:
        raise UsageError("--serial: name the port, such as /dev/ttyUSB0, or add --simulate")
    if options.target and options.labgrid is None:
        raise UsageError("--target names a target of labgrid; add --labgrid FILE")
    labgrid = labgrid_target_of(DeviceConnection.of(options))
    is_reached = labgrid is not None and labgrid.serial
    if not is_reached and not any(getattr(options, name) for name in _REACHED_BY):
        raise UsageError(
            "which device? --simulate for a simulated one; for a real one --listen HOST:PORT or "
            "--mqtt URL, --coap URL, --mdns NAME, --serial PORT, --labgrid FILE with a SerialDriver"
        )
    for name, is_used in (("fault", options.fault), ("count", options.count != 1)):
        if is_used:
            raise UsageError(f"--{name} is for simulated devices; add --simulate")
    if len(options.profile) > 1:
        raise UsageError("a real device has one profile: name one")
    if options.listen and options.mqtt:
        raise UsageError("--listen and --mqtt: the device connects either to the tap or to that broker")


def _user_of(broker: str) -> User | None:
    """The user that the harness logs in as. Raises UsageError for a broker that is not a URL."""
    if broker in OWN_BROKERS:
        return None
    try:
        return parse_url(broker).user
    except BrokerError as problem:
        raise UsageError(str(problem)) from None
