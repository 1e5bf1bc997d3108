"""The process that holds a place of labgrid: ``python -m harness.links.labgrid.holder ENVIRONMENT TARGET``.

labgrid waits and switches with calls that block, and runs an event loop of its own; so it has a process of
its own. That process lives exactly as long as its standard input: when the harness is done with it, or is
gone for whatever reason, kill -9 included, it lets go of the place. Imports nothing of the harness but the
messages (:mod:`harness.links.labgrid.messages`), and labgrid.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from harness.links.labgrid.messages import (
    HeldResources,
    HolderProblem,
    HolderReply,
    from_line,
    to_line,
)

_ANSWERED_WITHIN = 10.0  # seconds for the coordinator to answer
_AVAILABLE_WITHIN = 20.0  # seconds for a resource to come, such as a USB adapter that is being plugged in
_MARK = "-harness-"  # after the user's name, and followed by the number of the process that holds the place


class HeldError(Exception):
    """The place cannot be acquired; the message is for people."""


def main(environment: str, target: str) -> int:
    """Hold the place until standard input ends, and switch its power on orders from there, line by line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the harness, which then ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # releases everything on the way
    with _private_streams() as (orders, answers):

        def tell(message: HeldResources | HolderReply | HolderProblem) -> None:
            # The harness may be gone; the place still has to be released.
            with contextlib.suppress(BrokenPipeError):
                answers.write(to_line(message))
                answers.flush()

        try:
            with _held(environment, target) as (found, power):
                tell(found)
                for line in orders:
                    tell(_switched(power, from_line(line)))
        except Exception as problem:
            tell(HolderProblem(_text_of(problem)))
            return 1
    return 0


@contextlib.contextmanager
def _private_streams() -> Iterator[tuple[TextIO, TextIO]]:
    """The pipes to the harness; standard input and output are detached from everything else."""
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    with contextlib.suppress(BrokenPipeError), orders, answers:
        yield orders, answers


@contextlib.contextmanager
def _held(environment: str, name: str) -> Iterator[tuple[HeldResources, Any]]:
    """The acquired target: its resources, and the driver of its power or None."""
    from labgrid import Environment

    env = Environment(environment)
    with contextlib.ExitStack() as stack:
        place = _place_of(env, name)
        if place is not None:
            stack.enter_context(_acquired(env, place))
        target = env.get_target(name)
        stack.callback(target.cleanup)
        power = _power_of(target)
        yield HeldResources(serial=_serial_of(target), power=power is not None, place=place), power


def _place_of(env: Any, name: str) -> str | None:
    """The remote place of a target; None if all its resources are local."""
    from labgrid.factory import target_factory

    config = env.config.get_targets().get(name)
    if config is None:
        raise HeldError(f"names no target {name}")
    resources, _ = target_factory.normalize_config(config)
    places = list(resources.get("RemotePlace", {}))
    if len(places) > 1:
        raise HeldError(f"the target {name} is {len(places)} places ({', '.join(places)}); name one")
    return places[0] if places else None


@contextlib.contextmanager
def _acquired(env: Any, name: str) -> Iterator[None]:
    """A place, acquired meanwhile. One that the user had acquired before is used, and not released."""
    host = os.environ.get("LG_HOSTNAME", socket.gethostname())
    user = os.environ.get("LG_USERNAME") or getpass.getuser()
    session = _session_for(env, name)
    run = session.loop.run_until_complete
    place = run(_place(session, name))
    holder = place.acquired
    left_behind = bool(holder) and _is_left_behind(holder, host, user)
    is_theirs = holder == f"{host}/{user}"
    if holder and not left_behind and not is_theirs:
        raise HeldError(
            f"the place {name} is taken by {holder}; wait until it is free, or release it: "
            f"labgrid-client -p {name} release"
        )
    if not is_theirs and not place.reservation:
        # Shows which run holds it. A reservation is valid only under the name that made it.
        os.environ["LG_USERNAME"] = f"{user}{_MARK}{os.getpid()}"
    run(session.start())
    try:
        if left_behind:
            session.args.acquired = holder
            run(session.release_from())
        if not is_theirs:
            run(session.acquire())
        try:
            yield
        finally:
            if not is_theirs:
                run(session.release())
    finally:
        session.stopping.set()
        run(session.stop())
        run(session.close())


