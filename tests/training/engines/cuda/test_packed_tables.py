"""All tables of a model as one tensor."""

import torch

from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.cuda.packed_tables import PackedTables


def test_the_models_tables_are_views_of_the_packed_rows_with_ones_beside_the_biases() -> None:
    model = CollaborativeFiltering(4, 3, 5, init_std=1.0)
    before = {name: table.detach().clone() for name, table in model.weights().items()}
    packed = PackedTables(model)
    assert packed.weight.shape == (7, 8)
    assert all(bool((ones == 1).all()) for ones in packed.constants(packed.weight))
    for name, view in packed.views(packed.weight).items():
        assert torch.equal(model.weights()[name], before[name])
        assert torch.equal(view, before[name])
    assert torch.equal(
        packed.embeddings(packed.weight), torch.cat([before["user_embeddings"], before["movie_embeddings"]])
    )
    packed.weight.fill_(2.0)
    assert all(bool((table == 2).all()) for table in model.parameters())
