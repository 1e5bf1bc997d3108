"""What boards print when they crash is recognised, and what they print otherwise is not."""

from __future__ import annotations

import pytest

from harness.model.bindings.serial import (
    ChipFamily,
    CrashKind,
    SerialBinding,
)
from harness.model.bindings.serial_log import (
    crash_in,
    tells_boot,
    tells_ready,
)

ANY = SerialBinding.model_validate({"text": {"prompt": "esp> "}})

CRASHES = [
    ("Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.", "hard-fault"),
    ("Guru Meditation Error: Core  1 panic'ed (Interrupt wdt timeout on CPU1).", "watchdog"),
    ("Guru Meditation Error: Core  0 panic'ed (Unhandled debug exception).", "panic"),
    ("E (10304) task_wdt: Task watchdog got triggered. The following tasks did not reset it", "watchdog"),
    ("rst:0x8 (TG1WDT_SYS_RST),boot:0x13 (SPI_FAST_FLASH_BOOT)", "watchdog"),
    ("rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", "brown-out"),
    ("Brownout detector was triggered", "brown-out"),
    ("assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))", "assertion"),
    ("abort() was called at PC 0x400d1d3c on core 0", "panic"),
    ("ESP_ERROR_CHECK failed: esp_err_t 0x101 (ESP_ERR_NO_MEM) at 0x400d1fdf", "assertion"),
    ("***ERROR*** A stack overflow in task main has been detected.", "stack"),
    ("CORRUPT HEAP: Bad head at 0x3ffb8b2c. Expected 0xabba1234 got 0x3ffb8b30", "memory"),
    ("Fatal exception 28(LoadProhibitedCause):", "panic"),
    ("Exception (3):", "panic"),
    ("Soft WDT reset", "watchdog"),
    (" ets Jan  8 2013,rst cause:4, boot mode:(3,6)", "watchdog"),
    ("E: ***** HARD FAULT *****", "hard-fault"),
    ("[00:00:05.124,000] <err> os: >>> ZEPHYR FATAL ERROR 2: Stack overflow on CPU 0", "stack"),
    ("E: >>> ZEPHYR FATAL ERROR 4: Kernel panic on CPU 0", "panic"),
    ("ASSERTION FAIL [k_is_in_isr()] @ WEST_TOPDIR/zephyr/kernel/sched.c:1234", "assertion"),
    ("HardFault_Handler", "hard-fault"),
    ("[Hard fault] PC=0x08001234", "hard-fault"),
    ("Reset cause: IWDG", "watchdog"),
    ("stack overflow in task net", "stack"),
    ("<error> hardfault: HARD FAULT at 0x00012345", "hard-fault"),
    ("<error> app: Fatal error", "panic"),
    ("++ MbedOS Fault Handler ++", "hard-fault"),
    ("[    5.123456] Kernel panic - not syncing: VFS: Unable to mount root fs", "panic"),
    ("[  102.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [kworker/0:1:12]", "watchdog"),
    ("[   77.0] Out of memory: Killed process 412 (gateway)", "memory"),
]

ORDINARY = [
    "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
    "I (312) app: panic button pressed",
    "I (520) wdt: watchdog started, 10 s",
    "I (99) power: brownout level set to 2.7 V",
    "no assertion failed, all self tests passed",
    "D (1) heap: malloc failed; will retry",
    "fault code: none",
    "stack: 1024 bytes free",
    "W (5) wifi: exception list is empty",
    "[    0.000000] Booting Linux on physical CPU 0x0",
    "Reset cause: power-on",
    "OTA: image has no error",
    "",
]


@pytest.mark.parametrize(("line", "kind"), CRASHES)
def test_a_crash_is_recognised(line: str, kind: str) -> None:
    crash = crash_in(ANY, line)
    assert crash is not None
    assert crash.kind == kind


@pytest.mark.parametrize("line", ORDINARY)
def test_an_ordinary_line_is_no_crash(line: str) -> None:
    assert crash_in(ANY, line) is None


def test_the_prompt_does_not_hide_a_crash() -> None:
    assert crash_in(ANY, "esp> assert failed: main app.c:12 (x)") is not None


def test_only_the_families_of_the_board_count_where_they_are_named() -> None:
    linux = SerialBinding.model_validate({"chips": ["linux"], "text": {}})
    assert crash_in(linux, "Guru Meditation Error: Core  0 panic'ed (LoadProhibited)") is None
    assert crash_in(linux, "Kernel panic - not syncing: x") is not None


def test_the_profile_has_the_first_and_the_last_word() -> None:
    own = SerialBinding.model_validate(
        {
            "text": {},
            "patterns": {
                "crash": {"assertion": ["^!! halted"]},
                "harmless": ["Brownout detector was triggered \\(test\\)"],
                "boot": ["^hello"],
                "ready": ["^go$"],
            },
        }
    )
    crash = crash_in(own, "!! halted at 12")
    assert crash is not None
    assert (crash.kind, crash.family) == (CrashKind.ASSERTION, None)
    assert crash_in(own, "Brownout detector was triggered (test)") is None
    assert crash_in(own, "Brownout detector was triggered") is not None
    assert tells_boot(own, "hello world")
    assert tells_ready(own, "go")
    assert not tells_ready(own, "going")


@pytest.mark.parametrize(
    ("family", "line"),
    [
        (ChipFamily.ESP_IDF, "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"),
        (ChipFamily.ZEPHYR, "*** Booting Zephyr OS build v3.6.0 ***"),
        (ChipFamily.LINUX, "U-Boot SPL 2023.04 (Apr 03 2023 - 14:00:00 +0000)"),
        (ChipFamily.LINUX, "DRAM:  64 MiB"),
        (ChipFamily.ESP8266, " ets Jan  8 2013,rst cause:2, boot mode:(3,6)"),
    ],
)
def test_a_start_is_recognised(family: ChipFamily, line: str) -> None:
    board = SerialBinding.model_validate({"chips": [family], "text": {}})
    assert tells_boot(board, line)
    assert crash_in(board, line) is None
