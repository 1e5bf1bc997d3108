"""The observers of a device's CoAP resources (RFC 7641)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from aiocoap import CON, NON, Message

from harness.simulate.coap.codec import Request
from harness.simulate.coap.deviations import CoapDeviations
from harness.simulate.coap.endpoint import (
    Messages,
    Peer,
)

_REMEMBERED_MESSAGES = 16  # notifications of an observation that a late Reset can still end


class Observable(Protocol):
    """An observable resource."""

    is_event: bool  # each notification counts; otherwise only the newest state does

    def represent(self, request: Request, body: bytes | None = None) -> Message:
        """A 2.05 with the current state (or ``body``) in the format of ``request``."""


class _Observation:
    """One entry in the list of observers."""

    def __init__(self, request: Request, resource: Observable, number: int, now: float) -> None:
        self.request = request
        self.resource = resource
        self.registered = now
        self.confirmed = now  # when the last confirmable notification was sent
        self.first_number: int | None = number
        # Bodies to send; None means the state at that time, and one of those is enough.
        self.pending: deque[bytes | None] = deque(maxlen=32 if resource.is_event else 1)
        self.sent: deque[Message] = deque(maxlen=_REMEMBERED_MESSAGES)
        self.outstanding: Message | None = None

    @property
    def remote(self) -> Peer:
        remote: Peer = self.request.remote
        return remote


class Observers:
    """The list of observers, and the notifications that each has still to get.

    Each client has at most one unacknowledged confirmable notification; states are skipped meanwhile, events
    are not.
    """

    def __init__(
        self,
        messages: Messages,
        deviations: Callable[[], CoapDeviations],
        *,
        limit: int,
        confirmable: bool,
        random: Random,
    ) -> None:
        self._messages = messages
        self._deviations = deviations
        self._limit = limit
        self._confirmable = confirmable
        self._loop = asyncio.get_running_loop()
        self._entries: list[_Observation] = []
        self._quiet: dict[Peer, asyncio.TimerHandle] = {}  # no NON notification to these for now
        self._daily: dict[_Observation, asyncio.TimerHandle] = {}
        start = deviations().observe_start
        self._number = random.getrandbits(24) if start is None else start

    def register(self, request: Request, resource: Observable) -> int | None:
        """Adds an observer; returns the value of the Observe option, or None if the list is full."""
        if self._deviations().replace_registration:
            self.cancel(request)
        deviations = self._deviations()
        limit = self._limit if deviations.observers is None else deviations.observers
        full = sum(entry.resource is resource for entry in self._entries) >= limit
        if full and not deviations.admit_when_full:
            return None
        number = self._next_number()
        if full:
            return number
        entry = _Observation(request, resource, number, self._loop.time())
        self._entries.append(entry)
        self._start_day(entry)
        return number

    def cancel(self, request: Request) -> None:
        """Ends the client's observation with the token of this request."""
        self._remove(
            lambda entry: entry.remote == request.remote and entry.request.token == request.token,
        )

    def cancel_all(self, remote: Peer, resource: Observable) -> None:
        """Ends all observations of the resource by one client."""
        self._remove(lambda entry: entry.remote == remote and entry.resource is resource)

    def was_reset(self, remote: Peer, message_id: int) -> None:
        """The client rejected a notification, which ends its observation (RFC 7641, 3.6)."""
        if self._deviations().obey_reset:
            self._remove(
                lambda entry: entry.remote == remote and any(m.mid == message_id for m in entry.sent)
            )

    def was_lost(self, remote: Peer) -> None:
        """The client does not acknowledge any more (RFC 7641, 4.5)."""
        for entry in self._entries:
            if entry.remote == remote:
                entry.outstanding = None
        if self._deviations().drop_silent_observers:
            self._remove(lambda entry: entry.remote == remote)

    def notify(self, resource: Observable, body: bytes | None = None) -> None:
        """Notifies all observers of the resource of its new state, or of an event."""
        entries = [entry for entry in self._entries if entry.resource is resource]
        for entry in entries:
            entry.pending.append(body)
        if entries and self._deviations().notify:
            # Deferred: if one cause leads to several changes, the final state is notified.
            self._loop.call_soon(self._notify_all, [entry.remote for entry in entries])

    def may_send(self, remote: Peer) -> None:
        """Sends the client its pending notifications, as far as they may be sent now."""
        while entry := self._next_entry(remote):
            confirmable = self._is_confirmable(entry)
            if confirmable and self._messages.is_busy(remote):
                return
            if not confirmable and remote in self._quiet:
                return
            self._notify(entry, CON if confirmable else NON)

    def newer(self, message: Message) -> Message | None:
        """The notification to send instead of an unacknowledged, outdated one (RFC 7641, 4.5.2)."""
        if not self._deviations().supersede:
            return None
        for entry in self._entries:
            if entry.outstanding is message and entry.pending and not entry.resource.is_event:
                entry.outstanding = newer = self._notification(entry)
                return newer
        return None

    def clear(self) -> None:
        """Removes all observers."""
        self._remove(lambda entry: True)
        for timer in self._quiet.values():
            timer.cancel()
        self._quiet.clear()

    def _notify_all(self, remotes: list[Peer]) -> None:
        for remote in dict.fromkeys(remotes):
            self.may_send(remote)

    def _next_entry(self, remote: Peer) -> _Observation | None:
        return next((entry for entry in self._entries if entry.remote == remote and entry.pending), None)

    def _is_confirmable(self, entry: _Observation) -> bool:
        deviations = self._deviations()
        every = deviations.confirmable_every
        if (
            self._confirmable
            if deviations.confirmable_notifications is None
            else deviations.confirmable_notifications
        ):
            return True
        return every is not None and self._loop.time() - entry.confirmed >= every

    def _notify(self, entry: _Observation, kind: int) -> None:
        lifetime = self._deviations().observe_lifetime
        if lifetime is not None and self._loop.time() - entry.registered > lifetime:
            self._remove(lambda each: each is entry)
            return
        message = self._notification(entry)
        self._messages.send(message, kind)
        if kind is CON:
            entry.outstanding = message
            entry.confirmed = self._loop.time()
            self._start_day(entry)
        else:
            spacing = self._deviations().non_confirmable_spacing
            self._quiet[entry.remote] = self._loop.call_later(spacing, self._end_quiet, entry.remote)
        # The client's other observations go first next time.
        self._entries.remove(entry)
        self._entries.append(entry)

    def _notification(self, entry: _Observation) -> Message:
        message = entry.resource.represent(entry.request, entry.pending.popleft())
        deviations = self._deviations()
        number = self._next_number()
        if deviations.observe_first_repeats and entry.first_number is not None:
            number = entry.first_number
        entry.first_number = None
        message.opt.observe = number
        message.token = entry.request.token if deviations.echo_token else b""
        message.remote = entry.remote
        entry.sent.append(message)
        return message

    def _next_number(self) -> int:
        deviations = self._deviations()
        self._number += deviations.observe_step
        if deviations.observe_bits is not None:
            self._number %= 1 << deviations.observe_bits
        return self._number

    def _end_quiet(self, remote: Peer) -> None:
        del self._quiet[remote]
        self.may_send(remote)

    def _start_day(self, entry: _Observation) -> None:
        """At least one notification a day is confirmable (RFC 7641, 4.5)."""
        every = self._deviations().confirmable_every
        if self._confirmable or every is None:
            return
        self._end_day(entry)
        self._daily[entry] = self._loop.call_later(every, self._day_is_over, entry)

    def _end_day(self, entry: _Observation) -> None:
        timer = self._daily.pop(entry, None)
        if timer is not None:
            timer.cancel()

    def _day_is_over(self, entry: _Observation) -> None:
        if not entry.pending and not entry.resource.is_event:
            entry.pending.append(None)
        self.may_send(entry.remote)

    def _remove(self, unwanted: Callable[[_Observation], bool]) -> None:
        for entry in self._entries:
            if unwanted(entry):
                self._end_day(entry)
        self._entries = [entry for entry in self._entries if not unwanted(entry)]
