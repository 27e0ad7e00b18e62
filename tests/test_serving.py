import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.serving import _load_pyfunc


def test_a_process_without_the_checkout_gives_the_same_answers(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "model"
    model = CollaborativeFiltering(
        2, 3, 4, scale=RatingScale(3.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    Recommender(model, Vocabulary.of(["1", "2"]), Vocabulary.of(["10", "11", "x"]), 1.0, 5.0).save(folder)
    table = pd.DataFrame({"user_id": ["1", "2", "who"], "movie_id": ["x", "what", "10"]})
    code = f"""
import json, sys
for name in ("flows", "tasks", "prefect", "mlflow"):
    sys.modules[name] = None  # importing it raises
import pandas as pd
from cfmodel.serving import _load_pyfunc
table = pd.DataFrame({table.to_dict("list")!r})
print(json.dumps(_load_pyfunc({str(folder)!r}).predict(table).tolist()))
"""
    fresh = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(fresh.stdout) == _load_pyfunc(str(folder)).predict(table).tolist()
