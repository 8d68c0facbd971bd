"""Message ids."""

import uuid

from streams.message import MessageIds


def test_ids_are_uuid_version_7_and_rise_within_a_source() -> None:
    source = MessageIds()
    ids = [source.next() for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    parsed = [uuid.UUID(text) for text in ids]
    assert {each.version for each in parsed} == {7}
    assert {each.variant for each in parsed} == {uuid.RFC_4122}
    assert [str(each) for each in parsed] == ids


def test_several_ids_at_once_are_as_good_as_one_after_the_other() -> None:
    class Short(MessageIds):
        _COUNTER_LIMIT = 7  # so that a batch of them meets it

    source = Short()
    ids = [one for number in range(1, 12) for one in (source.next(), *source.several(number))]
    assert len(ids) == 11 + sum(range(1, 12))
    assert ids == sorted(set(ids))


def test_two_sources_do_not_meet() -> None:
    one, other = MessageIds(), MessageIds()
    assert not {one.next() for _ in range(5000)} & {other.next() for _ in range(5000)}
