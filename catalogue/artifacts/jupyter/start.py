"""Starts JupyterLab out of the folder in which this file lies, wherever that is. Arguments are JupyterLab's own."""

import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

sys.path.insert(0, HERE)
# For JupyterLab and for kernels, which are processes of their own.
OURS = {
    "PYTHONPATH": HERE,
    "JUPYTER_PATH": f"{HERE}/share/jupyter",
    "JUPYTER_CONFIG_PATH": f"{HERE}/etc/jupyter",
}
os.environ.update(OURS)
# Terminals do not get them: the customer's own programs run there.
TERMINAL = {"shell_command": ["env", *(f"--unset={name}" for name in OURS), "bash"]}

# What a customer has not chosen otherwise: no question about news from elsewhere.
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
os.makedirs(f"{HERE}/share/jupyter/lab/settings", exist_ok=True)
with open(f"{HERE}/share/jupyter/lab/settings/overrides.json", "w", encoding="utf-8") as overrides:
    json.dump(SETTINGS, overrides)

from jupyterlab.labapp import LabApp  # noqa: E402

# Nobody else may look into it, and its name is short, as those of the sockets in it have to be.
with tempfile.TemporaryDirectory(prefix="jupyter-") as runtime:
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime
    LabApp.launch_instance(
        argv=[
            f"--LabApp.app_dir={HERE}/share/jupyter/lab",
            f"--ServerApp.terminado_settings={TERMINAL}",
            # Sockets, not ports: on a machine with neighbours, they could connect to a kernel's ports.
            "--KernelManager.transport=ipc",
            # Nothing is asked of the internet by itself.
            "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
            "--LabApp.news_url=None",
            *sys.argv[1:],
        ]
    )
