"""What a user is told, and the exit code that goes with it."""

import pytest

from dataset_tools.errors import EXIT_DATA, EXIT_USAGE, UserError, run_command


def test_message_says_where_what_and_what_to_do():
    error = UserError("it is empty", remedy="Fill it", file="a.json", place="shapes[3]")
    assert str(error) == "a.json, shapes[3]: it is empty. Fill it."
    assert str(UserError("it is empty", remedy="Fill it")) == "it is empty. Fill it."


@pytest.mark.parametrize("code", [EXIT_DATA, EXIT_USAGE])
def test_user_error_becomes_a_message_and_its_exit_code(code, capsys):
    def command():
        raise UserError("it is empty", remedy="Fill it", exit_code=code)

    assert run_command(command) == code
    assert capsys.readouterr().err == "error: it is empty. Fill it.\n"


def test_success_is_0():
    assert run_command(lambda: None) == 0
    assert run_command(lambda: 1) == 1
