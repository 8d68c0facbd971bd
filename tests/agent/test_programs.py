"""The operator process against programs of every kind: what must come of each, to the byte.

All selected cases run at once, a few at a time, each with an operator process of its own.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest

from tests.agent.cases import Case, Outcome
from tests.agent.sandbox_cases import SANDBOX
from tests.agent.service_cases import SERVICE
from tests.agent.single_cases import SINGLE
from tests.rabbit import BrokerNode

#: Cases wait more than they work, so more of them than cores.
AT_ONCE = 5

Outcomes = Mapping[str, Future[Outcome]]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    broker_node: BrokerNode,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Outcomes]:
    """What comes of each case that this run has selected."""
    selected: list[Case] = [
        cast("Case", item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    folder = tmp_path_factory.mktemp("programs")
    with broker_node.vhost() as settings, ThreadPoolExecutor(AT_ONCE) as pool:
        urls = settings.need_amqp()
        yield {
            case.says: pool.submit(case.run, urls, f"op{number}", folder / f"op{number}")
            for number, case in enumerate(selected)
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.says)
def test_single(case: Case, outcomes: Outcomes) -> None:
    case.judge(outcomes[case.says].result())


@pytest.mark.parametrize("case", SERVICE, ids=lambda case: case.says)
def test_service(case: Case, outcomes: Outcomes) -> None:
    case.judge(outcomes[case.says].result())


@pytest.mark.parametrize("case", SANDBOX, ids=lambda case: case.says)
def test_sandbox(case: Case, outcomes: Outcomes) -> None:
    case.judge(outcomes[case.says].result())
