"""Boards that others wrote, each on a serial port of its own (docs/peers.md tells what was found)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ROOT, command
from tests.peers.labgrid_lab import lab_in
from tests.peers.programs import Program, Verdicts, check, output

PEERS = ROOT / "fixtures" / "peers"
PROFILES = ROOT / "fixtures" / "profiles"
FIRMWARE = Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")
MICROPYTHON = Path(sys.executable).with_name("micropython")

pytestmark = pytest.mark.peer
needs_micropython = pytest.mark.skipif(
    importlib.util.find_spec("micropython_unix") is None or not MICROPYTHON.exists(),
    reason="MicroPython is not installed (pip install -r fixtures/peers/requirements.txt)",
)
needs_labgrid = pytest.mark.skipif(
    importlib.util.find_spec("labgrid") is None or not shutil.which("ser2net"),
    reason="no labgrid or no ser2net (pip install -e '.[lab]'; apt install ser2net)",
)
needs_u_boot = pytest.mark.skipif(
    not FIRMWARE.exists() or not shutil.which("qemu-system-arm") or not shutil.which("fdtput"),
    reason="no U-Boot for QEMU (apt install qemu-system-arm u-boot-qemu device-tree-compiler)",
)


def on_port(folder: Path, name: str, *program: str | Path) -> Program:
    """A board on the port ``folder/name``."""
    return Program([sys.executable, PEERS / "board_on_a_port.py", folder / name, *program])


def lamp(folder: Path, *habits: str) -> list[str | Path]:
    flash = folder / "flash"
    flash.mkdir()
    return [MICROPYTHON, "-i", PEERS / "repl_lamp.py", flash, *habits]


async def emulated_board(folder: Path) -> list[str | Path]:
    """U-Boot that goes to its prompt at once: the device tree of the board says so."""
    tree = folder / "board.dtb"
    machine = ["qemu-system-arm", "-m", "64", "-nographic", "-net", "none", "-monitor", "none"]
    await output(*machine, "-M", f"virt,dumpdtb={tree}", "-serial", "none")
    await output("fdtput", "-c", tree, "/config")
    await output("fdtput", "-t", "x", tree, "/config", "bootdelay", "ffffffff")
    return [*machine, "-M", "virt", "-serial", "stdio", "-bios", FIRMWARE, "-dtb", tree]


async def checked(board: Program, profile: Path, port: Path, folder: Path, *options: str) -> Verdicts:
    async with board:
        await board.says("board: ")
        return await check(profile, "--serial", port, *options, report=folder / "out")


def judged_as_kept(report: dict[str, Any]) -> None:
    wrong = [item for item in report["verdicts"] if item["verdict"] not in ("pass", "not-applicable")]
    assert not wrong, wrong


@needs_micropython
@needs_u_boot
def test_boards_of_others_side_by_side_on_one_bench_are_judged_as_looked_into(tmp_path: Path) -> None:
    """A console that is the REPL of MicroPython, U-Boot on an emulated ARM, and a Modbus server."""

    async def run() -> str:
        programs: dict[str, Sequence[str | Path]] = {
            "repl-lamp": lamp(tmp_path),
            "u-boot": await emulated_board(tmp_path),
            "modbus-heater": [sys.executable, PEERS / "modbus_heater.py"],
        }
        bench = tmp_path / "bench.yaml"
        lines = [
            f"  {name}: {{ profile: {PROFILES / name}.yaml, serial: {tmp_path / name} }}" for name in programs
        ]
        bench.write_text("boards:\n" + "\n".join(lines) + "\n")
        async with contextlib.AsyncExitStack() as stack:
            for name, program in programs.items():
                board = await stack.enter_async_context(on_port(tmp_path, name, *program))
                await board.says("board: ")
            line = command("check", "--bench", bench, "--report", tmp_path / "out")
            return await (await stack.enter_async_context(Program(line))).ends(within=300)

    printed = asyncio.run(run())
    for name, passes in (("repl-lamp", 11), ("u-boot", 10), ("modbus-heater", 6)):
        report = json.loads((tmp_path / "out" / name / "report.json").read_text())
        judged_as_kept(report)
        assert sum(item["verdict"] == "pass" for item in report["verdicts"]) >= passes
        assert f"done  {name}: " in printed


@needs_micropython
def test_a_lamp_that_saves_nothing_is_found_out_by_its_console(tmp_path: Path) -> None:
    board = on_port(tmp_path, "lamp", *lamp(tmp_path, "forgetful"))
    select = ("--select", "SERIAL-08")
    verdicts = asyncio.run(checked(board, PROFILES / "repl-lamp.yaml", tmp_path / "lamp", tmp_path, *select))
    assert verdicts.not_passed == {"SERIAL-08": "fail"}
    assert "before the reboot" in verdicts.told


@needs_micropython
@needs_labgrid
def test_a_board_in_a_lab_is_judged_as_on_the_desk(tmp_path: Path) -> None:
    """Through ser2net, at the place that labgrid's coordinator has given away for the run."""

    async def run() -> Verdicts:
        async with on_port(tmp_path, "lamp", *lamp(tmp_path)) as board:
            terminal = (await board.says("board: ")).split()[-1]
            async with lab_in(tmp_path, terminal) as lab:
                lamp_here = PROFILES / "repl-lamp.yaml"
                return await check(lamp_here, "--labgrid", lab.environment, report=tmp_path / "out")

    verdicts = asyncio.run(run())
    assert not verdicts.not_passed, verdicts.told
    assert len(verdicts.passed("serial")) >= 11


@needs_u_boot
def test_a_real_data_abort_of_u_boot_is_a_crash_and_the_check_that_was_running_is_named(
    tmp_path: Path,
) -> None:
    """Its ``version`` reads memory that is not there, in this profile."""
    profile = tmp_path / "u-boot.yaml"
    text = (PROFILES / "u-boot.yaml").read_text()
    profile.write_text(text.replace("send: version", "send: md 0xf0000000 1"))

    async def run() -> Verdicts:
        board = on_port(tmp_path, "u-boot", *await emulated_board(tmp_path))
        select = ("--select", "SERIAL-14", "--select", "SERIAL-11", "--select", "SERIAL-12")
        return await checked(board, profile, tmp_path / "u-boot", tmp_path, *select)

    verdicts = asyncio.run(run())
    # The board that starts anew greets with the version that was asked for, so that SERIAL-14 passes.
    assert verdicts.not_passed == {"SERIAL-11": "fail", "SERIAL-12": "fail"}
    assert 'hard-fault during SERIAL-14: "data abort"' in verdicts.reasons("fail")["SERIAL-11"]
