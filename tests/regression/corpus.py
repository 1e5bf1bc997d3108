"""Records the corpus: traces and profiles of one release, which every later version has to judge alike.

At each release, add a folder of its own to ``fixtures/corpus``; the older ones stay as they are::

    git worktree add ../release TAG
    python tests/regression/corpus.py ../release fixtures/corpus/VERSION

``test_corpus.py`` judges all of them. The whole corpus stays below 1 MB.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOGETHER = "check profiles/remote-control.yaml profiles/smart-plug.yaml --together --simulate"
RUNS = {
    # Devices that conform, each kind of serial protocol, and devices together.
    "contact-sensor": "check profiles/contact-sensor.yaml --simulate",
    "energy-meter": "check profiles/energy-meter.yaml --simulate",
    "remote-control": "check profiles/remote-control.yaml --simulate",
    "air-conditioner-console": "check profiles/air-conditioner.yaml --simulate --serial "
    "--select SERIAL-0[4-6] --select SERIAL-2*",
    "refrigerator-console": "check profiles/refrigerator.yaml --simulate --serial "
    "--select SERIAL-0[4-6] --select SERIAL-1[4-7]",
    "pair": TOGETHER,
    "scene": "scene profiles/scenes/coming-home.yaml --cast door=profiles/door-lock.yaml "
    "--cast light=profiles/light.yaml --cast climate=profiles/air-conditioner-us.yaml",
    # Devices with faults.
    "smart-plug-will-missing": "check profiles/smart-plug.yaml --simulate --fault will-missing "
    "--select mqtt --select cross",
    "light-never-reconnects": "check profiles/light.yaml --simulate --fault never-reconnects "
    "--select MQTT-DEV-0[0-3]*",
    "door-lock-local-change-unreported": "check profiles/door-lock.yaml --simulate "
    "--fault local-change-unreported --select behaviour",
    "washing-machine-invariants-broken": "check profiles/washing-machine.yaml --simulate "
    "--fault invariants-broken --select behaviour",
    "refrigerator-mdns-flush-missing": "check profiles/refrigerator.yaml --simulate "
    "--fault mdns-flush-missing --fault mdns-known-answers-ignored --select mdns",
    "refrigerator-coap-duplicates-executed": "check profiles/refrigerator.yaml --simulate "
    "--fault coap-duplicates-executed --fault coap-critical-options-ignored --select coap",
    "smart-plug-prints-passphrase": "check profiles/smart-plug.yaml --simulate --serial "
    "--fault prints-passphrase --fault reset-keeps-settings --select serial",
    "television-telnet-left-open": "check profiles/television.yaml --simulate "
    "--fault telnet-left-open --select security",
    "pair-no-feedback": f"{TOGETHER} --fault smart-plug=no-feedback",
}
AS_JSON = """
import json, pathlib, sys
from {module} import load_profile, profile_to_json
paths = sorted(pathlib.Path("profiles").glob("*.yaml"))
json.dump({{path.name: json.loads(profile_to_json(load_profile(path))) for path in paths}}, sys.stdout)
"""


def record(root: Path, folder: Path) -> None:
    """Run the program in ``root``, and write traces, profiles, and the profiles as it reads them."""
    shutil.copytree(root / "profiles", folder / "profiles")
    (folder / "traces").mkdir()
    for name, words in RUNS.items():
        with tempfile.TemporaryDirectory() as report:
            run(root, "-m", "harness.cli", *words.split(), "--seed", "1", "--report", report)
            write(folder / "traces" / f"{name}.jsonl.gz", (Path(report) / "trace.jsonl").read_bytes())
    is_old = (root / "harness" / "model" / "loading.py").exists()  # the layout of 0.1.0
    module = "harness.model.loading" if is_old else "harness.model.loading.profiles"
    profiles = json.loads(run(root, "-c", AS_JSON.format(module=module)))
    write(folder / "profiles.json.gz", json.dumps(profiles, ensure_ascii=False).encode())


def run(root: Path, *words: str) -> str:
    """What a Python of ours prints, with the program in ``root``; its exit status is not looked at."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def write(path: Path, content: bytes) -> None:
    """Compressed, and the same bytes for the same content."""
    path.write_bytes(gzip.compress(content, mtime=0))
    print(path, path.stat().st_size, flush=True)


if __name__ == "__main__":
    record(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
