import numpy as np

from raysee.audio.augment import VARIANTS, augment
from raysee.features import front_end


def test_the_chunks_of_eight_copies_follow_each_other() -> None:
    samples = (0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * 16_384) / 16_000)).astype(np.float32)
    found, chunks = front_end("chunks64-augmented")(samples), front_end("chunks64")
    copies = [chunks(augment(samples, 16_000, *variant)) for variant in VARIANTS]
    assert np.array_equal(found, np.concatenate(copies[1:]))
    assert {len(copy) for copy in copies} == {3, 4}, "slower ones are longer"
    assert not any(np.array_equal(copies[0][0], copy[0]) for copy in copies[1:])
