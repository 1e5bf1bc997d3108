"""The rules of a scene, which hold as long as it is played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.checks.behaviour.reach import name_of
from harness.checks.case import failed, inconclusive, passed
from harness.checks.compat.catalogue import TogetherCase, TogetherCheck, together
from harness.checks.compat.home import Home
from harness.checks.compat.world import Meaning, News, happened, news_of
from harness.model.base import Value
from harness.model.requirement import Basis, Level
from harness.model.rule import Rule
from harness.model.verdict import Outcome, Subject

ROUNDING = 2e-6  # times in traces are rounded


@dataclass(slots=True)
class _Episode:
    """A time during which a rule demands something: since ``begin``, in force until ``end`` (None: still)."""

    line: int
    begin: float
    end: float | None = None
    kept: News | None = None  # what made it so
    lost: News | None = None  # what made it not so any more, after the time it had
    late: bool = False


@together(
    "COMPAT-31",
    standard="the scene",
    clause="scene: rules",
    level=Level.MUST,
    basis=Basis.PROFILE,
    purpose="ensure that the devices of a scene keep its rules all the time",
    stimulus="None: the steps of the scene bring about what the rules are about",
    expect="Whenever `when` has come true, `then` follows in time; as long as `while` is true, `then` is too",
    usual_cause="A device does what its own firmware has in mind, whatever the home expects of it.",
)
class RuleHolds(TogetherCheck):
    """Passive: reads the whole run."""

    def subjects(self, home: Home) -> Iterable[Subject]:
        return [Subject(rule.id) for rule in home.scene.rules] if home.scene is not None else ()

    def judge(self, case: TogetherCase) -> Outcome:
        assert case.home.scene is not None, "planned without a scene"
        rule = case.home.scene.rule(name_of(case.subject))
        end = case.window[-1].time
        kept: list[int] = []
        for episode in _episodes(case, rule):
            if episode.lost is not None:
                text = f"rule {rule.id}: {_wanted(rule)} was not so any more"
                return failed(text, episode.line, episode.lost.line)
            over = episode.end if episode.end is not None else end
            if episode.kept is None and over >= episode.begin + rule.within - ROUNDING:
                text = f"rule {rule.id}: {_wanted(rule)} did not come about within {rule.within:g} s"
                return failed(text, episode.line)
            if episode.late and episode.kept is not None:
                took = episode.kept.time - episode.begin
                text = f"rule {rule.id}: {_wanted(rule)} took {took:.3f} s, {rule.within:g} s are allowed"
                return failed(text, episode.line, episode.kept.line)
            if episode.kept is not None:
                kept += [episode.line, episode.kept.line]
        if not kept:
            return inconclusive(f"rule {rule.id}: what it is about never came about")
        return passed(f"{rule.purpose}: kept each of {len(kept) // 2} times", kept)


def _wanted(rule: Rule) -> str:
    return " and ".join(map(str, rule.then))


def _episodes(case: TogetherCase, rule: Rule) -> Iterator[_Episode]:
    """The times during which a rule demands something, with what became of each."""
    meaning = Meaning(case.home.profiles)
    state: dict[str, Value] = {}
    causes = rule.when or rule.while_
    events = [condition for condition in causes if condition.is_happening]
    was_true = False
    pending: _Episode | None = None  # true, but not yet for as long as `for` says
    current: _Episode | None = None
    for news in news_of(case):
        if pending is not None and news.time >= pending.begin:
            current, pending = pending, None
        if not news.is_event:
            state[news.name] = news.value
        is_true = meaning.all_hold(causes, state) and all(happened(each, news) for each in events)
        if is_true and (events or not was_true):
            if current is not None:
                yield current
                current = None
            pending = _Episode(news.line, news.time + rule.for_)
            if not rule.for_:
                current, pending = pending, None
        elif not is_true and not events:
            pending = None
            if current is not None and (rule.while_ or current.kept is not None):
                current.end = news.time
                yield current
                current = None
        was_true = is_true and not events
        if current is not None:
            _look(current, rule, meaning, state, news)
    if current is not None:
        yield current


def _look(episode: _Episode, rule: Rule, meaning: Meaning, state: dict[str, Value], news: News) -> None:
    """What one more piece of news means for an episode."""
    lasting = [condition for condition in rule.then if not condition.is_happening]
    events = [condition for condition in rule.then if condition.is_happening]
    holds = meaning.all_hold(lasting, state) and all(happened(condition, news) for condition in events)
    if episode.kept is None and holds:
        episode.kept = news
        episode.late = news.time > episode.begin + rule.within + ROUNDING
    elif episode.kept is not None and rule.while_ and not meaning.all_hold(lasting, state):
        episode.lost = episode.lost or news
