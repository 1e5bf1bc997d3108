"""What the console shows in the whole run: crashes, unexpected restarts, secrets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.checks.case import Case, failed, first, inconclusive, not_applicable, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.support.behaviour.commands import had_time
from harness.checks.support.secrets import forms_of
from harness.checks.support.serial.board import (
    UNREADABLE,
    binding_of,
    boots,
    is_start,
    is_understood,
    line_of,
    printed,
    sign_of_restart,
    starts_board,
)
from harness.model.bindings.serial import CrashKind
from harness.model.bindings.serial_log import (
    crash_in,
    knows_boot,
)
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, BenchFeature, Level
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    Act,
    CheckEnded,
    CheckStarted,
    Direction,
    Event,
    PortChange,
    SerialData,
    SerialPort,
    Stimulus,
)

SHOWN = 8  # events that a pass cites
LAST_WORDS = 5  # lines before a crash that are kept as evidence
PREVIEW = 120  # characters of a line

SURVIVED = (CrashKind.WATCHDOG, CrashKind.MEMORY)
"""The firmware may continue after these: only one task hung or got no memory."""

UPHEAVALS = (
    *(
        Act.START,
        Act.STOP,
        Act.KILL,
        Act.REBOOT,
        Act.FACTORY_RESET,
        Act.NETWORK_OFF,
        Act.NETWORK_ON,
        Act.CONSOLE,
    ),
    *(Act.DROP_LINK, Act.REFUSE, Act.ACCEPT, Act.WITHHOLD, Act.RELEASE, Act.RESTART_BROKER),
)
"""After these, a device may reconnect without having crashed."""


@requirement(
    "SERIAL-11",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.13-1, TC 5.13-1-2; profile: bindings.serial.patterns.crash",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device does not crash, whatever is done to it in a run",
    stimulus="None: every line that the board prints in the run is judged",
    expect="No line reports a panic, a watchdog, an assertion, a fault, a full stack or heap",
    ics="SERIAL.LOG",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A parser that trusts a length, a pointer used after its connection was closed, a stack that "
    "is too small for the longest message.",
)
class NoCrash(Check):
    """Passive. The message names the check that was running; the last lines before the crash are evidence."""

    def judge(self, case: Case) -> Outcome:
        binding = binding_of(case.profile)
        lines = printed(case.window)
        for index, event in enumerate(lines):
            text = line_of(event) or ""
            crash = crash_in(binding, text)
            if crash is None:
                continue
            before = lines[max(0, index - LAST_WORDS) : index]
            last = f'; the last line before it: "{_shown(line_of(before[-1]))}"' if before else ""
            return failed(
                f'{crash.kind} {_during(case.window, event)}: "{_shown(text)}"{last}',
                event,
                before,
            )
        if not lines:
            return inconclusive("the board printed no line")
        if (blind := not_watched(case)) is not None:
            return blind
        return passed(f"none of {len(lines)} lines reports a crash", lines[-SHOWN:])


def not_watched(case: Case) -> Outcome | None:
    """Inconclusive, if the line was gone or unreadable for some time; None if all of it was seen."""
    if not is_understood(case):
        return inconclusive(UNREADABLE)
    boot, started, gone = case.profile.behaviour.boot, -math.inf, None
    for event in case.window:
        body = event.body
        if isinstance(body, Stimulus) and starts_board(body):
            started = event.time
        if isinstance(body, SerialPort) and body.change is PortChange.VANISHED:
            # The port of a USB board disappears while the board starts.
            gone = None if event.time - started <= boot else event
        if isinstance(body, SerialPort) and body.change is PortChange.RETURNED and gone is not None:
            return inconclusive(f"the serial port was gone for {event.time - gone.time:.3g} s", gone, event)
    return inconclusive("the serial port disappeared and did not return", gone) if gone is not None else None


def _during(events: Sequence[Event], at: Event) -> str:
    """The check that was running, or had just ended, as text."""
    running, ended = None, None
    for event in events:
        if event.line >= at.line:
            break
        if isinstance(event.body, CheckStarted):
            running = _name(event.body)
        elif isinstance(event.body, CheckEnded):
            running, ended = None, _name(event.body)
    if running is not None:
        return f"during {running}"
    return f"after {ended}" if ended is not None else "before the first check"


def _name(body: CheckStarted | CheckEnded) -> str:
    return Subject(body.subject, body.transport).of(body.check)


def _shown(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= PREVIEW else text[: PREVIEW - 1] + "…"


@requirement(
    "SERIAL-12",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.9-1, TC 5.9-1-2; profile: bindings.serial.patterns.boot",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device never restarts by itself",
    stimulus="None: every line that the board prints in the run is judged",
    expect="Each start follows a loss of power, or a command to reboot, to reset, or to join the network; a "
    "reported crash followed by a new connection to the network counts as a start, too",
    ics="SERIAL.LOG",
    needs=(BenchFeature.SERIAL,),
    usual_cause="A watchdog that fires when the network is gone, a supply that breaks down when the relay "
    "switches, an update check that restarts on failure.",
)
class NoUnexpectedStart(Check):
    """Passive. Each start needs an act of the harness since the start before.

    If the profile does not know what a start looks like, none can be seen, and the check does not pass. After
    a crash, the check waits for the restart.
    """

    def max_extension(self, profile: Profile) -> float:
        return profile.behaviour.boot

    def max_extension_imposed_by(self, profile: Profile) -> str:
        return "profile: behaviour.boot"

    def judge(self, case: Case) -> Outcome:
        starts = boots(case, case.window)
        last_start, explained = 0, []
        for start in starts:
            act = _reason_for(case.window, last_start, start)
            if act is None:
                where = _during(case.window, start)
                return failed(f'the board restarted by itself {where}: "{_shown(line_of(start))}"', start)
            explained += [act, start]
            last_start = start.line
        crash, back = _crash_and_start(case)
        if crash is not None and back is not None:
            return failed(f'the board crashed and restarted: "{_shown(line_of(crash))}"', crash, back)
        if crash is not None and not had_time(case, crash.time, case.profile.behaviour.boot):
            return inconclusive("the board crashed, and the run ended before it could restart", crash)
        lines = printed(case.window)
        if not lines:
            return inconclusive("the board printed no line")
        if (blind := not_watched(case)) is not None:
            return blind
        if not explained and (silent := _starts_in_silence(case)) is not None:
            return silent
        if not explained:
            return passed(f"no restart of the board in {len(lines)} lines", lines[-SHOWN:])
        return passed(f"{len(starts)} starts of the board, each one expected", explained[-2 * SHOWN :])


def _crash_and_start(case: Case) -> tuple[Event | None, Event | None]:
    """A reported crash, and the event that shows a restart within the boot time after it.

    If no crash was followed by a restart, the newest crash and None. A new connection to the network counts
    as a restart, unless the harness did something to the power or the network since the crash.
    """
    binding, crash = binding_of(case.profile), None
    for event in case.window:
        found = crash_in(binding, line) if (line := line_of(event)) is not None else None
        if found is not None and found.kind not in SURVIVED:
            crash = event
        elif crash is None:
            continue
        elif isinstance(event.body, Stimulus) and event.body.act in UPHEAVALS:
            crash = None
        elif event.time - crash.time <= case.profile.behaviour.boot and is_start(binding, event):
            return crash, event
    return crash, None


def _starts_in_silence(case: Case) -> Outcome | None:
    """The outcome if the board would not print a start that the profile can recognise; None if it would."""
    binding = binding_of(case.profile)
    act = first(case.stimuli(), lambda seen: starts_board(seen.value))
    if act is not None and sign_of_restart(case, case.window, act.line) is not None:
        message = (
            "the board started, and printed no line that the profile knows (bindings.serial.patterns.boot)"
        )
        return inconclusive(message, act) if knows_boot(binding) else not_applicable(message)
    return (
        None
        if knows_boot(binding)
        else not_applicable(
            "the profile does not say what a start looks like (bindings.serial.patterns.boot)"
        )
    )


def _reason_for(events: Sequence[Event], after: int, start: Event) -> Event | None:
    """The act that made the board start; before the first check, the start of the run."""
    reason, is_before_checks = None, True
    for event in events:
        if event.line >= start.line:
            break
        if isinstance(event.body, CheckStarted):
            is_before_checks = False
        if event.line > after and isinstance(event.body, Stimulus) and starts_board(event.body):
            reason = event
    return reason or (events[0] if is_before_checks and after == 0 else None)


@requirement(
    "SERIAL-13",
    area=Area.SERIAL,
    standard="ETSI EN 303 645 V2.1.1 / TS 103 701 V1.1.1",
    clause="5.4-1, 5.6-4, TC 5.6-4-2; profile: security.secrets",
    level=Level.MUST,
    basis=Basis.DERIVED,
    purpose="ensure that the device never prints its secrets on its console",
    stimulus="None: every byte that the board sends over the serial line in the run is judged",
    expect="No declared secret in it, neither as text nor in base64, hexadecimal or percent encoding",
    ics="SERIAL.LINE & SEC.CSP",
    needs=(BenchFeature.SERIAL,),
    usual_cause="The log level of development is still on, and the WiFi driver prints its credentials.",
)
class NoSecretsPrinted(Check):
    """Passive. Anybody who opens the case can read the console."""

    def judge(self, case: Case) -> Outcome:
        return search(case, case.window, "was printed on the console")


def search(case: Case, events: Sequence[Event], what: str) -> Outcome:
    """Look for the declared secrets in the bytes from the board; ``what`` ends the failure message."""
    sent = [event for event in events if _from_board(event)]
    if not sent:
        return inconclusive("the board sent nothing over the serial line")
    stream, starts = bytearray(), list[int]()
    for event in sent:
        assert isinstance(event.body, SerialData)
        starts.append(len(stream))
        stream += event.body.raw
    lowered = _without_echoes(case, bytes(stream)).lower()
    for secret in case.profile.security.secrets:
        for form in forms_of(secret):
            at = lowered.find(form.lower())
            if at >= 0:
                index = max(i for i, start in enumerate(starts) if start <= at)
                return failed(f"a declared secret {what}", sent[index])
    if (blind := not_watched(case)) is not None:
        return blind
    return passed(f"no declared secret in {len(stream)} bytes from the board", sent[-SHOWN:])


def _without_echoes(case: Case, stream: bytes) -> bytes:
    """The bytes from the board, with echoes of our own input blanked out."""
    for event in case.window:
        body = event.body
        if isinstance(body, SerialData) and body.direction is Direction.TO_DUT and body.raw.strip():
            typed = body.raw.strip()
            if any(
                form.lower() in typed.lower() for s in case.profile.security.secrets for form in forms_of(s)
            ):
                stream = stream.replace(typed, bytes(len(typed)))
    return stream


def _from_board(event: Event) -> bool:
    body = event.body
    return isinstance(body, SerialData) and body.direction is Direction.FROM_DUT
