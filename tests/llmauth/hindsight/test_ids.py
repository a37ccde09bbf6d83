from __future__ import annotations

from llmauth.hindsight.ids import begins, newest_last, shortener


def test_ids_are_cut_to_what_tells_them_apart() -> None:
    short = shortener(["req_91c2aaaa", "req_91c2abbb", "req_00000000", "t", "trace-of-a-client"])
    told = [short(one) for one in ("req_91c2aaaa", "req_91c2abbb", "req_00000000", "t", "trace-of-a-client", "other")]
    assert told == ["req_91c2aa", "req_91c2ab", "req_0000", "t", "trace-of", "other"]
    assert begins("req_91c2aaaa", short("req_91c2aaaa"))


def test_several_processes_are_one_row_in_time() -> None:
    answers = [{"requests": [{"at": 1}, {"at": 4}]}, {"requests": [{"at": 2}]}]
    assert [one["at"] for one in newest_last(answers)] == [1, 2, 4]
