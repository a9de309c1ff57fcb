"""The algorithm's image in each region, compared with the SageMaker SDK."""

from __future__ import annotations

import pytest

from core.aws.images import image_uri, is_semantic_segmentation
from core.errors import InputError


def test_the_image_of_every_region_is_the_sdks() -> None:
    """For every region that the SDK knows, the image is the one that its own function returns."""
    from sagemaker.core import image_uris
    from sagemaker.core.image_uris import config_for_framework

    regions = config_for_framework("semantic-segmentation")["versions"]["1"]["registries"]
    assert len(regions) >= 37
    for region in regions:
        uri = image_uris.retrieve("semantic-segmentation", region)
        assert image_uri(region) == uri
        assert is_semantic_segmentation(uri)


@pytest.mark.parametrize(
    "image",
    [
        "",
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/object-detection:1",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1",
        "811284229777.dkr.ecr.us-west-2.amazonaws.com/semantic-segmentation:1",
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation",
    ],
)
def test_other_images_are_not_the_algorithms(image: str) -> None:
    """Another repository, a copy and another region's account are not AWS's own image."""
    assert not is_semantic_segmentation(image)


def test_a_region_without_the_algorithm_is_told_with_those_that_have_it() -> None:
    """If AWS does not offer the algorithm in a region, the error lists the regions that have it."""
    with pytest.raises(InputError, match="mars-north-1") as caught:
        image_uri("mars-north-1")
    assert "eu-west-1" in caught.value.todo
