"""Packages of the wheel, with the repository's Resources and what the page takes from the Slicer module."""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["AdaptCore", "AdaptCore.*", "AdaptWeb"]),
        "AdaptCore.Resources",
        "AdaptWeb.Resources",
        "InteractiveAdaptSegLib",
    ],
    package_dir={
        "AdaptCore.Resources": "Resources",
        "AdaptWeb.Resources": "InteractiveAdaptSeg/Resources",
        "InteractiveAdaptSegLib": "InteractiveAdaptSeg/InteractiveAdaptSegLib",
    },
    package_data={
        "AdaptCore": ["py.typed"],
        "AdaptCore.Resources": ["*.json", "*.safetensors", "*.md"],
        "AdaptWeb": ["serve/*.js"],
        "AdaptWeb.Resources": ["SampleData/*.nrrd", "UI/InteractiveAdaptSeg.ui"],
    },
)
