"""What tests of all rooms share."""

import pytest


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
