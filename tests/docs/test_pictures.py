"""How the pictures of the docs are drawn, without the programs that draw them."""

import os

import pytest

from docs import pictures


@pytest.mark.parametrize(("user", "expected"), [(1000, False), (0, True)])
def test_chromium_keeps_its_sandbox_unless_it_runs_as_root(tmp_path, monkeypatch, user, expected):
    calls = []
    monkeypatch.setattr(pictures.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(pictures.subprocess, "run", lambda command, **_: calls.append(command))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    pictures.screenshot(tmp_path / "report.html", tmp_path / "report.png")
    assert [("--no-sandbox" in command) for command in calls] == [expected]
