"""Image files and their names."""

from io import BytesIO

import numpy as np
from PIL import Image

from cfmodel.tracking.logging.image_files import image_files


def test_an_image_logged_twice_has_the_same_names_and_another_step_has_others() -> None:
    pixels = np.zeros((2, 4, 3), np.uint8)
    once, again, later = (set(image_files([("gradients/users", step, pixels)])) for step in (1, 1, 2))
    assert once == again
    assert not once & later
    assert all(name.startswith("images/gradients~users+step+1+timestamp+1+") for name in once)


def test_the_png_holds_the_pixels_and_the_webp_is_512_wide() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    files = image_files([("a", 1, pixels)])
    png, webp = (next(content for name, content in files.items() if name.endswith(end)) for end in (".png", ".webp"))
    assert isinstance(png, bytes)
    assert isinstance(webp, bytes)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png))), pixels)
    assert Image.open(BytesIO(webp)).size == (512, 256)
