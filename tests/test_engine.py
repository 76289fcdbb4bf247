import asyncio
import threading
import time

import pytest

from k8sgpt_magic.engine import Engine, in_thread
from tests.threads import OwnThreads


@pytest.fixture
def engine():
    engine = Engine()
    yield engine
    engine.stop()


async def _answer(value):
    await asyncio.sleep(0)
    return value


def test_a_coroutine_runs_on_another_thread_and_returns_its_result(engine):
    async def where():
        return threading.current_thread()

    assert engine.run(where()) is not threading.current_thread()
    assert engine.run(_answer(7)) == 7


def test_what_a_coroutine_raises_is_raised_where_it_is_awaited(engine):
    async def fail():
        raise TimeoutError("of the coroutine's own")

    with pytest.raises(TimeoutError, match="own"):
        engine.run(fail())


def test_it_works_inside_a_running_loop(engine):
    async def cell():
        return engine.run(_answer("from a running loop"))

    assert asyncio.run(cell()) == "from a running loop"


def test_it_works_from_several_threads_at_once(engine):
    results = []
    threads = [threading.Thread(target=lambda n=n: results.append(engine.run(_answer(n)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))


def test_code_that_the_engine_itself_runs_may_use_it_again(engine):
    async def outer():
        return engine.run(_answer("inner"))

    assert engine.run(outer()) == "inner"


def test_an_interrupt_cancels_the_coroutine_lets_it_clean_up_and_is_raised_again(engine):
    cleaned = threading.Event()

    async def hang():
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    waits = []

    def interrupt():
        waits.append(1)
        if len(waits) == 3:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        engine.run(hang(), on_wait=interrupt)
    assert cleaned.is_set()
    assert time.monotonic() - began < 5
    assert engine.run(_answer(1)) == 1


def test_stop_ends_the_thread_may_be_repeated_and_the_engine_starts_again(engine):
    threads = OwnThreads()
    engine.run(_answer(1))
    assert threads.names() == ["k8sgpt-magic"]
    engine.stop()
    engine.stop()
    assert not threads.names()
    assert engine.run(_answer(2)) == 2


def test_a_function_in_a_thread_can_be_awaited_and_may_raise(engine):
    assert engine.run(in_thread(lambda: 5)) == 5
    with pytest.raises(ZeroDivisionError):
        engine.run(in_thread(lambda: 1 / 0))
