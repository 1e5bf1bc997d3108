"""What boards print when they start and when they crash, for the common chip families.

Each expression is searched for in a line. They are narrow on purpose: an ordinary log line with the word
"panic" is not a crash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from harness.model.bindings.serial import ChipFamily, CrashKind

if TYPE_CHECKING:
    from harness.model.bindings.serial import SerialBinding


@dataclass(frozen=True, slots=True)
class Crash:
    """A line that shows a crash."""

    kind: CrashKind
    family: ChipFamily | None  # None: the profile's own pattern
    text: str


_PANIC, _WATCHDOG, _ASSERTION = CrashKind.PANIC, CrashKind.WATCHDOG, CrashKind.ASSERTION
_FAULT, _BROWN_OUT, _STACK, _MEMORY = (
    CrashKind.HARD_FAULT,
    CrashKind.BROWN_OUT,
    CrashKind.STACK,
    CrashKind.MEMORY,
)

CRASHES: dict[ChipFamily, tuple[tuple[CrashKind, str], ...]] = {
    ChipFamily.ESP_IDF: (
        (_WATCHDOG, r"Guru Meditation Error: Core\s+\d+ panic'ed \(Interrupt wdt timeout"),
        (_FAULT, r"Guru Meditation Error: Core\s+\d+ panic'ed \((Load|Store|Instr|Illegal|Unaligned|Cache)"),
        (_PANIC, r"Guru Meditation Error"),
        (_WATCHDOG, r"Task watchdog got triggered"),
        (_BROWN_OUT, r"rst:0x\w+ \(\w*BROWN_?OUT\w*\)"),
        (_WATCHDOG, r"rst:0x\w+ \((\w*WDT\w*)\)"),
        (_BROWN_OUT, r"Brownout detector was triggered"),
        (_ASSERTION, r"^assert failed: "),
        (_ASSERTION, r"ESP_ERROR_CHECK failed: "),
        (_PANIC, r"^abort\(\) was called at PC"),
        (_STACK, r"\*\*\*ERROR\*\*\* A stack overflow in task"),
        (_STACK, r"Stack (canary watchpoint triggered|smashing protect failure)"),
        (_MEMORY, r"CORRUPT HEAP: "),
    ),
    ChipFamily.ESP8266: (
        (_PANIC, r"^Fatal exception(?: \(?\d+\)?)?"),
        (_PANIC, r"^Exception \(\d+\):"),
        (_WATCHDOG, r"^(Soft WDT reset|wdt reset)$"),
        (_WATCHDOG, r"ets \w{3} +\d+ +\d+.*rst cause:\s?4"),
        (_ASSERTION, r"^Panic \S+:\d+ \S+"),
        (_MEMORY, r"^E:M \d+$"),
    ),
    ChipFamily.ZEPHYR: (
        (_ASSERTION, r"ASSERTION FAIL"),
        (_WATCHDOG, r">>> ZEPHYR FATAL ERROR.*watchdog"),
        (_STACK, r">>> ZEPHYR FATAL ERROR 2: Stack overflow"),
        (_PANIC, r">>> ZEPHYR FATAL ERROR"),
        (_FAULT, r"\*{5} (HARD|BUS|USAGE|MPU|SECURE) FAULT \*{5}"),
    ),
    ChipFamily.FREERTOS: (
        (_STACK, r"(?i)\bstack overflow (in|detected)\b"),
        (_MEMORY, r"(?i)\bmalloc failed\b(?!.*retry)"),
        (_ASSERTION, r"configASSERT|vAssertCalled"),
    ),
    ChipFamily.STM32: (
        (_FAULT, r"(?i)^\W*(in )?\[?(hard|bus|usage|memmanage|mem manage)[ _]?fault(_handler| handler)?\b"),
        (_ASSERTION, r"(?i)wrong parameters value: file \S+ on line \d+"),
        (_WATCHDOG, r"(?i)reset (cause|reason|source)\W+(iwdg|wwdg|independent watchdog|window watchdog)"),
        (_BROWN_OUT, r"(?i)reset (cause|reason|source)\W+(bor\b|brown-?out)"),
    ),
    ChipFamily.NRF: (
        (_FAULT, r"<error> hardfault: "),
        (_PANIC, r"<error> app: (Fatal error|End of error report)"),
        (_ASSERTION, r"<error> app: (ASSERTION FAILED|SOFTDEVICE: ASSERTION FAILED)"),
        (_PANIC, r"<error> app_error_weak: "),
    ),
    ChipFamily.MBED: (
        (_FAULT, r"\+\+ MbedOS Fault Handler \+\+"),
        (_PANIC, r"\+\+ MbedOS Error Info \+\+"),
        (_ASSERTION, r"mbed assertion failed"),
    ),
    ChipFamily.REALTEK: (
        (_FAULT, r"(?i)RTL\w+\[Driver\]: hard fault|Hard ?Fault Error|^\s*Hard Fault Patch"),
        (_ASSERTION, r"^Assert ?failed at|ASSERT: .*\.c:\d+"),
        (_WATCHDOG, r"(?i)\bwdg? reset\b|watchdog barked"),
    ),
    ChipFamily.BEKEN: (
        (_FAULT, r"^(undef|pabt|dabt|Undefined|Prefetch|Data) ?(abort)?\b.*(excp|exception|r0:|abort)"),
        (_WATCHDOG, r"(?i)bk_misc_(update|init)_set_type.*(watchdog|wdt)|\bwdt reboot\b"),
        (_ASSERTION, r"\(.+\) assert(ion)? failed at (function|line):?"),
    ),
    ChipFamily.LINUX: (
        (_PANIC, r"Kernel panic - not syncing"),
        (_PANIC, r"Internal error: Oops"),
        (_FAULT, r"Unable to handle kernel (NULL pointer dereference|paging request)"),
        (_FAULT, r"\bsegfault at [0-9a-f]+ ip\b"),
        (_WATCHDOG, r"watchdog: BUG: soft lockup|NMI watchdog: |rcu: INFO: \S+ (self-)?detected stall"),
        (_ASSERTION, r"kernel BUG at \S+"),
        (_MEMORY, r"Out of memory: Kill(ed)? process"),
    ),
}
"""Narrower expressions of a family come before wider ones: the first match decides the kind."""

BOOTS: dict[ChipFamily, tuple[str, ...]] = {
    ChipFamily.ESP_IDF: (r"^rst:0x\w+ \(\w+\),boot:0x", r"^ESP-ROM:esp32", r"cpu_start: Starting scheduler"),
    ChipFamily.ESP8266: (r"^\s*ets \w{3}\s+\d+ \d{4},rst cause:",),
    ChipFamily.ZEPHYR: (r"^\*{3} Booting (Zephyr OS|nRF Connect SDK|MCUboot)",),
    ChipFamily.NRF: (r"<info> app: (.* )?(started|Start)",),
    ChipFamily.REALTEK: (r"^ROM:\[V\d", r"^#calibration_ok:"),
    ChipFamily.BEKEN: (r"^(V:)?BK7231\S*_\d", r"^prvHeapInit-start addr"),
    ChipFamily.LINUX: (r"Booting Linux on physical CPU", r"^U-Boot SPL 20\d\d\.\d\d", r"^DRAM:\s+\d"),
}


def crash_in(binding: SerialBinding, line: str) -> Crash | None:
    """The crash that a line of the console shows, or None."""
    line = _without_prompt(binding, line)
    if any(_found(expression, line) for expression in binding.patterns.harmless):
        return None
    for kind, expressions in binding.patterns.crash.items():
        if any(_found(expression, line) for expression in expressions):
            return Crash(kind, None, line)
    for family in _families(binding):
        for kind, expression in CRASHES.get(family, ()):
            if _found(expression, line):
                return Crash(kind, family, line)
    return None


def tells_boot(binding: SerialBinding, line: str) -> bool:
    """Whether the line shows a start of the board."""
    line = _without_prompt(binding, line)
    known = [expression for family in _families(binding) for expression in BOOTS.get(family, ())]
    return any(_found(expression, line) for expression in [*binding.patterns.boot, *known])


def knows_boot(binding: SerialBinding) -> bool:
    """Whether a start can be recognised, by patterns or by the chip family."""
    return bool(binding.patterns.boot) or any(family in BOOTS for family in binding.chips)


def tells_ready(binding: SerialBinding, line: str) -> bool:
    """Whether the line shows that the board is ready for commands."""
    line = _without_prompt(binding, line)
    return any(_found(expression, line) for expression in binding.patterns.ready)


def _without_prompt(binding: SerialBinding, line: str) -> str:
    """Log output may follow a prompt on the same line."""
    prompt = binding.text.prompt if binding.text is not None else None
    return line.removeprefix(prompt) if prompt else line


def _families(binding: SerialBinding) -> Sequence[ChipFamily]:
    return binding.chips or tuple(ChipFamily)


def _found(expression: str, line: str) -> bool:
    return _compiled(expression).search(line) is not None


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def shipped() -> Iterator[tuple[ChipFamily, CrashKind, str]]:
    """Every crash expression that is shipped."""
    for family, entries in CRASHES.items():
        for kind, expression in entries:
            yield family, kind, expression
