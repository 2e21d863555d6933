"""``histcolor experiment``: what it may replace."""

import pytest

from histcolor.cli.main import main


@pytest.mark.parametrize("name", ["table.csv", "differences.csv"])
def test_a_table_of_another_program_stays(name, photos, tmp_path, capsys):
    (tmp_path / name).write_text("guest,table\nAda,1\n")
    assert main(["experiment", "ablation", "--photos", str(photos), "--output", str(tmp_path)]) == 1
    assert f"{tmp_path / name}: is there already, and this command did not make it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing was begun"
