"""What simulated boards print when they start and crash, as their chips do."""

from __future__ import annotations

from harness.model.bindings.serial import (
    ChipFamily,
    CrashKind,
    SerialBinding,
)
from harness.simulate.firmware.example_text import example_of

_BOOTS = {
    ChipFamily.ESP_IDF: (
        "ESP-ROM:esp32c3-api1-20210207",
        "rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)",
        "I (24) boot: ESP-IDF v5.2.1 2nd stage bootloader",
        "I (311) cpu_start: Starting scheduler.",
    ),
    ChipFamily.ESP8266: (" ets Jan  8 2013,rst cause:1, boot mode:(3,6)",),
    ChipFamily.ZEPHYR: ("*** Booting Zephyr OS build v3.6.0 ***",),
    ChipFamily.REALTEK: ("ROM:[V0.1]", "#calibration_ok:[2:19:11]"),
    ChipFamily.BEKEN: ("prvHeapInit-start addr:0x412790, size:121968",),
    ChipFamily.LINUX: ("U-Boot 2023.04", "Booting Linux on physical CPU 0x0"),
}

_CRASHES = {
    (ChipFamily.ESP_IDF, CrashKind.PANIC): (
        "Guru Meditation Error: Core  0 panic'ed (Unhandled debug exception). Exception was unhandled.",
        "Core  0 register dump:",
        "PC      : 0x400d1c2f  PS      : 0x00060e30  A0      : 0x800d2b14  A1      : 0x3ffb5c70",
        "Backtrace: 0x400d1c2c:0x3ffb5c70 0x400d2b11:0x3ffb5cb0",
        "Rebooting...",
    ),
    (ChipFamily.ESP_IDF, CrashKind.WATCHDOG): (
        "E (81234) task_wdt: Task watchdog got triggered. The following tasks did not reset it in time:",
        "E (81234) task_wdt:  - mqtt_task (CPU 0)",
        "Rebooting...",
    ),
    (ChipFamily.ESP_IDF, CrashKind.ASSERTION): (
        "assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))",
        "Rebooting...",
    ),
    (ChipFamily.ESP_IDF, CrashKind.BROWN_OUT): ("Brownout detector was triggered",),
    (ChipFamily.ESP_IDF, CrashKind.HARD_FAULT): (
        "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.",
        "Rebooting...",
    ),
    (ChipFamily.ESP_IDF, CrashKind.STACK): (
        "***ERROR*** A stack overflow in task mqtt_task has been detected.",
    ),
    (ChipFamily.ESP_IDF, CrashKind.MEMORY): (
        "CORRUPT HEAP: Bad head at 0x3ffb8b2c. Expected 0xabba1234 got 0x00000000",
        "Rebooting...",
    ),
    (ChipFamily.ZEPHYR, CrashKind.PANIC): (
        "E: >>> ZEPHYR FATAL ERROR 0: CPU exception on CPU 0",
        "E: Current thread: 0x20000a48 (main)",
        "E: Halting system",
    ),
    (ChipFamily.ZEPHYR, CrashKind.HARD_FAULT): (
        "E: ***** HARD FAULT *****",
        "E:   Fault escalation (see below)",
    ),
    (ChipFamily.STM32, CrashKind.HARD_FAULT): ("HardFault_Handler", "PC: 0x0800a1c4 LR: 0x08009f31"),
    (ChipFamily.FREERTOS, CrashKind.STACK): ("stack overflow in task mqtt",),
    (ChipFamily.LINUX, CrashKind.PANIC): (
        "Kernel panic - not syncing: Fatal exception in interrupt",
        "---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---",
    ),
}


def boot_lines(binding: SerialBinding) -> list[str]:
    """The lines that the board prints while it starts."""
    known = [line for family in binding.chips for line in _BOOTS.get(family, ())]
    return known + [text for pattern in binding.patterns.boot if (text := example_of(pattern))]


def ready_lines(binding: SerialBinding) -> list[str]:
    """The lines that it prints when it accepts commands."""
    return [text for pattern in binding.patterns.ready if (text := example_of(pattern))]


def crash_lines(binding: SerialBinding, kind: CrashKind) -> list[str]:
    """The lines that it prints when it crashes: as in the profile, or as its chip does, or as an ESP32.

    If no lines for that kind of crash are known for the chip, those of another kind are printed.
    """
    for pattern in binding.patterns.crash.get(kind, ()):
        if (text := example_of(pattern)) is not None:
            return [text]
    for family in binding.chips or (ChipFamily.ESP_IDF,):
        of_family = {known: lines for (each, known), lines in _CRASHES.items() if each is family}
        if of_family:
            return list(of_family.get(kind) or next(iter(of_family.values())))
    return list(_CRASHES[ChipFamily.ESP_IDF, CrashKind.PANIC])
