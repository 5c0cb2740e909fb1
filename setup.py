"""Adds the repository's Resources to the wheel as AdaptCore/Resources; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["AdaptCore", "AdaptCore.*"]), "AdaptCore.Resources"],
    package_dir={"AdaptCore.Resources": "Resources"},
    package_data={"AdaptCore": ["py.typed"], "AdaptCore.Resources": ["*.json", "*.safetensors", "*.md"]},
)
