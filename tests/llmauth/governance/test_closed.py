"""Who has no request left is refused without asking, exactly as long as that is so."""

from llmauth.governance.buckets import UNIT
from llmauth.governance.closed import Closed
from llmauth.governance.demands import Demand, Reading, Scope

USER = Scope(key="user:a", rpm=60)
KEY = Scope(key="key:k", tpm=10)
DEMAND = Demand(scopes=(KEY, USER))


def test_until_a_request_has_been_refilled():
    closed = Closed()
    assert closed.readings(DEMAND, 0) == ()
    closed.learn(DEMAND, (Reading(tokens=0), Reading(requests=UNIT // 2)), 100.0)
    key, user = closed.readings(DEMAND, 100.25)
    assert key == Reading()
    assert user.requests == UNIT * 3 // 4
    assert closed.readings(DEMAND, 100.5) == ()
    assert closed.readings(DEMAND, 100.25) == ()  # forgotten


def test_a_limit_that_was_changed_is_another():
    closed = Closed()
    closed.learn(DEMAND, (Reading(), Reading(requests=0)), 100.0)
    raised = Demand(scopes=(Scope(key="user:a", rpm=120),))
    assert closed.readings(raised, 100.1) == ()
    assert closed.readings(DEMAND, 100.1)


def test_tokens_and_what_runs_may_come_back_any_time_and_are_asked_for():
    closed = Closed()
    scopes = (Scope(key="a", tpm=5, concurrent=1, rpm=60),)
    closed.learn(Demand(scopes=scopes), (Reading(requests=UNIT, tokens=-5, running=1),), 100.0)
    assert closed.readings(Demand(scopes=scopes), 100.0) == ()


def test_not_more_are_kept_than_have_their_place(monkeypatch):
    monkeypatch.setattr("llmauth.governance.closed._MOST", 3)
    closed = Closed()
    for number in range(4):
        scopes = (Scope(key=str(number), rpm=60),)
        closed.learn(Demand(scopes=scopes), (Reading(requests=0),), 100.0)
    assert closed.readings(Demand(scopes=(Scope(key="0", rpm=60),)), 100.1) == ()
    assert closed.readings(Demand(scopes=(Scope(key="3", rpm=60),)), 100.1)
