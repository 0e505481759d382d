from planted_run import PARAMS, planted_facts
from tandem.reporting.page.torn_groups import ImageGroup, image_groups
from tandem.tables.splits import assign_split


def test_a_group_is_shown_with_the_splits_that_chance_gives_its_files(tmp_path):
    facts = planted_facts(tmp_path)
    (group,) = image_groups(facts)
    assert group.ids == facts.samples.ids[:2]
    assert group.sources == ("web", "exports")
    options = {key: PARAMS["curate"][key] for key in ("fractions", "seed")}
    names = facts.index.found_in[0]
    assert set(group.random_splits[group.ids[0]]) == {assign_split(name, **options) for name in names}
    assert len(names) == 2


def test_what_a_group_is_torn_over_is_in_the_order_of_splits_and_leaks_between_train_and_test():
    torn = ImageGroup(("a", "b"), ("web",), {"a": ("test",), "b": ("train", "test")})
    assert torn.torn_over == ("train", "test")
    assert torn.leaks
    whole = ImageGroup(("a", "b"), ("web",), {"a": ("val",), "b": ("val",)})
    assert whole.torn_over == ("val",)
    assert not whole.leaks
