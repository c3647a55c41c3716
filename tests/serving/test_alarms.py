"""Alarms: one timer for all requests, which rings each in its time."""

import asyncio

from serving.alarms import Alarms


def test_rings_in_order_of_time() -> None:
    """Alarms ring once each, the earliest first, whatever the order in which they were set."""

    async def ring() -> list[float]:
        alarms, rung, ended = Alarms(), [], asyncio.Event()
        for seconds in (0.06, 0.02, 0.04):
            alarms.set(seconds, lambda seconds=seconds: rung.append(seconds))
        alarms.set(0.08, ended.set)
        await ended.wait()
        return rung

    assert asyncio.run(ring()) == [0.02, 0.04, 0.06]


def test_cleared_and_postponed() -> None:
    """A cleared alarm never rings, and a postponed one only after those that were set for earlier."""

    async def ring() -> list[str]:
        alarms, rung, ended = Alarms(), [], asyncio.Event()
        cleared = alarms.set(0.02, lambda: rung.append("cleared"))
        postponed = alarms.set(0.02, lambda: (rung.append("postponed"), ended.set()))
        alarms.set(0.03, lambda: rung.append("other"))
        alarms.clear(cleared)
        postponed.seconds = 0.05
        postponed.postpone()
        await ended.wait()
        assert postponed.has_rung
        assert not cleared.has_rung
        return rung

    assert asyncio.run(ring()) == ["other", "postponed"]
