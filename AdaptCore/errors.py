"""Errors that a user can act on: each message says what was got and what was expected."""


class AdaptSegError(ValueError):
    """Base of every error caused by input from outside; the command line prints it as one line."""


class PromptError(AdaptSegError):
    """A prompt that cannot be used: outside the plane, of no size, or only negative."""


class ImageError(AdaptSegError):
    """An image that cannot be read or segmented."""


class OutputError(AdaptSegError):
    """A result that cannot be written."""


class FullDiskError(OutputError):
    """A result for which its disk has no room."""


class CheckpointError(AdaptSegError):
    """Model weights that are missing, damaged, unsafe or of another architecture."""


class ModelError(AdaptSegError):
    """A model name, manifest or device that is not available."""


class TaskError(AdaptSegError):
    """A task file that is damaged, of another model or version, or a task name that cannot be used."""


class ProfileError(AdaptSegError):
    """A profile file that is damaged, of another model or version, or a name or pick that cannot be used."""


class CohortError(AdaptSegError):
    """A cohort folder, or a file or name in it, that cannot be used."""
