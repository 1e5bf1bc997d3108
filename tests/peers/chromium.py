"""Chromium without a window, driven over its DevTools protocol on a pair of pipes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
LIMIT = 60  # seconds for Chromium to answer, and to end

_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--remote-debugging-pipe",
)
_CODES = {
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}

# The protocol is on the descriptors 3 and 4, whatever they were before.
_START = """import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])"""


class Browser:
    """One page. Commands are those of the DevTools protocol."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to = os.fdopen(to_browser, "wb", buffering=0)
        self._from = from_browser
        self._heard = b""
        self._last = 0
        self._session: str | None = None
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.command("Page.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; what comes back."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path, *, width: int = 1280, height: int = 800, anchor: str = "") -> None:
        """Show a page, and wait until it is loaded."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        for address in ("about:blank", page.as_uri() + anchor):  # else a new anchor alone would load nothing
            self.command("Page.navigate", url=address)
            while self._read().get("method") != "Page.loadEventFired":
                pass

    def tell(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        found = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=_CODES[key],
                **(text if kind == "keyDown" else {}),
            )
        # What the key set off (a jump within the page) has happened before the next frame but one.
        self.tell("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen as a PNG."""
        found = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        """Chromium ends when its pipe does."""
        with contextlib.suppress(OSError):
            self._to.close()
        os.close(self._from)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._heard:
            ready, _, _ = select.select([self._from], [], [], LIMIT)
            assert ready, f"Chromium says nothing for {LIMIT} s"
            more = os.read(self._from, 1 << 16)
            assert more, "Chromium ended"
            self._heard += more
        text, self._heard = self._heard.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Chromium, for as long as this lasts; it keeps what it has to keep in ``folder``."""
    assert PROGRAM is not None
    (reads, to_browser), (from_browser, writes) = os.pipe(), os.pipe()
    words = [sys.executable, "-c", _START, str(reads), str(writes)]
    words += [PROGRAM, *_SWITCHES, f"--user-data-dir={folder}"]
    with subprocess.Popen(
        words, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(reads)
        os.close(writes)
        try:
            browser = Browser(to_browser, from_browser)
            try:
                yield browser
            finally:
                browser.close()
                process.wait(timeout=LIMIT)
        finally:
            process.kill()
