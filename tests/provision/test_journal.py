"""The journal: on disk before the call, whole after a crash, one truth from many runs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provision.attempts import Status, Thing
from provision.errors import ProvisionError
from provision.journal import Journal
from provision.machine import ATTEMPT, Image
from tests.embedded import ROOT
from tests.eventually import eventually


def _begun(folder: Path, run: str = "a") -> tuple[Journal, str]:
    journal = Journal(folder, run)
    return journal, _intend(journal)


def _intend(journal: Journal) -> str:
    return journal.intend(Thing.MACHINE, "moto", "m", {"streamboss:role": "build"})


def test_an_attempt_goes_from_intent_to_done_to_closed(journal: Journal) -> None:
    attempt = _intend(journal)
    assert journal.attempts()[attempt].status is Status.INTENT
    journal.done(attempt, "i-1")
    known = journal.attempts()[attempt]
    assert (known.status, known.thing_id, known.live) == (Status.DONE, "i-1", True)
    journal.undone(attempt)
    assert journal.attempts() == {}
    journal.done(attempt, "i-1")
    assert journal.attempts() == {}, "what is gone stays gone"


def test_a_closed_run_is_over_for_others_and_its_attempts_stay(tmp_path: Path) -> None:
    journal, attempt = _begun(tmp_path)
    assert Journal(tmp_path, "b").attempts()[attempt].live
    journal.close()
    assert not Journal(tmp_path, "b").attempts()[attempt].live


def test_a_killed_run_is_over_and_what_it_wrote_is_whole(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from provision.attempts import *\n"
        "from provision.journal import *\n"
        "j = Journal(Path(sys.argv[1]), 'k'); j.intend(Thing.MACHINE, 'moto', 'm', {})\n"
        "print('written', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    ours = Journal(tmp_path, "b")
    (attempt,) = ours.attempts().values()
    assert attempt.live
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    eventually(lambda: not next(iter(ours.attempts().values())).live)


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    journal, attempt = _begun(tmp_path)
    journal.done(attempt, "i-1")
    journal.close()
    path = tmp_path / "a.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) + 1):
        path.write_bytes(whole[:length])
        (known,) = Journal(tmp_path, "b").attempts().values()
        assert known.status in {Status.INTENT, Status.DONE}


def test_a_damaged_line_in_the_middle_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"x\n{"t": "1"}\n')
    with pytest.raises(ProvisionError, match=r"a\.jsonl, line 1: damaged; move the file away"):
        Journal(tmp_path, "b").attempts()


def test_tags_that_change_are_remembered_for_clouds_that_keep_none(journal: Journal) -> None:
    attempt = _intend(journal)
    journal.changed(attempt, {"streamboss:lease-until": "2026-03-01T12:00:00Z"})
    assert journal.tags_by_attempt()[attempt] == {
        "streamboss:role": "build",
        "streamboss:lease-until": "2026-03-01T12:00:00Z",
        ATTEMPT: attempt,
    }


def test_files_without_anything_open_are_tidied_away_but_no_beginning_loses_its_end(
    tmp_path: Path,
) -> None:
    first, one = _begun(tmp_path, "a")
    other = first.intend(Thing.MACHINE, "moto", "n", {})
    first.close()
    with Journal(tmp_path, "b") as second:
        second.undone(one)
    ours = Journal(tmp_path, "c")
    ours.tidy()
    assert sorted(p.name for p in tmp_path.glob("*.jsonl")) == ["a.jsonl", "b.jsonl"]
    assert list(ours.attempts()) == [other]
    with Journal(tmp_path, "d") as third:
        third.undone(other)
    ours.tidy()
    assert not list(tmp_path.glob("*.jsonl"))


def test_an_image_of_elsewhere_is_adopted_before_it_is_removed(journal: Journal) -> None:
    image = Image("moto", "ami-1", "saved", available=True, tags={"x": "y"}, parts=("snap-1",))
    journal.adopt("0123456789abcdef", Thing.IMAGE, "moto", image)
    journal.removing("0123456789abcdef", image.parts)
    known = journal.attempts()["0123456789abcdef"]
    assert (known.status, known.thing_id, known.parts) == (Status.REMOVING, "ami-1", ("snap-1",))


def test_a_folder_that_cant_be_written_is_said_before_anything_is_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProvisionError, match="the journal can't be written"):
        Journal(tmp_path / "file" / "journal").intend(Thing.MACHINE, "moto", "m", {})


def test_records_hold_no_user_data_and_are_one_line_each(journal: Journal) -> None:
    attempt = _intend(journal)
    journal.failed(attempt, "two\nlines")
    lines = (journal.folder / f"{journal.run}.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["intent", "failed"]
