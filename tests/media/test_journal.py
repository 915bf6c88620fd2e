"""The journal of events that are still to be told."""

from pathlib import Path

from auralink.media.journal import COMPACT_AFTER, Journal


def tell_all(journal: Journal) -> list[str]:
    told = []
    while entry := journal.oldest():
        told.append(entry.body)
        journal.acknowledge(entry)
    return told


def test_what_was_flushed_survives_a_crash_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(3):
        journal.append(f"event {number}\nwith a second line")
    journal.flush()
    assert tell_all(Journal(tmp_path)) == [f"event {number}\nwith a second line" for number in range(3)]


def test_what_was_acknowledged_is_not_told_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("first")
    journal.append("second")
    journal.flush()
    first = journal.oldest()
    assert first is not None
    journal.acknowledge(first)
    journal.flush()
    assert tell_all(Journal(tmp_path)) == ["second"]


def test_a_line_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("whole")
    journal.flush()
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"number": 2, "bo')
    assert tell_all(Journal(tmp_path)) == ["whole"]


def test_what_follows_a_torn_line_is_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("whole")
    journal.flush()
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"number": 2, "bo')
    recovered = Journal(tmp_path)
    recovered.append("after the crash")
    recovered.flush()
    assert tell_all(Journal(tmp_path)) == ["whole", "after the crash"]


def test_a_batch_that_could_not_be_written_is_written_later_and_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("first")
    batch = journal.take()
    journal.append("second")
    journal.give_back(batch)
    journal.flush()
    assert tell_all(Journal(tmp_path)) == ["first", "second"]


def test_acknowledged_events_leave_the_file_though_others_wait(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(COMPACT_AFTER + 1):
        journal.append(f"event {number}")
    journal.flush()
    for _ in range(COMPACT_AFTER):
        entry = journal.oldest()
        assert entry is not None
        journal.acknowledge(entry)
    journal.append("new")
    journal.flush()
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2
    assert tell_all(Journal(tmp_path)) == [f"event {COMPACT_AFTER}", "new"]


def test_an_emptied_journal_leaves_no_file_and_numbers_go_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("one")
    journal.flush()
    tell_all(journal)
    journal.flush()
    assert not (tmp_path / "events.jsonl").exists()
    again = Journal(tmp_path)
    again.append("two")
    again.flush()
    assert tell_all(Journal(tmp_path)) == ["two"]
