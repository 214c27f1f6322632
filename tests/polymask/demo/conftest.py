"""What the tests of the demo share."""

import pytest

import demo


@pytest.fixture(scope="session")
def weights(overfitted):
    """The end of a command line: a model that knows the tiny dataset by heart."""
    return ["--opts", "MODEL.WEIGHTS", str(overfitted / "model_final.pth")]


@pytest.fixture(scope="session")
def run_demo(overfitted, weights):
    """Runs demo.py's main in this process, and returns its exit code."""

    def run(*arguments):
        words = ["--config-file", overfitted / "config.yaml", *arguments, "--confidence-threshold", "0.3", *weights]
        return demo.main([str(word) for word in words])

    return run


@pytest.fixture(scope="session")
def photos(tiny_dataset):
    """The folder of the photos that the model has learned; each has a bar and a disc."""
    return tiny_dataset.parent / "labelme/train"
