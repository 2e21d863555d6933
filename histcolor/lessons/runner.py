"""Run notebooks headlessly: the parameters that a profile gives them, and the files that each must leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histcolor.checks import read_config

TIMEOUT = 1800  #: seconds that one cell may take on the smoke and demo profiles
TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def read_profile(notebooks: Path, profile: str) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Read the parameters of each notebook under a profile, and the files that each must leave.

    Raises:
        ValueError: there is no such profile, or it names a notebook that is not there; or the file is damaged.
        OSError: ``profiles.toml`` is missing.
    """
    path = notebooks / "profiles.toml"
    table = read_config(path, "run this from the project's folder")
    files = table.pop("files", None)
    if not isinstance(files, dict) or not all(map(_inside, files.values())):
        raise ValueError(f"{path}: [files] must give a list of files in the results folder for each notebook.")
    if profile not in {"demo", *table}:
        raise ValueError(f"There is no profile {profile!r}; there are {', '.join(sorted({'demo', *table}))}.")
    chosen = table.get(profile, {})
    if not isinstance(chosen, dict) or not all(isinstance(parameters, dict) for parameters in chosen.values()):
        raise ValueError(f"{path}: [{profile}] must hold tables of parameters, as [{profile}.NOTEBOOK].")
    for name in [*chosen, *files]:
        if not (notebooks / f"{name}.ipynb").is_file():
            raise ValueError(f"{path}: names the notebook {name}, which is not there.")
    return chosen, files


def _inside(names: object) -> bool:
    """Tell whether all are names of files below a folder; what is there of old is removed before a run."""
    return isinstance(names, list) and all(
        isinstance(name, str) and name and not Path(name).is_absolute() and ".." not in Path(name).parts
        for name in names
    )


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Refuse parameters that the notebook does not have, or of another type (papermill itself only warns).

    Raises:
        ValueError: names the parameter.
    """
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    for name, value in parameters.items():
        if name not in known:
            raise ValueError(f"{notebook.stem}: has no parameter {name!r}; it has {', '.join(sorted(known))}.")
        kind = TYPES.get(known[name]["inferred_type_name"], object)
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise ValueError(f"{notebook.stem}: parameter {name!r} must be {kind.__name__}, got {value!r}.")


def run_notebook(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    expected: list[str],
    *,
    quiet: bool,
    timeout: int | None = TIMEOUT,
) -> None:
    """Run one notebook in a kernel of this Python; the executed copy goes to ``output/executed``.

    Raises:
        ValueError: an unknown parameter.
        RuntimeError: a cell failed, or an expected file was not written in this run; one sentence.
    """
    from unittest.mock import patch

    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from nbclient.output_widget import OutputWidget

    check_parameters(notebook, parameters)
    executed = output / "executed" / notebook.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    for name in expected:  # an old file must not stand for one that this run failed to write
        (output / name).unlink(missing_ok=True)
    try:
        # nbclient answers a slider's output amid a cell, and ipykernel 7 then may lose its reply: the page would wait
        # for ever. Nobody looks at sliders in a headless run, so that nothing is answered.
        with patch.object(OutputWidget, "send"):
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters={"results": str(output.resolve()), **parameters},
                kernel_name="python3",
                cwd=str(notebook.parent),
                progress_bar=not quiet,
                execution_timeout=timeout,
                log_output=False,
            )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"{notebook.stem}: cell {error.exec_count} failed: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise RuntimeError(f"{notebook.stem}: {type(error).__name__} after at most {timeout} s a cell.") from error
    if missing := [name for name in expected if not (output / name).is_file()]:
        raise RuntimeError(f"{notebook.stem}: did not write {', '.join(missing)}.")
