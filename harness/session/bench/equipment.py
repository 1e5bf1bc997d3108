"""Everything that is opened for one device: broker, tap, links, and the simulated device if there is one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.checks.bench import OperatorDriver, PowerDriver
from harness.links.actuators import Actuator
from harness.links.actuators.registry import actuator_named
from harness.links.coap.link import (
    CoapClientEndpoint,
    CoapLink,
)
from harness.links.errors import LinkError
from harness.links.labgrid.place import (
    LabgridError,
    LabgridPlace,
    PlacePower,
)
from harness.links.mdns.link import (
    GROUP,
    LOOPBACK,
    MdnsLink,
)
from harness.links.mqtt.brokers.broker import (
    Broker,
    broker_for,
)
from harness.links.mqtt.link import MqttController
from harness.links.mqtt.tap.tap import Tap
from harness.links.net.udp import (
    PortAllocator,
    local_address_towards,
)
from harness.links.serial.link import SerialError, SerialLink
from harness.model.profile import Profile
from harness.model.requirement import BenchFeature
from harness.session.bench.addresses import DeviceAddress
from harness.session.bench.drivers import (
    RecordingCoapDriver,
    RecordingMqttDriver,
    RecordingSerialDriver,
    RecordingTapDriver,
    SimulatedHands,
    SimulatedPower,
)
from harness.session.bench.lab_drivers import (
    ConsoleOperator,
    ConsoleReboot,
    LabOperator,
    LabPower,
)
from harness.session.bench.power_probe import answers_still
from harness.session.target import Target, UsageError, can_reboot, needs_met
from harness.simulate.device import SimulatedDevice
from harness.simulate.faults import fault_named
from harness.trace.events import Note
from harness.trace.recorder import Recorder
from harness.wire.mdns.codec import join_name

COAP_PORT = 5683
SEARCH_LIMIT = 5.0  # seconds for finding a device by its mDNS name
PORT_PAUSE = 0.5  # seconds between two attempts to open a serial port
ANY_LOGIN = ("device", "simulated")  # for our own brokers, which accept every login


@dataclass(frozen=True, slots=True)
class Bus:
    """What several devices of one run share. The owner of the bus opens and closes ``broker``.

    ``name`` distinguishes our client for one device from those for the others; ``hosts`` are the addresses of
    the other devices of the run, whose multicast the device receives.
    """

    broker: Broker | None
    name: str
    hosts: frozenset[str]


class Equipment:
    """Opens and closes the links to one device in the right order, and offers them as drivers."""

    def __init__(
        self,
        profile: Profile,
        target: Target,
        recorder: Recorder,
        *,
        seed: int,
        address: DeviceAddress,
        bus: Bus | None = None,
    ) -> None:
        self.profile = profile
        self.target = target
        self.recorder = recorder
        self.device: SimulatedDevice | None = None
        self.host: str | None = None
        self._seed = seed
        self._address = address
        self._ports = PortAllocator(address.harness) if self._is_private else None
        self._bus = bus
        self._broker: Broker | None = bus.broker if bus else None
        self._tap: Tap | None = None
        self._controller: MqttController | None = None
        self._coap: CoapLink | None = None
        self._own_endpoint: CoapClientEndpoint | None = None
        self.mdns_link: MdnsLink | None = None
        self.mqtt_driver: RecordingMqttDriver | None = None
        self.tap_driver: RecordingTapDriver | None = None
        self.coap_driver: RecordingCoapDriver | None = None
        self.local_driver: OperatorDriver | None = None
        self.power_driver: PowerDriver | None = None
        self._serial: SerialLink | None = None
        self.serial_driver: RecordingSerialDriver | None = None
        self._switched_on = False  # a real device was switched on at the start of the run
        self._place = LabgridPlace(target.labgrid) if target.labgrid else None
        self._port = target.serial

    @property
    def needs_met(self) -> frozenset[BenchFeature]:
        """What this equipment offers; known before anything is opened."""
        return needs_met(self.profile, self.target)

    async def open(self) -> None:
        """Open all links; :meth:`start_device` starts the device itself.

        Raises the links' own errors, whose messages are for people.
        """
        met = self.needs_met
        if self._place is not None:
            await self._take_place(self._place)
        if BenchFeature.BROKER in met:
            await self._open_mqtt()
        if BenchFeature.MDNS in met:
            await self._open_mdns()
        if self.target.simulate:
            self._build_device()
        else:
            await self._open_actuators()
            if self.mdns_link is not None and self.target.mdns:
                await self._find(self.mdns_link, self.target.mdns)
            if BenchFeature.COAP in met:
                self._open_coap(await self._coap_remote())
        if BenchFeature.SERIAL in met:
            await self._open_serial()

    async def start_device(self) -> None:
        """Switch the simulated device on, and wait up to the boot time of its profile.

        A real device is on already. :meth:`LabBench.ready` finds out if the device is not up.
        """
        if self.device is None or not isinstance(self.power_driver, SimulatedPower):
            return
        await self.power_driver.start()
        await self.power_driver.started(within=self.profile.behaviour.boot)
        if self.device.coap_address is not None and self._coap is None:
            self._open_coap(self.device.coap_address)

    def absence(self, waited_for: str) -> str:
        """The message for a device that never came: what was waited for, and what to check."""
        target = self.target
        advice = "check that it is switched on and on this network"
        if target.simulate:
            advice = "it is simulated, so the profile or a fault is the cause"
            if self.device and self.device.mqtt and self.device.mqtt.problem:
                advice = f"its MQTT client: {self.device.mqtt.problem}"
        elif self._serial is not None and (why := self._serial.complaint or self._serial.absence):
            advice = why
        elif self._tap is not None and self._tap.complaint:
            advice = self._tap.complaint
        elif target.listen:
            host, port = target.listen
            advice = (
                f"set its MQTT broker to this machine, port {port} (listening on {host}), and switch it on"
            )
        return f"the device is not there: waited for {waited_for}; {advice}"

    @property
    def serial_complaint(self) -> str | None:
        """What seems to be wrong with the serial line, such as its baud rate, for messages."""
        return self._serial.complaint if self._serial is not None else None

    @property
    def _is_private(self) -> bool:
        """Whether the simulated device and the harness have addresses, and so a link, of their own.

        For mDNS all loopback addresses are one link, where parallel runs would otherwise compete for the
        names of the same profile.
        """
        return self.target.simulate and self._address.device != self._address.harness

    async def own_endpoint(self) -> CoapClientEndpoint:
        """The endpoint of the bench itself, for plain reads and writes; a new one for each check."""
        assert self._coap is not None, "planned without CoAP"
        if self._own_endpoint is None:
            self._own_endpoint = await self._coap.endpoint()
        return self._own_endpoint

    async def clean_up(self) -> None:
        """Undo what a check may have left behind."""
        self._own_endpoint = None
        if isinstance(self.power_driver, LabPower):
            await self.power_driver.clean_up()
        if self.serial_driver:
            await self.serial_driver.clean_up()
        if self.tap_driver:
            self.tap_driver.clean_up()
        if self._coap:
            await self._coap.close()

    async def close(self) -> None:
        """Close everything; each part is closed even if another one fails to."""
        closers = [
            self.power_driver.settle if isinstance(self.power_driver, SimulatedPower) else None,
            self._serial.close if self._serial else None,
            self.power_driver.close if isinstance(self.power_driver, LabPower) else None,
            self.local_driver.close if isinstance(self.local_driver, LabOperator) else None,
            self.device.stop if self.device else None,
            self._close_console if self.device and self.device.console else None,
            self._controller.close if self._controller else None,
            self._coap.close if self._coap else None,
            self.mdns_link.close if self.mdns_link else None,
            self._tap.stop if self._tap else None,
            self._broker.stop if self._broker and not self._bus else None,
            self._place.close if self._place else None,
        ]
        problems = []
        for close in closers:
            if close is None:
                continue
            try:
                await close()
            except Exception as problem:  # the rest still has to be closed
                problems.append(problem)
        if problems:
            raise problems[0]

    async def _open_mqtt(self) -> None:
        target, binding = self.target, self.profile.bindings.mqtt
        assert binding is not None
        if self._broker is None:
            self._broker = broker_for(target.mqtt or target.broker, ca=target.ca)
            await self._broker.start()
        if not target.mqtt:
            host, port = target.listen or ("127.0.0.1", 0)
            self._tap = Tap(
                self._broker.endpoint,
                recorder=self.recorder,
                host=host,
                port=port,
                broker_tls=self._broker.tls,
            )
            await self._tap.start()
            self.tap_driver = RecordingTapDriver(self._tap, self.recorder)
        name = f"harness-{self._bus.name if self._bus else self.profile.profile}-{self._seed:x}"
        self._controller = MqttController(self.recorder, self._broker.endpoint, self._broker.tls, name)
        await self._controller.start()
        await self._controller.subscribe(f"{binding.base}/#")
        if binding.availability and not binding.availability.topic.startswith(f"{binding.base}/"):
            await self._controller.subscribe(binding.availability.topic)
        self.mqtt_driver = RecordingMqttDriver(self._controller, self._broker, self.recorder)

    async def _open_mdns(self) -> None:
        interface = self.target.interface or self._own_address()
        device = self._address.device if self.target.simulate else None
        names = _dns_names(self.profile)
        self.mdns_link = MdnsLink(self.recorder, interface, device, names, self._ports)
        self.mdns_link.hears_others = not self._is_private
        await self.mdns_link.start()

    async def _find(self, link: MdnsLink, name: str) -> None:
        """Find a real device by its name; after switching it on, allow its boot time. Raises LinkError."""
        boot = self.profile.behaviour.boot if self._switched_on else 0.0
        found = await link.find(name, within=SEARCH_LIMIT + boot)
        self.host = found.address
        link.dut_address = found.address

    async def _open_serial(self) -> None:
        binding = self.profile.bindings.serial
        port = self._port
        if self.device is not None and self.device.console is not None:
            self.device.console.open()
            port = self.device.console.name
        assert binding is not None and port is not None
        self._serial = SerialLink(self.recorder, port, self.profile)
        await self._start_serial(self._serial)
        self.serial_driver = RecordingSerialDriver(self._serial, binding, self.recorder)

    async def _start_serial(self, link: SerialLink) -> None:
        """Open the port; of a board that was just switched on, it may come only during the boot."""
        deadline = self.recorder.now + (self.profile.behaviour.boot if self._switched_on else 0.0)
        while True:
            try:
                await link.start()
            except SerialError:
                if self.recorder.now >= deadline:
                    raise
            else:
                return
            await asyncio.sleep(PORT_PAUSE)

    async def _close_console(self) -> None:
        assert self.device is not None and self.device.console is not None
        self.device.console.close()

    def _own_address(self) -> str:
        """Our address on the network of the device; for a real one, the interface used for multicast."""
        if self.target.simulate:
            return self._address.harness
        try:
            return local_address_towards(GROUP)
        except LinkError:  # no network but loopback
            return LOOPBACK

    def _build_device(self) -> None:
        self.host = self._address.device
        self.device = SimulatedDevice(
            self.profile,
            host=self._address.device,
            broker=self._tap.address if self._tap else None,
            login=self._login(),
            seed=self._seed,
            faults=[fault_named(name) for name in self.target.faults],
            console=self.target.serial is not None,
        )
        if self.device.mdns and self.mdns_link and self._is_private:
            others = self._bus.hosts if self._bus else frozenset()
            self.device.mdns.neighbours = {self.mdns_link.address, *others}
        self.local_driver = SimulatedHands(self.device, self.recorder)
        self.power_driver = SimulatedPower(self.device, self.recorder)

    async def _open_actuators(self) -> None:
        """Open the actuators of a real device; it is switched on afterwards. Raises ActuatorError."""
        target, name = self.target, self.profile.profile
        actuator = self._power_of_place()
        if target.power is not None:
            actuator = None if target.power.is_console else actuator_named(target.power)
        if BenchFeature.POWER in self.needs_met:
            reboot = ConsoleReboot(self._console, self.recorder, self.profile)
            self.power_driver = LabPower(
                actuator,
                self.recorder,
                name,
                self._answers_still,
                reboot if can_reboot(self.profile, target) else None,
            )
            # The serial port may exist, and the device be found, only while it has power.
            self._switched_on = await self.power_driver.switch_on()
        if target.hands is not None and not target.hands.is_console:
            self.local_driver = LabOperator(actuator_named(target.hands), self.recorder, name)
        elif BenchFeature.LOCAL in self.needs_met:
            self.local_driver = ConsoleOperator(self._console)

    def _console(self) -> RecordingSerialDriver:
        assert self.serial_driver is not None, "planned without a serial line"
        return self.serial_driver

    async def _take_place(self, place: LabgridPlace) -> None:
        """Reserve the board, and find its serial port. Raises LabgridError."""
        found = await place.open()
        self._port = self._port or found.serial
        named = f"the place {found.place}" if found.place else "resources of this machine"
        self.recorder.record(Note(f"labgrid, target {self.target.labgrid}: {named}, serial {self._port}"))
        if self._port is None and BenchFeature.SERIAL in self.needs_met:
            raise LabgridError(f"labgrid, target {self.target.labgrid}: there is no serial port at {named}")

    def _power_of_place(self) -> Actuator | None:
        labgrid = self.target.labgrid
        return PlacePower(self._place) if self._place and labgrid and labgrid.power else None

    async def _answers_still(self) -> bool:
        """Whether the device still answers some time after its power was cut."""
        return await answers_still(self.recorder, self.profile, self._coap, self.mdns_link)

    def _login(self) -> tuple[str, str]:
        """User and password of a simulated device whose profile says that it logs in."""
        user = self._broker.endpoint.user if self._broker else None
        return (user.name, user.password) if user else ANY_LOGIN

    async def _coap_remote(self) -> tuple[str, int]:
        if self.target.coap:
            url = urlsplit(self.target.coap)
            if url.scheme != "coap" or not url.hostname:
                raise UsageError(f"--coap {self.target.coap}: not an address such as coap://192.0.2.7:5683")
            self.host = url.hostname.replace("%25", "%", 1)  # the zone of a link-local address (RFC 6874)
            return self.host, url.port or COAP_PORT
        assert self.host is not None and self.profile.bindings.coap is not None
        return self.host, self.profile.bindings.coap.port

    def _open_coap(self, remote: tuple[str, int]) -> None:
        self._coap = CoapLink(self.recorder, remote, random.Random(self._seed), self._ports)
        self.coap_driver = RecordingCoapDriver(self._coap)


def _dns_names(profile: Profile) -> list[str]:
    """The names that the device claims, so that other claims to them are recorded from the start."""
    binding = profile.bindings.mdns
    if binding is None:
        return []
    hosts = [join_name(binding.host, "local")]
    return hosts + [
        join_name(service.instance, *service.type.split("."), "local") for service in binding.services
    ]
