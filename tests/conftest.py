"""What tests of all rooms share."""

import pytest
from hypothesis import settings

# No test depends on time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def refuses(capsys):
    """refuses(call, text): the command line `call` prints one line with that text on standard error and ends with status 2."""

    def check(call, named):
        try:
            status = call()
        except SystemExit as leaving:
            status = leaving.code
        printed = capsys.readouterr()
        assert status == 2
        assert named in printed.err
        assert len(printed.err.strip().splitlines()) == 1
        assert not printed.out

    return check


def pytest_terminal_summary(terminalreporter):
    """Tests in a browser that were not run are told where nobody can overlook it."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "BROWSER TEST NOT RUN" in str(report.longrepr)]
    if skipped:
        reason = str(skipped[0].longrepr[-1]).partition("BROWSER TEST NOT RUN: ")[2]
        terminalreporter.section("NOT LOOKED AT IN A BROWSER", sep="!", red=True)
        terminalreporter.line(f"{len(skipped)} tests of the report and the explorer were skipped: {reason}")
