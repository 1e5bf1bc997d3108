"""Profiles on disk for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from harness.model.loading.profiles import load_profile
from harness.model.problems import ProfileError, ProfileProblem
from harness.model.profile import Profile

SHIPPED = sorted((Path(__file__).parents[3] / "profiles").glob("*.yaml"))

LAMP = """\
profile: lamp
title: Lamp
category: lamp
unit: u1
properties:
  power: { type: boolean, default: false }
  level: { type: integer, minimum: 1, maximum: 100, default: 50 }
  mode: { type: string, enum: ["on", "off", eco], default: eco }
  heat: { type: number, minimum: 0, maximum: 120, multipleOf: 0.5, readOnly: true, default: 20 }
actions:
  blink: { input: { type: integer, minimum: 1 } }
events:
  hot: { data: { type: string, enum: [warn, stop] } }
bindings:
  mqtt:
    base: lamp/{unit}
    client_id: lamp-{unit}
    keep_alive: 30
    availability: { topic: "lamp/{unit}/there" }
    properties:
      power:
        { state: "lamp/{unit}/power", command: "lamp/{unit}/power/set", values: { on: true, off: false } }
      level: { state: "lamp/{unit}/level", command: "lamp/{unit}/level/set" }
      mode: { state: "lamp/{unit}/mode", command: "lamp/{unit}/mode/set" }
      heat: { state: "lamp/{unit}/heat" }
    actions:
      blink: { command: "lamp/{unit}/blink" }
    events:
      hot: { topic: "lamp/{unit}/hot" }
"""


def write(folder: Path, text: str, name: str = "device.yaml") -> Path:
    """A file with that text, less the indentation of the test that it stands in."""
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def load_over_lamp(folder: Path, changes: str) -> Profile:
    """The lamp with ``changes`` (YAML) laid over it. Line 1 of the changes is line 2 of ``device.yaml``."""
    write(folder, LAMP, "lamp.yaml")
    return load_profile(write(folder, "extends: lamp.yaml\n" + dedent(changes)))


def problems_of(path: Path) -> tuple[ProfileProblem, ...]:
    """What is wrong with a profile; fails when nothing is."""
    try:
        load_profile(path)
    except ProfileError as error:
        return error.problems
    raise AssertionError(f"{path} was accepted")
