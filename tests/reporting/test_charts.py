import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tandem.reporting.page.charts import MAX_POINTS, Axis, Dots, Line, axis_of, histogram, line_chart

UNIT = Axis("x", 0, 1)


def parts(chart, tag):
    return list(ET.fromstring(chart).iter(tag))


def drawn(lines, **more):
    return line_chart(lines, x=UNIT, y=UNIT, title="t", description="d", **more)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", 1, 15), [5, 10, 15]),
        (Axis("", 1, 3, is_whole=True), [1, 2, 3]),
        (Axis("", 0, 1e-6), [0, 2e-7, 4e-7, 6e-7, 8e-7, 1e-6]),
        (Axis("", 0.372, 1), [0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round_values_within_the_axis(axis, ticks):
    assert axis.ticks == pytest.approx(ticks)


def test_an_axis_has_room_for_all_values_that_are_numbers():
    assert axis_of("x", [3.0, float("nan"), 1.0]) == Axis("x", 1.0, 3.0)
    assert axis_of("x", [3.0], from_zero=True) == Axis("x", 0.0, 3.0)
    assert axis_of("x", [2.0]) == Axis("x", 2.0, 3.0)
    assert axis_of("x", []) == Axis("x", 0.0, 1.0)


def test_a_line_goes_through_its_points_and_a_value_that_is_no_number_is_left_out():
    (line,) = parts(drawn([Line("s1", [0, 0.5, 1], [0, float("nan"), 1])]), "polyline")
    (left, bottom), (right, top) = (tuple(map(float, point.split(","))) for point in line.get("points").split())
    assert left < right
    assert top < bottom


def test_a_long_line_is_thinned_to_its_ends():
    x = np.linspace(0, 1, 10_000)
    whole, short = (parts(drawn([Line("s1", each, each)]), "polyline")[0].get("points").split() for each in (x, [0, 1]))
    assert len(whole) == MAX_POINTS
    assert [whole[0], whole[-1]] == short


def test_a_dot_is_larger_the_more_it_stands_for():
    small, large = parts(drawn([], dots=Dots([0.2, 0.8], [0.5, 0.5], [1, 100])), "circle")
    assert float(small.get("r")) < float(large.get("r"))


def test_bars_are_as_high_as_their_counts():
    chart = histogram([1, 2, 0], [0, 1, 2, 3], label="x", title="t", description="d")
    one, two, none = (float(bar.get("height")) for bar in parts(chart, "rect"))
    assert two == pytest.approx(2 * one)
    assert none == 0


def test_a_chart_says_what_it_is_and_escapes_what_it_is_told():
    chart = line_chart([], x=Axis("<b>x</b>", 0, 1), y=UNIT, title='a "<b>" title', description="a <b> description")
    root = ET.fromstring(chart)
    assert (root.get("role"), root.get("aria-label")) == ("img", 'a "<b>" title')
    assert [each.text for tag in ("title", "desc") for each in root.iter(tag)] == ['a "<b>" title', "a <b> description"]
    assert "<b>" not in chart
