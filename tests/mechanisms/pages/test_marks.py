"""Marks of a page are found, filled in, and compared; what stands outside of them is left alone."""

import pytest

from mechanisms.pages.marks import asked, filled, stale
from mechanisms.validation import UserError

PAGE = """# A page
<!-- records: verdicts H1 -->
old table
<!-- end of records -->
It is <!--=H1#1 as points-->old<!--/-->, and <!--=H1--><!--/-->. <!-- a comment -->
"""


def answered(page):
    return filled(page, lambda asked: f"table of {asked}\n", lambda asked: f"number of {asked}")


def test_every_mark_holds_its_answer_and_nothing_else_changes():
    assert answered(PAGE) == (
        "# A page\n<!-- records: verdicts H1 -->\ntable of verdicts H1\n<!-- end of records -->\n"
        "It is <!--=H1#1 as points-->number of H1#1 as points<!--/-->, and <!--=H1-->number of H1<!--/-->. <!-- a comment -->\n"
    )
    assert asked(PAGE) == ["verdicts H1", "H1#1 as points", "H1"]


def test_what_is_current_stays_and_what_is_stale_is_named():
    current = answered(PAGE)
    assert answered(current) == current
    assert stale(current, current) == []
    assert stale(current.replace("table of", "tables of"), current) == ["verdicts H1"]
    assert stale(PAGE, current) == asked(PAGE)


@pytest.mark.parametrize("page", ["<!-- records: verdicts H1 -->\nno end\n", "the number <!--=H1-->7"])
def test_a_mark_that_is_not_closed_is_refused(page):
    with pytest.raises(UserError, match="1 marks are opened and 0 closed"):
        answered(page)
