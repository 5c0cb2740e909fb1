"""Opening the panel: quick, and without PyTorch, whatever the user has stored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from AdaptCore.adapt.recipe import DEFAULT
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.preference.adviser import space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from Testing.learning_toy import LearningToy
from Testing.toy_model import ToyModel

REPOSITORY = Path(__file__).resolve().parents[2]
OPEN = """
import json, sys
from pathlib import Path
from Testing.screenshots import MODULE, a_window

with a_window(Path(sys.argv[1])) as host:
    import slicer

    slicer.app.userSettings().setValue("InteractiveAdaptSeg/User", "Anna")
    panel = host.open(MODULE)
    host.process_events()
    ui, loaded = panel.ui, "torch" in sys.modules
    lists = ([box.itemText(row) for row in range(box.count)] for box in (ui.taskSelector, ui.userSelector))
    print(json.dumps([loaded, *lists, ui.userSelector.currentText, ui.profileLabel.text, ui.messageLabel.text]))
"""


def test_panel_lists_tasks_and_users_without_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="PySide6 cannot be loaded", exc_type=ImportError)
    tasks, profiles = TaskStore(tmp_path / "home" / "tasks"), ProfileStore(tmp_path / "home" / "profiles")
    toy = LearningToy()
    task = tasks.load("Lesion", toy, DEFAULT)
    tasks.save(task, task.known)
    (tasks.folder / "damaged.task.safetensors").write_bytes(b"nothing")
    space = space_of(ToyModel(), None)
    profiles.pick(Profile.fresh("Anna", "default", space), space.prior.means[:1])
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    loaded, task_names, users, user, profile, message = json.loads(done.stdout.splitlines()[-1])
    assert not loaded, "PyTorch takes seconds to load"
    assert (task_names, users, user) == (["Lesion"], ["Anna"], "Anna")
    assert profile == "Anna: has learnt from 1 mask" and message.startswith("The buttons show their keys.")
