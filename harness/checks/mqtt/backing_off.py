"""Coming back when the broker does not let the device in: it comes again and again, but ever less often."""

from __future__ import annotations

from collections.abc import Iterable

from harness.checks.bench import Bench
from harness.checks.case import Case, Evidence, failed, inconclusive, passed
from harness.checks.catalogue import Check, requirement
from harness.checks.mqtt.losses import ensure_loss
from harness.checks.mqtt.sessions import sessions, so_far
from harness.checks.mqtt.topics import binding_of
from harness.model.profile import Profile
from harness.model.requirement import Area, Basis, Level, Need
from harness.model.verdict import Outcome, Subject
from harness.trace.events import Act

TOLERANCE = 0.5  # seconds that connecting may take, and its way to the tap


@requirement(
    "PROFILE-06",
    area=Area.MQTT,
    standard="profile",
    clause="bindings.mqtt.reconnect",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the IUT tries to come back after a loss within the pauses that its profile declares",
    stimulus="Cut the connection; every other loss of the run counts, too",
    expect="The first attempt after the forced loss comes within `first`, and each further one within "
    "`maximum` of the one before",
    ics="MQTT.CLIENT",
    needs=(Need.TAP,),
    usual_cause="After some failures, or a special one, the client gives up until it is restarted.",
)
class ComesBackInTime(Check):
    """Measures from the end of each connection to the next attempt."""

    def subjects(self, profile: Profile) -> Iterable[Subject]:
        return (Subject(),) if binding_of(profile).sleep is None else ()

    async def stimulate(self, bench: Bench, subject: Subject) -> None:
        await ensure_loss(bench)

    def judge(self, case: Case) -> Outcome:
        seen, limits = so_far(case), binding_of(case.profile).reconnect
        cuts, downs = seen.acts(Act.DROP_LINK), seen.acts(Act.STOP, Act.KILL)
        found, shown = sessions(seen), list[Evidence]()
        for index, lost in enumerate(found):
            if lost.ended is None:
                continue
            following = found[index + 1].opened if index + 1 < len(found) else None
            until = following or seen.window[-1]
            if any(lost.opened.line < down.line < until.line for down in downs):
                continue
            forced = bool(cuts) and lost.opened.line < cuts[0].line < lost.ended.line
            limit, pause = limits.first if forced else limits.maximum, until.time - lost.ended.time
            if pause > limit + TOLERANCE:
                word = "came after" if following else "had not come for"
                return failed(f"the next attempt {word} {pause:.1f} s, not {limit:g} s", lost.ended, until)
            if following:
                shown += [lost.ended, following]
        if not shown:
            return inconclusive("no connection was lost")
        return passed(f"{len(shown) // 2} times it tried to come back in time", shown)
