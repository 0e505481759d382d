"""Which of several processes this one is, by what torchrun sets."""

import pytest

from tandem.cluster.group import ONLY, Rank, launched_rank, leave_to_first


def test_without_a_launcher_a_process_is_the_only_one() -> None:
    assert launched_rank({}) == launched_rank({"RANK": "0", "WORLD_SIZE": "1"}) == ONLY
    assert launched_rank({"WORLD_SIZE": "4"}) == ONLY, "a variable of that name alone is no launcher"


def test_torchrun_says_which_one_it_is() -> None:
    assert launched_rank({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == Rank(5, 8, local_number=1)


def test_all_but_the_first_end_well() -> None:
    leave_to_first(Rank(0, 2))
    with pytest.raises(SystemExit) as ended:
        leave_to_first(Rank(1, 2))
    assert ended.value.code == 0
