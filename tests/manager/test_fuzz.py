"""Whatever is sent to the API, its answer is one that its schema names, and never a bug."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    use_after_free,
)

from tests.manager.databases import create_database
from tests.manager.serving import ADMIN, Api, serving
from tests.rabbit import BrokerNode

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
#: Beside them where there is time: two wrong logins a request, at the price of a password's hash.
WITH_LOGINS = [*CHECKS, ignored_auth]
#: In a sequence, also: what was removed is gone, what was made is there.
IN_TURN = [*CHECKS, use_after_free, ensure_resource_availability]
#: What a path may name so that there is something to find.
THERE = {"name": "there", "number": 1, "stream": "in"}


@pytest.fixture(scope="module")
def served(broker_node: BrokerNode, postgres: str) -> Iterator[Api]:
    """One manager for all examples, on the pickier database, with something there to be found."""
    with (
        broker_node.vhost() as settings,
        serving(settings, create_database(postgres)) as api,
        pytest.MonkeyPatch.context() as patch,
    ):
        # `ignored_auth` guesses hundreds of passwords, and wants to hear each time that it's wrong
        patch.setattr("manager.throttle.FREE", 1_000_000)
        _fill(api)
        yield api


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_any_request_gets_an_answer_of_the_schema(served: Api, mode: GenerationMode) -> None:
    _ask(served, mode, 1, CHECKS)


def test_any_sequence_of_requests_gets_answers_of_the_schema(served: Api) -> None:
    _ask_in_turn(served, walks=4, steps=8)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_any_of_many_requests_gets_an_answer_of_the_schema(
    served: Api, mode: GenerationMode
) -> None:
    _ask(served, mode, 60, WITH_LOGINS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_any_of_many_sequences_gets_answers_of_the_schema(served: Api) -> None:
    _ask_in_turn(served, walks=150, steps=20)


def _ask_in_turn(api: Api, *, walks: int, steps: int) -> None:
    """Make things, and ask for what the answers name: the same walks every time."""
    schema = schemathesis.openapi.from_dict(api.get("/api/openapi.json").json())
    schema.config.update(base_url=api.url)

    class Walk(schema.as_state_machine()):  # type: ignore[misc]  # made for this schema
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"auth": ADMIN}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, checks=IN_TURN, transport_kwargs={"auth": ADMIN})

    once = hypothesis.settings(
        max_examples=1,  # what one leaves behind changes what another finds: none is repeated
        phases=[hypothesis.Phase.generate],
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for number in range(walks):
        hypothesis.seed(number)(Walk)
        Walk.run(settings=once)


def _is_refused(case: Any) -> bool:
    """Whether a request whose path and login are ours now has a body that has to be refused."""
    body = case.meta.components.get(ParameterLocation.BODY)
    return body is not None and body.mode is GenerationMode.NEGATIVE


def _ask(api: Api, mode: GenerationMode, count: int, checks: list[Any]) -> None:
    """Send `count` made-up requests for each path and method: the same ones every time."""
    schema = schemathesis.openapi.from_dict(api.get("/api/openapi.json").json())
    schema.config.update(base_url=api.url)
    # removals last: they leave nothing to ask about
    asked = sorted(
        (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)),
        key=lambda operation: operation.method == "delete",
    )
    assert len(asked) > 25
    for operation in asked:

        @hypothesis.given(
            case=operation.as_strategy(generation_mode=mode), there=hypothesis.strategies.booleans()
        )
        @hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any, there: bool) -> None:
            if there:
                case.path_parameters |= {
                    k: v for k, v in THERE.items() if k in case.path_parameters
                }
            excluded = [negative_data_rejection] if there and not _is_refused(case) else []
            case.call_and_validate(checks=checks, excluded_checks=excluded, auth=ADMIN)

        with suppress(Unsatisfiable):  # nothing can be wrong about a request without parameters
            ask()


def _fill(api: Api) -> None:
    definition = {"name": "Upper", "application": "upper", "exec": "tr [a-z] [A-Z]"}
    assert api.post("/api/process_definition/", {"definition": definition}).status_code == 201
    operation = {"process_definition_id": 1, "input_stream": "in", "output_stream": "out"}
    assert api.post("/api/operations/", {"name": "there", **operation}).status_code == 201
    for kind, more in (("streams", {}), ("nodes", {}), ("users", {"password": "their own words"})):
        assert api.post(f"/api/{kind}/", {"name": "there", **more}).status_code == 201
