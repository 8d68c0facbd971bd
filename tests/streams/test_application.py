"""What a definition names is offered by a node, or isn't."""

import pytest

from streams.application import application_problem, is_offered


@pytest.mark.parametrize(
    ("application", "offer", "offered"),
    [
        ("resize", "resize", True),
        ("resize", "resize@04a05a5d4345", True),
        ("resize@04a05a5d", "resize@04a05a5d4345", True),
        ("resize@04a05a5d4345", "resize@04a05a5d4345", True),
        ("resize@04a05a5e", "resize@04a05a5d4345", False),
        ("resize@04a05a5d", "resize", False),
        ("resize@04a05a5d", "other@04a05a5d4345", False),
        ("resize", "resize-2", False),
        ("resize", "any", False),
    ],
)
def test_a_pin_takes_the_image_whose_hash_begins_so(
    application: str, offer: str, offered: bool
) -> None:
    assert is_offered(application, offer) is offered


@pytest.mark.parametrize(
    "wrong", ["resize@", "resize@04A0", "resize@04a", "resize@04a05a5d43456", "@04a0", "a@b@04a0"]
)
def test_what_is_no_pin_is_refused(wrong: str) -> None:
    assert "behind it 4 to 12 digits of a hash" in str(application_problem(wrong))


@pytest.mark.parametrize("fine", ["resize", "any", "my operation", "resize@04a0"])
def test_what_has_no_pin_may_be_any_text(fine: str) -> None:
    assert application_problem(fine) is None
