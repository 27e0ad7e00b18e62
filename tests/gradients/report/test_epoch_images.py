"""Pictures of a table's gradients by epoch."""

import numpy as np
from histories import FOUR, bucket, history

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.epoch_images import axis_shares, epoch_images, shown_epochs


def test_all_of_few_epochs_have_pictures_or_else_the_powers_of_two_and_the_last() -> None:
    assert shown_epochs(range(1, 16)) == [1, 2, 4, 8, 15]
    assert shown_epochs([1, 2, 3, 6, 11]) == [1, 2, 3, 6, 11]
    assert shown_epochs([]) == []
    made = list(epoch_images(GradientHistory.of(history(epochs=3)).samples))
    assert [(table, epoch) for table, epoch, _ in made] == [(table, epoch) for epoch in (1, 2, 3) for table in FOUR]
    assert made[0][2].shape == (340, 600, 3)
    assert not np.array_equal(made[0][2], made[-1][2])


def test_values_beyond_the_axis_of_a_picture_are_counted_in_its_last_bar() -> None:
    share = axis_shares(bucket(np.array([1e6, -1e6, 1.0, 0.0])))
    assert [share[0], share[-1], share[len(share) // 2]] == [0.25, 0.25, 0.25]
    assert share.sum() == 1
