"""Traces of CoAP conversations, written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.checks.case import Case
from harness.checks.catalogue import check_named
from harness.model.loading.profiles import (
    load_profile,
    profile_to_json,
)
from harness.model.profile import Profile
from harness.model.verdict import Outcome, Subject
from harness.trace.events import (
    Act,
    Body,
    CheckEnded,
    CheckStarted,
    CoapDatagram,
    Direction,
    Event,
    RunStarted,
    Stimulus,
)
from harness.wire import coap
from tests.checks.driving import ROOT

PROFILE = load_profile(ROOT / "profiles" / "refrigerator.yaml")
DEVICE = "127.0.0.2:5683"
SETPOINT = "/fridge/setpoint"
JSON = coap.Option(coap.OptionNumber.CONTENT_FORMAT, b"\x32")


def with_coap(**fields: object) -> Profile:
    """The profile with other fields in its CoAP binding."""
    coap_binding = PROFILE.bindings.coap.model_copy(update=fields) if PROFILE.bindings.coap else None
    return PROFILE.model_copy(update={"bindings": PROFILE.bindings.model_copy(update={"coap": coap_binding})})


@dataclass
class Conversation:
    """One run with the window of one check in it; times are in seconds."""

    check: str
    subject: Subject = field(default_factory=Subject)
    now: float = 0.0
    events: list[Event] = field(default_factory=list)
    mid: int = 100
    profile: Profile = PROFILE

    def __post_init__(self) -> None:
        started = RunStarted(
            profile_to_json(self.profile), "refrigerator.yaml", "by hand", 1, "0", "", ("coap",)
        )
        self.add(started)
        self.add(CheckStarted(self.check, self.subject.name, self.subject.transport))

    def add(self, body: Body) -> Event:
        event = Event(len(self.events) + 1, self.now, body)
        self.events.append(event)
        return event

    def stimulus(self, act: Act, name: str, value: str | None = None) -> None:
        self.add(Stimulus(act, name, value, "coap", True))

    def sent(self, message: coap.Message, local: str = "a", what: str | None = None) -> coap.Message:
        if what is not None:
            self.stimulus(Act.RAW, what)
        self.add(CoapDatagram(Direction.TO_DUT, local, DEVICE, coap.encode(message)))
        return message

    def came(self, message: coap.Message, local: str = "a", *, source: str = DEVICE) -> coap.Message:
        direction = Direction.FROM_DUT if source == DEVICE else Direction.OTHER
        self.add(CoapDatagram(direction, local, source, coap.encode(message)))
        return message

    def get(
        self, path: str = SETPOINT, local: str = "a", what: str | None = None, **fields: object
    ) -> coap.Message:
        self.mid += 1
        token = fields.pop("token", self.mid.to_bytes(2, "big"))
        message = coap.request(coap.Code.GET, path, mid=self.mid, token=token, **fields)  # type: ignore[arg-type]
        return self.sent(message, local, what)

    def answer(
        self, asked: coap.Message, local: str = "a", payload: bytes = b"4", **fields: object
    ) -> coap.Message:
        return self.came(response(asked, payload=payload, **fields), local)  # type: ignore[arg-type]

    def notify(
        self,
        asked: coap.Message,
        observe: int,
        local: str = "a",
        *,
        payload: bytes = b"4",
        mid: int | None = None,
    ) -> coap.Message:
        self.mid += 1
        type, mid = coap.Type.CON, self.mid if mid is None else mid
        return self.came(response(asked, payload=payload, observe=observe, type=type, mid=mid), local)

    def acknowledge(self, message: coap.Message, local: str = "a", type: coap.Type = coap.Type.ACK) -> None:
        self.sent(coap.empty(type, message.mid), local)

    def judged(self) -> Outcome:
        self.add(CheckEnded(self.check, self.subject.name, self.subject.transport))
        case = Case(self.profile, self.subject, self.events, self.events[1:])
        return check_named(self.check).judge(case)


def response(
    asked: coap.Message,
    code: int = coap.Code.CONTENT,
    payload: bytes = b"4",
    *,
    type: coap.Type = coap.Type.ACK,
    mid: int | None = None,
    token: bytes | None = None,
    observe: int | None = None,
    observe_bytes: int | None = None,
) -> coap.Message:
    options = [JSON] if payload else []
    if observe is not None:
        value = coap.encode_uint(observe)
        options.append(coap.Option(coap.OptionNumber.OBSERVE, value.rjust(observe_bytes or 0, b"\0")))
    return coap.Message(
        1,
        type,
        code,
        asked.mid if mid is None else mid,
        asked.token if token is None else token,
        tuple(sorted(options, key=lambda option: option.number)),
        payload,
    )
