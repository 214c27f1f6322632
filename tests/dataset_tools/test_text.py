"""Text on its way from files to terminals: nothing can steer one, and what is not text is recognised."""

from dataset_tools.text import is_text, one_line, parse_integer, visible


def test_what_could_steer_a_terminal_is_escaped():
    assert visible("a\x1b[31m\n苹果") == "a\\x1b[31m\n苹果"
    assert one_line("a\r\nb") == "a\\r\\nb"


def test_of_long_text_the_middle_is_left_out():
    text = one_line("a" + "\n" * 2_000_000 + "b")
    assert text.startswith("a\\n") and text.endswith("\\nb") and "1,998,002 more characters" in text
    assert len(text) < 5000
    assert one_line("a" * 2000) == "a" * 2000


def test_file_names_that_are_no_text_are_told_apart():
    assert is_text("苹果.jpg") and not is_text("a\udcff.jpg")


def test_integers_that_do_not_fit_64_bits_become_floats():
    assert parse_integer("123456789012345678") == 123456789012345678
    assert parse_integer("1" + "0" * 30) == 1e30