def _session_for(env: Any, name: str) -> Any:
    """A session with the coordinator, not yet started.

    There can be but one in a process: the library would give a second one the same connection, which the
    coordinator refuses. So labgrid's own manager of places gets this one.
    """
    from labgrid.remote.client import ClientSession, ensure_event_loop
    from labgrid.resource.remote import RemotePlaceManager
    from labgrid.util.proxy import proxymanager

    address = env.config.get_option(
        "coordinator_address", os.environ.get("LG_COORDINATOR", "127.0.0.1:20408")
    )
    loop = ensure_event_loop()
    wanted = argparse.Namespace(place=name, allow_unmatched=False, kick=False, acquired=None)
    session = ClientSession(proxymanager.get_grpc_address(address, default_port=20408), loop, args=wanted)
    manager = RemotePlaceManager.get()
    manager.env, manager.url, manager.session, manager.loop = env, address, session, loop
    return session


async def _place(session: Any, name: str) -> Any:
    """The coordinator's data about the place."""
    import grpc
    from labgrid.remote.generated import (
        labgrid_coordinator_pb2 as messages,
    )

    try:
        answer = await session.stub.GetPlaces(messages.GetPlacesRequest(), timeout=_ANSWERED_WITHIN)
    except grpc.aio.AioRpcError as problem:
        why = f"no coordinator answers at {session.address}: {problem.details()}"
        raise HeldError(why) from problem
    places = {place.name: place for place in answer.places}
    if name not in places:
        known = ", ".join(sorted(places)) or "none"
        raise HeldError(f"the coordinator at {session.address} knows no place {name}; it knows {known}")
    return places[name]


def _is_left_behind(holder: str, host: str, user: str) -> bool:
    """Whether a killed run of the same user on this machine still holds the place."""
    pattern = f"{re.escape(f'{host}/{user}{_MARK}')}([0-9]+)"
    match = re.fullmatch(pattern, holder)
    if match is None:
        return False
    try:
        return _own_name() not in Path(f"/proc/{match[1]}/cmdline").read_bytes()
    except OSError:
        return True


def _own_name() -> bytes:
    return Path(__file__).stem.encode()


def _serial_of(target: Any) -> str | None:
    """The URL of the serial port, as pyserial opens it."""
    from labgrid.resource import NetworkSerialPort
    from labgrid.resource.base import SerialPort
    from labgrid.util.proxy import proxymanager

    ports = [item for item in target.resources if isinstance(item, SerialPort | NetworkSerialPort)]
    if not ports:
        return None
    if len(ports) > 1:
        # A driver of labgrid binds one of the resources.
        bound = [driver.port for driver in target.drivers if getattr(driver, "port", None) in ports]
        if not bound:
            raise HeldError(f"has {len(ports)} serial ports, and no SerialDriver that selects one")
        ports = bound
    port = ports[0]
    target.await_resources([port], timeout=_AVAILABLE_WITHIN)
    if isinstance(port, SerialPort):
        return str(port.port)
    host, number = proxymanager.get_host_and_port(port)
    if port.protocol == "raw":
        return f"socket://{host}:{number}"
    # As in labgrid's own driver: some ports have no control lines.
    return f"rfc2217://{host}:{number}?ign_set_control"


def _power_of(target: Any) -> Any:
    """The driver that switches the power; None if the target has none."""
    from labgrid.exceptions import NoDriverFoundError

    try:
        return target.get_driver("PowerProtocol", activate=False)
    except NoDriverFoundError:
        return None


def _switched(power: Any, order: HeldResources | HolderReply | HolderProblem) -> HolderReply | HolderProblem:
    """Switch the power: ``on`` or ``off``."""
    assert isinstance(order, HolderReply)
    try:
        power.target.activate(power)
        {"on": power.on, "off": power.off}[order.text]()
    except Exception as problem:
        return HolderProblem(f"{type(power).__name__}: {_text_of(problem)}")
    return HolderReply(f"{order.text}, by {type(power).__name__}")


def _text_of(problem: BaseException) -> str:
    text = str(problem) or type(problem).__name__
    output = getattr(problem, "output", None)  # of a command that a driver ran
    return (
        f"{text}: {output.decode(errors='replace').strip()}" if isinstance(output, bytes) and output else text
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
