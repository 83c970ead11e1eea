"""What can go wrong: one class for each thing a caller can do about it."""


class Error(Exception):
    """Any error of Baler."""


class ArgumentError(Error, ValueError):
    """An argument is wrong: fix the call."""


class UnsupportedError(Error, TypeError):
    """The input is well formed, but this version does not handle it; an element type, for one."""


class CorruptError(Error, ValueError):
    """The chunk or model is damaged, cut or not ours: distrust the file."""


class VersionError(Error, ValueError):
    """The chunk was written by a newer version of the format: update Baler."""


class ModelMissingError(Error, LookupError):
    """A model is needed that is nowhere to be found: fetch it."""


class ModelInvalidError(Error, ValueError):
    """A model was found and cannot be used: fix the model."""


class RuntimeMissingError(Error, RuntimeError):
    """A runtime (ONNX Runtime, a device) is needed and not there: install it."""


class LimitError(Error, MemoryError):
    """The output would be larger than the caller allows."""
